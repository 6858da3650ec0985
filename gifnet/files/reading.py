"""Image files read.

Pillow reads every format, but cuts colour and alpha deeper than 8 bits down to 8. Files that have them are noticed here
and left to ``deep`` and ``tiff_pixels``, which need the extra ``[files]``.
"""

import io
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InputError
from ..options.values import check_page
from . import camera_raw, deep, dicom, heif, light, numpy_files, tiff
from .formats import formats_to_open
from .identity import Kind, kind_of, refuse_unreadable
from .limits import check_pixels, check_whole, size_of
from .metadata import ORIENTATION, Metadata
from .pillow import decoding, exif_of, from_pil, metadata_of, planes_of_mode
from .raster import Array, Raster
from .tiff_pixels import declares_fewer_bits, further_bands, read_deep_tiff

logger = logging.getLogger("gifnet")
_RADIOMETRIC = (
    "holds a camera's raw thermal image too, of 16 bits, which gifnet does not read; this is its picture. Take the raw "
    "one out by exiftool -b -RawThermalImage FILE > RAW.png and give that with stretch=True (--stretch=0.1,99.9), or "
    "take the picture as grey by colour='b' (--colour b)"
)
_ONE_IMAGE = ("MPO", "PSD")  # previews and layers don't make them several
# Of formats that extras read.
_READERS: dict[Kind, Callable[[BinaryIO, str, int | None], Raster]] = {
    "heif": heif.read,
    "dicom": dicom.read,
    "raw": lambda file, name, _: camera_raw.read(file, name),
    "exr": lambda file, name, _: light.read_exr(file, name),
    "hdr": lambda file, name, _: light.read_hdr(file, name),
}
_COUNTS: dict[Kind, Callable[[BinaryIO, str], int]] = {"heif": heif.count, "dicom": dicom.count}
# Of TIFF, that Pillow reads: with any libtiff, and with most.
_COMMON_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)
_OTHER_COMPRESSIONS = (6, 34925, 50000)


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
    page = check_page(page)
    with decoding(name), _opened(source, name) as file:
        return _read(file, name, page)


def count_images(source: "str | os.PathLike[str] | bytes", name: str) -> int:
    """How many images a file holds, as ``page`` numbers them. Raises InputError."""
    with decoding(name), _opened(source, name) as file:
        refuse_unreadable(file, name)
        kind = kind_of(file)
        if kind is not None:
            return _COUNTS[kind](file, name) if kind in _COUNTS else 1
        if tiff.is_tiff(file):
            return len(tiff.images_of(file, name))
        if _starts_with(file, numpy_files.MAGIC):
            return 1
        with _open(file, name) as opened:
            return _frames(opened)


def near_infrared(source: "str | os.PathLike[str] | bytes", name: str) -> int | None:
    """Which of a TIFF's bands is its only one beside red, green and blue (1 is the first); None where it is not so.

    Raises InputError.
    """
    with decoding(name), _opened(source, name) as file:
        if not tiff.is_tiff(file) or not deep.is_installed():
            return None
        images = tiff.images_of(file, name)
        bands = further_bands(images[0], name) if len(images) == 1 and images[0].samples > 3 else []
        return bands[0] + 1 if len(bands) == 1 else None


def measure(source: "str | os.PathLike[str] | bytes", name: str, page: int | None = None) -> tuple[int, int, int]:
    """Height, width and planes, at least, of the image that ``read_file`` would give; nothing is decoded.

    Raises InputError as it does.
    """
    page = check_page(page) or 0
    with decoding(name), _opened(source, name) as file:
        refuse_unreadable(file, name)
        if not tiff.is_tiff(file):
            with _open(file, name) as opened:
                return opened.height, opened.width, planes_of_mode(opened.mode)
        images = tiff.images_of(file, name)
        chosen = images[page if page < len(images) else 0]
        return chosen.height, chosen.width, min(chosen.samples, 3) + len(further_bands(chosen, name))


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
    refuse_unreadable(file, name)
    kind = kind_of(file)
    if kind is not None:
        return _READERS[kind](file, name, page)
    if _starts_with(file, numpy_files.MAGIC):
        return Raster(numpy_files.read_npy(file, name))
    if tiff.is_tiff(file):
        return _read_tiff(file, name, page)
    opened = _open(file, name)
    with opened:
        frames = _frames(opened)
        if frames > 1:
            deep.check_page(page, frames, name)
            opened.seek(page or 0)
        return _decoded(file, opened, name, (page or 0) if frames > 1 else 0)


def _open(file: BinaryIO, name: str) -> Image.Image:
    """Pillow's image, nothing decoded yet. Only formats that gifnet knows are tried."""
    start = file.read(26)
    file.seek(0)
    if start[:4] == b"RIFF" or start[4:8] == b"ftyp":
        check_whole(file, name)
    if start[:4] == b"8BPS" and start[22:24] not in (b"\0\1", b"\0\x08"):
        raise InputError(f"{name}: PSD of {start[23]} bits a channel; save it as TIFF")
    try:
        return Image.open(file, formats=formats_to_open())
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: not an image in a format that gifnet reads") from error


def _starts_with(file: BinaryIO, start: bytes) -> bool:
    found = file.read(len(start)) == start
    file.seek(0)
    return found


def _frames(opened: Image.Image) -> int:
    return 1 if opened.format in _ONE_IMAGE else getattr(opened, "n_frames", 1)


