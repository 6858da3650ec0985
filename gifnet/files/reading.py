"""Image files read.

Pillow reads every format, but cuts colour and alpha deeper than 8 bits down to 8. Files that have them are noticed here
and left to ``deep``, which needs the extra ``[files]``.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InputError
from . import deep
from .metadata import ORIENTATION, Metadata
from .pillow import decoding, exif_of, from_pil
from .raster import Raster


def read_file(source: "str | os.PathLike[str] | bytes", name: str, page: int | None = None) -> Raster:
    """The image in a file, or in the bytes of one; its content, not its suffix, tells the format.

    The EXIF orientation is applied. Palettes become RGB; CMYK becomes RGB by its embedded ICC profile, if it has one.
    Other formats than PNG, TIFF, JPEG, WebP and BMP come as Pillow gives them.

    Args:
        source: a path, or the file's content.
        name: what error messages call it.
        page: which image of a file that holds several (0 is the first); files that hold one are not affected.

    Raises:
        InputError: it is no image, damaged, too large, or holds several and ``page`` is None or is none of them; or
            its depth needs the extra ``[files]``.
    """
    if page is not None and (isinstance(page, bool) or not isinstance(page, int) or page < 0):
        raise InputError(f"page: {page!r}; give the number of an image in the file, 0 for the first")
    with decoding(name), _opened(source, name) as file:
        return _read(file, name, page)


@contextmanager
def _opened(source: "str | os.PathLike[str] | bytes", name: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        mode = os.stat(source).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise InputError(f"{name}: no such file") from error
    except OSError as error:
        raise InputError(f"{name}: can't be read ({error.strerror})") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{name}: is a folder; give an image file")
    if not stat.S_ISREG(mode):  # a pipe would be waited for
        raise InputError(f"{name}: is no regular file; give an image file")
    with open(source, "rb") as file:
        yield file


def _read(file: BinaryIO, name: str, page: int | None) -> Raster:
    try:
        opened = Image.open(file)
    except UnidentifiedImageError as error:
        file.seek(0)
        if deep.is_tiff(file):  # Pillow has no name for colour in floating point
            return _read_deep_tiff(file, name, page)
        raise InputError(f"{name}: not an image in a format that Pillow reads") from error
    with opened:
        try:
            frames = getattr(opened, "n_frames", 1)
            if frames > 1 and (page is not None or opened.format != "MPO"):  # previews don't make a photograph several
                deep.check_page(page, frames, name)
                opened.seek(page or 0)
        except (SyntaxError, ValueError) as error:
            if opened.format != "TIFF" or isinstance(error, InputError):
                raise
            return _read_deep_tiff(file, name, page)  # another page is of a kind that Pillow doesn't know
        if _is_deep(opened):
            if opened.format == "TIFF":
                return _read_deep_tiff(file, name, page if frames > 1 else 0)
            if opened.format == "PNG" and not (frames > 1 and page):
                return _read_deep_png(file, opened, name)
            raise InputError(f"{name}: has 16 bits a channel, of which 8 would be lost; save it as PNG or TIFF")
        _check_jpeg(file, opened, name)
        opened.load()
        white_is_zero = opened.format == "TIFF" and opened.tag_v2.get(262) == 0  # type: ignore[attr-defined]
        metadata = Metadata.of(exif_of(opened), opened.info.get("icc_profile"), upright=True)
        raster = replace(from_pil(_upright(opened), name), metadata=metadata)
    if white_is_zero and raster.array.dtype != np.uint8:  # Pillow inverts 8 bits only
        return replace(raster, array=(65535 if raster.array.dtype == np.uint16 else 1) - raster.array)
    return raster


def _is_deep(opened: Image.Image) -> bool:
    """Whether the file has more bits a channel than Pillow's image of it will."""
    if opened.mode.startswith(("I", "F")):
        return False
    if opened.format == "TIFF":
        return bool(max(opened.tag_v2.get(258, (1,))) > 8)  # type: ignore[attr-defined]
    for tile in getattr(opened, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        raw_mode = str(arguments[0]) if arguments else ""
        if ";16" in raw_mode and not raw_mode.startswith("BGR"):  # BGR;16 has 16 bits in all three together
            return True
        if tile[0].startswith("ppm") and arguments[-1] > 255:
            return True
    return False


def _check_jpeg(file: BinaryIO, opened: Image.Image, name: str) -> None:
    """Raises InputError for a file too short for its size in pixels; Pillow would fill in grey, at any size."""
    if opened.format not in ("JPEG", "MPO"):
        return
    position, length = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(position)
    blocks = (opened.width // 8) * (opened.height // 8)  # each takes a bit or more
    if 8 * length < blocks:
        raise InputError(f"{name}: damaged; {length} bytes can't hold {opened.width}×{opened.height} pixels")


def _read_deep_tiff(file: BinaryIO, name: str, page: int | None) -> Raster:
    array, exif, icc = deep.read_tiff(file, name, page)
    return _turned(Raster(array, Metadata.of(exif, icc, upright=True)), exif)


def _read_deep_png(file: BinaryIO, opened: Image.Image, name: str) -> Raster:
    opened.load()  # for the chunks behind the pixels, and Pillow's checks of damage
    exif = exif_of(opened)
    file.seek(0)
    metadata = Metadata.of(exif, opened.info.get("icc_profile"), upright=True)
    return _turned(Raster(deep.read_png(file.read(), name), metadata), exif)


def _turned(raster: Raster, exif: Image.Exif) -> Raster:
    """As the EXIF orientation says."""
    array = raster.array
    orientation = exif.get(ORIENTATION, 1)
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return replace(raster, array=array)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata are no reason to refuse the pixels
        return image
