"""Images in and out: whatever a caller has becomes planes, and planes become that kind again."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..files.reading import NO_METADATA, Metadata, Raster, encode, from_pil, read_file, rounded, to_pil
from ..regions import Region

# Full scale of each integer dtype; floating-point images have full scale 1.
LEVELS = {torch.uint8: 255.0, torch.uint16: 65535.0}
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ROUNDING = 1e-4  # how far outside [0, 1] a float image may stray, as resampling does, before it is refused
_FILE_DTYPES = (torch.uint8, torch.uint16, torch.float32)  # from the shallowest to the deepest


@dataclass(frozen=True)
class Picture:
    """An image as the fusion sees it, and the way back to the kind it came as."""

    pixels: Tensor  # (B, 1 or 3, H, W) float32 in [0, 1], grey or R, G, B
    alpha: Tensor | None  # (B, 1, H, W), as pixels
    name: str  # the file or argument, for messages
    packer: "Packer"  # the way back
    dtype: torch.dtype  # of the result
    metadata: Metadata = NO_METADATA
    file: bool = False  # read from a file, or the bytes of one

    @property
    def size(self) -> str:
        """Width × height, for messages."""
        return f"{self.pixels.shape[-1]}×{self.pixels.shape[-2]}"

    @property
    def coloured(self) -> bool:
        return self.pixels.shape[1] == 3

    @property
    def nbytes(self) -> int:
        """What its planes take in memory."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)

    def region(self, index: int, region: Region) -> tuple[Tensor, Tensor | None]:
        """Pixels (1, 1 or 3, h, w) and alpha of a part of the image number ``index``."""
        part = (
            slice(index, index + 1),
            slice(None),
            slice(region.top, region.bottom),
            slice(region.left, region.right),
        )
        return self.pixels[part], None if self.alpha is None else self.alpha[part]

    def loaded(self) -> "Picture":
        """With its pixels in memory, where they were not yet (see ``lazy``)."""
        return self

    def pack(self, pixels: Tensor, alpha: Tensor | None) -> Any:
        """Pixels (B, 1 or 3, H, W) and alpha in the caller's kind, at this picture's depth, with its metadata."""
        return self.packer(pixels, alpha, self.dtype, self.metadata)

    def cropped(self, box: tuple[int, int, int, int]) -> "Picture":
        """Its part from left, top to right, bottom (exclusive)."""
        left, top, right, bottom = box
        alpha = None if self.alpha is None else self.alpha[..., top:bottom, left:right]
        return replace(self, pixels=self.pixels[..., top:bottom, left:right], alpha=alpha)

    def resampled(self, resample: Callable[[Tensor], Tensor]) -> "Picture":
        """With its planes (B, C, H, W) resampled; colours are weighted by alpha, if there is one."""
        if self.alpha is None:
            return replace(self, pixels=resample(self.pixels).clamp(0, 1))
        both = resample(torch.cat([self.pixels * self.alpha, self.alpha], dim=1))
        alpha = both[:, -1:].clamp(0, 1)
        return replace(self, pixels=(both[:, :-1] / alpha.clamp(min=1e-4)).clamp(0, 1), alpha=alpha)

    def noted(self, notes: Sequence[str]) -> "Picture":
        """With what was done to it in the results' metadata."""
        text = "; ".join(notes).encode("ascii", "replace").decode()
        return replace(self, metadata=self.metadata.noting(f"gifnet: {text}")) if notes else self

    def fused_with(self, *others: "Picture") -> "Picture":
        """The one to pack the fusion of all: of files the deepest decides; the metadata are of the first in colour."""
        metadata = next((picture.metadata for picture in (self, *others) if picture.coloured), self.metadata)
        if not self.file:
            return replace(self, metadata=metadata)
        dtypes = {picture.dtype for picture in (self, *others) if picture.file}
        return replace(self, dtype=max(dtypes, key=_FILE_DTYPES.index), metadata=metadata)


Packer: TypeAlias = Callable[[Tensor, Tensor | None, torch.dtype, Metadata], Any]
ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray[Any, Any] | Tensor | Picture"


def read(source: ImageLike, argument: str, page: int | None = None) -> Picture:
    """Read a path, encoded bytes, a PIL image, an array (H×W or H×W×C) or a tensor (C×H×W or B×C×H×W).

    C is 1 (grey), 3 (R, G, B) or 4 (and alpha). uint8, uint16, or floating point in [0, 1]. The EXIF orientation of
    paths and bytes is applied; PIL images, arrays and tensors are taken as they are, and a Picture is given back.

    ``page`` is for files that hold several images, see ``imagefile.read_file``.

    Raises InputError, naming the file or ``argument``, for whatever is none of that.
    """
    from . import lazy  # which is built on this module

    if isinstance(source, Picture):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        return _from_raster(read_file(path, path, page), path, _pack_pil_or_array, file=True)
    if isinstance(source, bytes):
        name = f"{argument} (bytes)"
        return _from_raster(read_file(source, name, page), name, _pack_bytes, file=True)
    if isinstance(source, Image.Image):
        return _from_raster(from_pil(source, argument), argument, _pack_pil)
    if lazy.is_lazy(source):
        return lazy.LazyPicture.of(source, argument)
    if isinstance(source, np.ndarray):
        return _from_array(source, argument)
    if isinstance(source, Tensor):
        return _from_tensor(source, argument)
    raise InputError(
        f"{argument}: {type(source).__name__} is no image; give a path, bytes, a PIL image, an array or a tensor"
    )


