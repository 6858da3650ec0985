"""Pillow's images to rasters and back."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError
from .metadata import Metadata
from .raster import Array, Raster


def from_pil(image: Image.Image, name: str) -> Raster:
    """A PIL image of any mode, its pixels taken as they lie, its orientation kept."""
    if 0 in image.size:
        raise InputError(f"{name}: empty image of {image.width}×{image.height} pixels")
    with decoding(name):
        image.load()
        array = _deep_grey(image, name) if image.mode.startswith("I") else np.asarray(_eight_bits_or_float(image))
        metadata = metadata_of(image, upright=False)
    return Raster(array if array.ndim == 3 else array[..., None], metadata)


def _deep_grey(image: Image.Image, name: str) -> Array:
    values = np.asarray(image)
    if values.dtype.itemsize > 2 and (values.min() < 0 or values.max() > 65535):
        return values  # on a scale of their own
    grey = values.astype(np.uint16)
    transparent = image.info.get("transparency")  # the one level that is
    if not isinstance(transparent, int):
        return grey
    return np.stack([grey, np.where(grey == transparent, 0, 65535).astype(np.uint16)], axis=-1)


def _eight_bits_or_float(image: Image.Image) -> Image.Image:
    """Any other mode as L, LA, RGB, RGBA or F."""
    mode = image.mode
    if mode == "F":
        return image
    transparent = image.has_transparency_data or mode in ("La", "RGBa")
    if mode in ("1", "L", "LA", "La"):
        return image.convert("LA" if transparent else "L")
    if mode == "CMYK":
        return _from_cmyk(image)
    return image.convert("RGBA" if transparent else "RGB")


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile") or b""
    if profile[16:20] == b"CMYK":
        from PIL import ImageCms

        try:
            inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, inks, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImportError, OSError, ImageCms.PyCMSError):  # a damaged profile: as if there were none
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def planes_of_mode(mode: str) -> int:
    """How many planes a PIL image of this mode becomes, at least."""
    return 1 if mode[0] in "1LIF" and mode not in ("LA", "La", "LAB") else 2 if mode in ("LA", "La") else 3


def exif_of(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # likewise
        return Image.Exif()


def metadata_of(image: Image.Image, upright: bool, tags: Mapping[int, Any] | None = None) -> Metadata:
    return Metadata.of(exif_of(image), image.info.get("icc_profile"), upright, image.info.get("dpi"), tags)


def to_pil(raster: Raster) -> Image.Image:
    """A PIL image with the metadata; the raster must fit."""
    array = np.ascontiguousarray(raster.array)
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    metadata = raster.metadata.fitting(array.shape[2])
    if metadata.exif:
        image.info["exif"] = metadata.exif
    if metadata.icc:
        image.info["icc_profile"] = metadata.icc
    if metadata.dpi:
        image.info["dpi"] = metadata.dpi
    return image


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turns whatever reading raises into an InputError; decoders raise anything on damaged data."""
    try:
        yield
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: {error}; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS (on the command line, give "
            "--max-pixels)"
        ) from error
    except MemoryError as error:
        raise InputError(f"{name}: too little memory to decode it; free some, or give smaller images") from error
    except Exception as error:
        raise InputError(f"{name}: can't be read as an image ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """An error's text in one line; LibRaw's is bytes."""
    said = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], bytes) else str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return " ".join(text.split()) or type(error).__name__
