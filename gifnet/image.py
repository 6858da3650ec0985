"""Images in and out: whatever a caller has becomes planes, and planes become that kind again."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from .errors import InputError
from .files import atomic_path

ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray[Any, Any] | Tensor"

# Full scale of each integer dtype; floating-point images have full scale 1.
LEVELS = {torch.uint8: 255.0, torch.uint16: 65535.0}
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ROUNDING = 1e-4  # how far outside [0, 1] a float image may stray, as resampling does, before it is refused

# Output suffix -> Pillow's options; each keeps what the format can.
WRITABLE: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".tif": {"compression": "tiff_deflate"},
    ".tiff": {"compression": "tiff_deflate"},
    ".webp": {"quality": 95},
    ".bmp": {},
}


@dataclass(frozen=True)
class Picture:
    """An image as the fusion sees it, and the way back to the kind it came as."""

    pixels: Tensor  # (B, 1 or 3, H, W) float32 in [0, 1], grey or R, G, B
    alpha: Tensor | None  # (B, 1, H, W), as pixels
    name: str  # the file or argument, for messages
    pack: Callable[[Tensor, Tensor | None], Any]  # pixels and alpha to the caller's kind and dtype

    @property
    def size(self) -> str:
        """Width × height, for messages."""
        return f"{self.pixels.shape[-1]}×{self.pixels.shape[-2]}"


def read(source: ImageLike, argument: str) -> Picture:
    """Read a path, encoded bytes, a PIL image, an array (H×W or H×W×C) or a tensor (C×H×W or B×C×H×W).

    C is 1 (grey), 3 (R, G, B) or 4 (and alpha). uint8, uint16, or floating point in [0, 1]. The EXIF orientation of
    paths and bytes is applied; PIL images, arrays and tensors are taken as they are.

    Raises InputError, naming the file or ``argument``, for whatever is none of that.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        return _from_pil(_decode(path, path), path)
    if isinstance(source, bytes):
        name = f"{argument} (bytes)"
        picture = _from_pil(_decode(io.BytesIO(source), name), name)
        return Picture(picture.pixels, picture.alpha, name, partial(_pack_bytes, picture.pack))
    if isinstance(source, Image.Image):
        return _from_pil(source, argument)
    if isinstance(source, np.ndarray):
        return _from_array(source, argument)
    if isinstance(source, Tensor):
        return _from_tensor(source, argument)
    raise InputError(
        f"{argument}: {type(source).__name__} is no image; give a path, bytes, a PIL image, an array or a tensor"
    )


def _decode(file: "str | io.BytesIO", name: str) -> Image.Image:
    if isinstance(file, str):
        if not os.path.exists(file):
            raise InputError(f"{name}: no such file")
        if os.path.isdir(file):
            raise InputError(f"{name}: is a folder; give an image file")
    try:
        with Image.open(file) as opened:
            # A photograph that carries previews (MPO) counts as one image.
            frames = getattr(opened, "n_frames", 1)
            if frames > 1 and opened.format != "MPO":
                raise InputError(f"{name}: holds {frames} images; save the one to use as a file of its own")
            opened.load()
            return ImageOps.exif_transpose(opened)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: {error}; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: not an image in a format that Pillow reads") from error
    except Exception as error:  # decoders raise anything from OSError to struct.error on damaged data
        raise InputError(f"{name}: can't be read as an image ({str(error) or type(error).__name__})") from error


def _from_pil(image: Image.Image, name: str) -> Picture:
    if 0 in image.size:
        raise InputError(f"{name}: empty image of {image.width}×{image.height} pixels")
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:  # opened lazily, and now found damaged or closed
        raise InputError(f"{name}: can't be read as an image ({error})") from error
    mode = image.mode
    if mode in ("LA", "La"):
        grey_alpha = np.asarray(image.convert("LA"))
        pixels, alpha = _planes(grey_alpha[..., :1], name), _planes(grey_alpha[..., 1:], name)
        return Picture(pixels, alpha, name, partial(_pack_pil, dtype=torch.uint8))
    if mode == "I" or mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(f"{name}: integers from {values.min()} to {values.max()}; scale them to 0..65535 first")
        array: np.ndarray[Any, Any] = values.astype(np.uint16)
    elif mode == "F":
        array = np.asarray(image)
    elif mode in ("1", "L"):
        array = np.asarray(image.convert("L"))
    else:
        transparent = image.has_transparency_data or mode == "RGBa"
        array = np.asarray(image.convert("RGBA" if transparent else "RGB"))
    picture = _from_array(array, name)
    return Picture(picture.pixels, picture.alpha, name, partial(_pack_pil, dtype=_torch_dtype(array, name)))


def _torch_dtype(array: "np.ndarray[Any, Any]", name: str) -> torch.dtype:
    try:
        return torch.from_numpy(np.empty(0, array.dtype.newbyteorder("="))).dtype
    except TypeError as error:
        raise InputError(f"{name}: dtype {array.dtype}; {_ACCEPTED_DTYPES}") from error


_ACCEPTED_DTYPES = "give uint8 (0..255), uint16 (0..65535) or floating point (0..1)"


def _planes(array: "np.ndarray[Any, Any]", name: str) -> Tensor:
    """(H, W, C) to (1, C, H, W) float32 in [0, 1]."""
    native = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    return _normalise(torch.tensor(native).permute(2, 0, 1)[None], name)