def read_for_writing(path: str | os.PathLike[str], page: int | None = None) -> Picture:
    """Like ``read`` of a path, but its results are a ``Raster``, for ``imagefile.write_file``."""
    name = os.fsdecode(path)
    return _from_raster(read_file(name, name, page), name, _pack_raster, file=True)


def _from_raster(raster: Raster, name: str, packer: Packer, file: bool = False) -> Picture:
    colours = 1 if raster.array.shape[2] < 3 else 3
    planes = planes_of(raster.array, name)
    alpha = planes[:, colours:] if raster.alpha else None
    dtype = array_dtype(raster.array.dtype, name)
    return Picture(planes[:, :colours], alpha, name, packer, dtype, raster.metadata, file)


def array_dtype(dtype: "np.dtype[Any]", name: str) -> torch.dtype:
    """The torch dtype of an array's. Raises InputError where there is none."""
    try:
        return torch.from_numpy(np.empty(0, dtype.newbyteorder("="))).dtype
    except TypeError as error:
        raise InputError(f"{name}: dtype {dtype}; {ACCEPTED_DTYPES}") from error


ACCEPTED_DTYPES = "give uint8 (0..255), uint16 (0..65535) or floating point (0..1)"


def planes_of(array: "np.ndarray[Any, Any]", name: str) -> Tensor:
    """(H, W, C) to (1, C, H, W) float32 in [0, 1]."""
    # A copy, for ascontiguousarray leaves the negative strides of a single pixel, which torch refuses.
    native = torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    return _normalise(native.permute(2, 0, 1)[None], name)


def _normalise(pixels: Tensor, name: str) -> Tensor:
    """Any accepted dtype to float32 in [0, 1]."""
    dtype = pixels.dtype
    if dtype in LEVELS:
        return pixels.to(torch.float32) / LEVELS[dtype]
    if dtype not in FLOATS:
        raise InputError(f"{name}: dtype {str(dtype).removeprefix('torch.')}; {ACCEPTED_DTYPES}")
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


def check_array_shape(shape: tuple[int, ...], name: str) -> None:
    """Raises InputError for what is no (H, W) or (H, W, 1, 3 or 4)."""
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        hint = "; it looks like C×H×W: transpose it" if len(shape) == 3 and shape[0] in (1, 3, 4) else ""
        raise InputError(f"{name}: array of shape {shape}; give H×W, H×W×1 (grey), H×W×3 (RGB) or H×W×4 (RGBA){hint}")
    if 0 in shape:
        raise InputError(f"{name}: empty array of shape {shape}")


def _from_array(array: "np.ndarray[Any, Any]", name: str) -> Picture:
    check_array_shape(array.shape, name)
    dtype = array_dtype(array.dtype, name)
    pixels, alpha = _split_alpha(planes_of(array if array.ndim == 3 else array[..., None], name))
    return Picture(pixels, alpha, name, partial(pack_array, like=array.dtype, flat=array.ndim == 2), dtype)


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
    return Picture(
        pixels, alpha, name, partial(_pack_tensor, device=tensor.device, flat=tensor.ndim == 3), tensor.dtype
    )


def quantise(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 in [0, 1] to ``dtype``: integer levels rounded to the nearest, floating point as it is."""
    levels = LEVELS.get(dtype)
    return pixels.to(dtype) if levels is None else (pixels.clamp(0, 1) * levels).round().to(dtype)


def _pack_tensor(
    pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, _: Metadata, device: torch.device, flat: bool
) -> Tensor:
    packed = quantise(joined(pixels, alpha), dtype).to(device)
    return packed[0] if flat and len(packed) == 1 else packed


def joined(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    """Pixels and alpha as (B, 1, 3 or 4, H, W channels); grey with alpha becomes R = G = B."""
    if alpha is None:
        return pixels
    return torch.cat([pixels.expand(-1, 3, -1, -1), alpha], dim=1)


def pack_array(
    pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, _: Metadata, like: "np.dtype[Any]", flat: bool
) -> "np.ndarray[Any, Any]":
    packed = interleaved(joined(pixels, alpha), dtype).astype(like)
    return packed[..., 0] if flat and packed.shape[2] == 1 else packed


def interleaved(planes: Tensor, dtype: torch.dtype) -> "np.ndarray[Any, Any]":
    """(1, C, H, W) float32 to an (H, W, C) array."""
    return quantise(planes, dtype)[0].permute(1, 2, 0).cpu().numpy()


def _pack_raster(pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, metadata: Metadata) -> Raster:
    planes = pixels if alpha is None else torch.cat([pixels, alpha], dim=1)
    return Raster(interleaved(planes, dtype), metadata)


def _pack_pil(pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, metadata: Metadata) -> Image.Image:
    raster = _pack_raster(pixels, alpha, dtype, metadata)
    return to_pil(raster if raster.fits_pillow else rounded(raster, np.dtype(np.uint8)))


def _pack_pil_or_array(
    pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, metadata: Metadata
) -> "Image.Image | np.ndarray[Any, Any]":
    raster = _pack_raster(pixels, alpha, dtype, metadata)
    return to_pil(raster) if raster.fits_pillow else interleaved(joined(pixels, alpha), dtype)


def _pack_bytes(pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, metadata: Metadata) -> bytes:
    return encode(_pack_raster(pixels, alpha, dtype, metadata), "the result")