def _decoded(file: BinaryIO, opened: Image.Image, name: str, page: int) -> Raster:
    array = _other_than_pillow(file, opened, name, page)
    if array is None:
        _check_jpeg(file, opened, name)
        opened.load()
        metadata = metadata_of(opened, upright=True)
        return replace(from_pil(_upright(opened), name), metadata=metadata)
    return _turned(Raster(array, metadata_of(opened, upright=True)), exif_of(opened))


def _other_than_pillow(file: BinaryIO, opened: Image.Image, name: str, page: int) -> Array | None:
    """The pixels, where Pillow would not give all of them; else None."""
    if opened.format == "JPEG2000":
        return deep.read_jpeg2000(file, opened, name)
    if opened.format == "AVIF":
        return deep.read_avif(file, name, page)
    if opened.format == "PPM" and opened.tile and opened.tile[0][0] == "ppm_plain" and opened.mode == "1":  # type: ignore[attr-defined]
        return deep.read_plain_bitmap(file, opened, name)
    if opened.format == "PNG":
        deep.check_whole_png(file, opened, name)
        file.seek(0)
    if not deep.is_deep(opened):
        return None
    if opened.format == "PNG":
        opened.load()  # for the chunks behind the pixels, and Pillow's checks of damage
    return deep.read_deep(file, opened, name, page)


def _read_tiff(file: BinaryIO, name: str, page: int | None) -> Raster:
    try:
        images = tiff.images_of(file, name)
    except tiff.CameraRawError:
        file.seek(0)
        return camera_raw.read(file, name)
    if len(images) > 1:
        deep.check_page(page, len(images), name)
    chosen = images[page or 0] if len(images) > 1 else images[0]
    check_pixels(chosen.width, chosen.height, name)
    bands = further_bands(chosen, name)
    if bands and not deep.is_installed():
        logger.warning("%s: %d further bands are left out: pip install 'gifnet[files]' keeps them", name, len(bands))
        bands = []
    if not bands and _pillow_holds(chosen):
        tiff.check_segments(chosen, name, size_of(file))
        raster = _read_tiff_by_pillow(file, chosen, name)
        if raster is not None:
            return raster
    found = read_deep_tiff(file, chosen, name)
    metadata = Metadata.of(found.exif, found.icc, upright=True, dpi=tiff.resolution(chosen), tags=chosen.tags)
    return _turned(Raster(found.array, metadata, bands=found.bands), found.exif)


def _pillow_holds(directory: tiff.Directory) -> bool:
    """Whether a PIL image has its samples as they are: unsigned up to 8 bits, or deeper ones in grey."""
    if directory.compression not in (*_COMMON_COMPRESSIONS, *_OTHER_COMPRESSIONS):
        return False
    kinds = {(bits, directory.sample_format) for bits in directory.bits}
    if kinds <= {(1, 1), (2, 1), (4, 1), (8, 1)}:
        return True
    grey = directory.samples == 1 and directory.photometric in (0, 1)
    return grey and kinds <= {(16, 1), (16, 2), (32, 2), (32, 3)} and not declares_fewer_bits(directory)


def _read_tiff_by_pillow(file: BinaryIO, directory: tiff.Directory, name: str) -> Raster | None:
    """None where Pillow does not know this layout or compression."""
    source: Any = tiff.PageFirst(file, directory.offset)
    try:
        opened = Image.open(source, formats=("TIFF",))
    except UnidentifiedImageError:
        return None
    with opened:
        try:
            opened.load()
        except OSError:
            if directory.compression in _COMMON_COMPRESSIONS:
                raise
            return None
        metadata = metadata_of(opened, upright=True, tags=directory.tags)
        raster = replace(from_pil(_upright(opened), name), metadata=metadata)
    if directory.photometric == 0 and raster.array.dtype != np.uint8:  # Pillow inverts 8 bits only
        return replace(raster, array=(65535 if raster.array.dtype == np.uint16 else 1) - raster.array)
    return raster


def _check_jpeg(file: BinaryIO, opened: Image.Image, name: str) -> None:
    """Raises InputError for a file too short for its size in pixels; Pillow would fill in grey, at any size."""
    if opened.format not in ("JPEG", "MPO"):
        return
    if any(kind == "APP1" and content.startswith(b"FLIR\0") for kind, content in getattr(opened, "applist", ())):
        logger.warning("%s: %s", name, _RADIOMETRIC)
    position, length = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(position)
    blocks = (opened.width // 8) * (opened.height // 8)  # each takes a bit or more
    if 8 * length < blocks:
        raise InputError(f"{name}: damaged; {length} bytes can't hold {opened.width}×{opened.height} pixels")


def _turned(raster: Raster, exif: Image.Exif) -> Raster:
    """As the EXIF orientation says."""
    orientation = exif.get(ORIENTATION, 1)

    def turned(array: Array) -> Array:
        if orientation in (5, 6, 7, 8):
            array = array.swapaxes(0, 1)
        if orientation in (3, 4, 7, 8):
            array = array[::-1]
        return array[:, ::-1] if orientation in (2, 3, 6, 7) else array

    bands = tuple(replace(band, array=turned(band.array)) for band in raster.bands)
    return replace(raster, array=turned(raster.array), bands=bands)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata are no reason to refuse the pixels
        return image