def _normalise(pixels: Tensor, name: str) -> Tensor:
    """Any accepted dtype to float32 in [0, 1]."""
    dtype = pixels.dtype
    if dtype in LEVELS:
        return pixels.to(torch.float32) / LEVELS[dtype]
    if dtype not in FLOATS:
        raise InputError(f"{name}: dtype {str(dtype).removeprefix('torch.')}; {_ACCEPTED_DTYPES}")
    pixels = pixels.detach().to(torch.float32)
    if not bool(pixels.isfinite().all()):
        raise InputError(f"{name}: holds NaN or infinite values; replace them first")
    low, high = (float(limit) for limit in pixels.aminmax())
    if low < -ROUNDING or high > 1 + ROUNDING:
        hint = "divide by 255" if 1 < high <= 255 and low >= 0 else "scale it"
        raise InputError(f"{name}: floating-point values from {low:g} to {high:g}; they must lie in [0, 1]: {hint}")
    return pixels.clamp(0, 1)


def _split_alpha(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    return (pixels[:, :3], pixels[:, 3:]) if pixels.shape[1] == 4 else (pixels, None)


def _from_array(array: "np.ndarray[Any, Any]", name: str) -> Picture:
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (1, 3, 4)):
        hint = "; it looks like C×H×W: transpose it" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise InputError(f"{name}: array of shape {shape}; give H×W, H×W×1 (grey), H×W×3 (RGB) or H×W×4 (RGBA){hint}")
    if 0 in shape:
        raise InputError(f"{name}: empty array of shape {shape}")
    dtype = _torch_dtype(array, name)
    pixels, alpha = _split_alpha(_planes(array if array.ndim == 3 else array[..., None], name))
    return Picture(pixels, alpha, name, partial(_pack_array, dtype=dtype, like=array.dtype, flat=array.ndim == 2))


def _from_tensor(tensor: Tensor, name: str) -> Picture:
    shape = tuple(tensor.shape)
    if tensor.ndim not in (3, 4) or shape[-3] not in (1, 3, 4):
        hint = "; it looks like H×W×C: permute it" if tensor.ndim == 3 and shape[-1] in (1, 3, 4) else ""
        raise InputError(f"{name}: tensor of shape {shape}; give C×H×W or B×C×H×W with C 1, 3 (RGB) or 4 (RGBA){hint}")
    if 0 in shape:
        raise InputError(f"{name}: empty tensor of shape {shape}")
    if tensor.layout != torch.strided:
        raise InputError(f"{name}: {tensor.layout} tensor; give a dense one")
    pixels, alpha = _split_alpha(_normalise(tensor if tensor.ndim == 4 else tensor[None], name))
    pack = partial(_pack_tensor, dtype=tensor.dtype, device=tensor.device, flat=tensor.ndim == 3)
    return Picture(pixels, alpha, name, pack)


def quantise(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 in [0, 1] to ``dtype``: integer levels rounded to the nearest, floating point as it is."""
    levels = LEVELS.get(dtype)
    return pixels.to(dtype) if levels is None else (pixels.clamp(0, 1) * levels).round().to(dtype)


def _pack_tensor(pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, device: torch.device, flat: bool) -> Tensor:
    packed = _joined(pixels, alpha)
    packed = quantise(packed, dtype).to(device)
    return packed[0] if flat and len(packed) == 1 else packed


def _joined(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    """Pixels and alpha as (B, 1, 3 or 4, H, W channels); grey with alpha becomes R = G = B."""
    if alpha is None:
        return pixels
    return torch.cat([pixels.expand(-1, 3, -1, -1), alpha], dim=1)


def _pack_array(
    pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, like: "np.dtype[Any]", flat: bool
) -> "np.ndarray[Any, Any]":
    packed = quantise(_joined(pixels, alpha), dtype)[0].permute(1, 2, 0).cpu().numpy().astype(like)
    return packed[..., 0] if flat and packed.shape[2] == 1 else packed


def _pack_pil(pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype) -> Image.Image:
    grey = pixels.shape[1] == 1
    if not grey or alpha is not None:
        dtype = torch.uint8  # Pillow has no deeper colour, nor a deeper grey with alpha
    planes = pixels if alpha is None else torch.cat([pixels, alpha], dim=1)
    array = quantise(planes, dtype)[0].permute(1, 2, 0).cpu().numpy()
    if grey and alpha is None:
        return Image.fromarray(array[..., 0])
    return Image.fromarray(array)


def _pack_bytes(pack: Callable[[Tensor, Tensor | None], Image.Image], pixels: Tensor, alpha: Tensor | None) -> bytes:
    image = pack(pixels, alpha)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF" if image.mode == "F" else "PNG")  # PNG has no floating point
    return buffer.getvalue()


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """The path, if its suffix names a format that gifnet writes. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path}: unknown image suffix {path.suffix!r}; use {', '.join(WRITABLE)}")
    return path


def check_output(path: str | os.PathLike[str]) -> Path:
    """The path, if an image can be written there: a known suffix and an existing folder. Raises InputError."""
    path = check_suffix(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a file name")
    return path


def write(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write ``image`` in the format of the path's suffix, whole or not at all. Raises InputError."""
    path = check_output(path)
    try:
        with atomic_path(path) as temporary:
            image.save(temporary, **WRITABLE[path.suffix.lower()])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be written ({error}); TIFF holds every result, PNG all but floats") from error
