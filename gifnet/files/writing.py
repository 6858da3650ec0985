"""Image files written, whole or not at all."""

import io
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError
from . import deep, deep_writing
from .atomic import atomic_path
from .bands import numbers
from .formats import DEFAULT, JPEG, PNG, TIFF, WRITABLE, Encoding, Format, check_suffix
from .metadata import Metadata
from .pillow import to_pil
from .raster import Raster, depth, rounded

logger = logging.getLogger("gifnet")
LONGEST_PROFILE = 1 << 20  # bytes; PNG's readers refuse longer ones


def check_output(path: str | os.PathLike[str]) -> Path:
    """The path, if an image can be written there: a known suffix, and a folder that exists. Raises InputError."""
    return check_folder(check_suffix(path))


def check_folder(path: str | os.PathLike[str]) -> Path:
    """The path, if a file can be written there: a folder that exists, and none of its name. Raises InputError."""
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a file name")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no regular file; give another name")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in the folder {path.parent}")
    return path


def check_content(path: Path, shape: tuple[int, int, int], dtype: "np.dtype[Any]") -> None:
    """Raises InputError if a file of this suffix can't hold an (H, W, C) image, or needs an extra that is missing."""
    kind = WRITABLE[path.suffix.lower()]
    height, width, channels = shape
    if channels in (2, 4) and not kind.alpha:
        raise InputError(f"{path}: {kind.name} holds no alpha; write PNG, TIFF or WebP")
    if max(height, width) > kind.longest:
        raise InputError(f"{path}: {width}×{height} pixels; {kind.name} holds {kind.longest} a side: write PNG or TIFF")
    if channels > 1 and min(depth(dtype), depth(kind.deepest)) > 1:
        deep.check_installed(str(path))


def write_file(raster: Raster, path: str | os.PathLike[str], encoding: Encoding = DEFAULT) -> Path:
    """Write in the format of the path's suffix, whole or not at all; what was at ``path`` is replaced by then.

    JPEG, WebP and BMP hold 8 bits, PNG up to 16, TIFF everything; deeper pixels are rounded. BMP holds no metadata.
    Of ``encoding``, what the format has no use for is left out.

    Raises InputError: the path can't be written to, or its format can't hold the image.
    """
    path = check_output(path)
    check_content(path, raster.array.shape, raster.array.dtype)
    content = _encode(raster, WRITABLE[path.suffix.lower()], path, encoding)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror or error})") from error
    return path


def encode(raster: Raster, name: str) -> bytes:
    """The content of a PNG file, or for floating point, which PNG has not, of a TIFF file."""
    return _encode(raster, TIFF if raster.array.dtype == np.float32 else PNG, Path(name))


def _encode(raster: Raster, kind: Format, path: Path, encoding: Encoding = DEFAULT) -> bytes:
    if raster.bands and kind is not TIFF:
        logger.warning("%s: %s left out: %s holds colours and alpha only", path, numbers(raster.bands), kind.name)
        raster = replace(raster, bands=())
    if depth(raster.array.dtype) > depth(kind.deepest):
        raster = rounded(raster, kind.deepest)
    metadata = raster.metadata.fitting(raster.array.shape[2])
    if kind is PNG and len(metadata.icc) > LONGEST_PROFILE:
        logger.info("%s: the ICC profile, %d bytes, is left out: PNG's readers take no more", path, len(metadata.icc))
        metadata = replace(metadata, icc=b"")
    try:
        if not raster.fits_pillow or raster.bands:
            if kind is TIFF:
                scheme = encoding.compression if isinstance(encoding.compression, str) else "deflate"
                return deep_writing.write_tiff(raster.array, metadata, str(path), scheme, raster.bands)
            level = encoding.compression if isinstance(encoding.compression, int) else None
            return deep_writing.write_png(raster.array, metadata, str(path), level)
        return _encode_with_pillow(to_pil(raster), metadata, kind, encoding.options(kind))
    except InputError:
        raise
    except Exception as error:  # encoders raise OSError, ValueError, struct.error and more on what a format can't hold
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: can't be written as {kind.name} ({reason}); TIFF holds every result") from error


def _encode_with_pillow(image: Image.Image, metadata: Metadata, kind: Format, options: dict[str, Any]) -> bytes:
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.exif and kind.name in ("PNG", "WEBP", "JPEG") and not (kind is JPEG and len(metadata.exif) > 65533):
        options["exif"] = metadata.exif
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    image.info = {}
    buffer = io.BytesIO()
    image.save(buffer, kind.name, **options)
    content = buffer.getvalue()
    # Pillow can't write EXIF directories into a compressed TIFF.
    return deep_writing.with_tags(content, metadata) if kind is TIFF else content
