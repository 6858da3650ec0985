"""Colour and alpha of 16 bits or floating point, in PNG and TIFF: what Pillow cuts to 8 bits.

By tifffile and imagecodecs, the extra ``[files]``, imported when such a file is met. Arrays are (H, W, C), C as in
``raster.Raster``.
"""

import io
import math
import os
import struct
import zlib
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..errors import InputError

Array: TypeAlias = "np.ndarray[Any, Any]"

_PHOTOMETRIC = {0: 1, 1: 1, 2: 3, 5: 4}  # white is zero, black is zero, RGB, CMYK -> colour channels


def check_installed(name: str) -> None:
    """Raises InputError if the extra is missing."""
    try:
        import imagecodecs  # noqa: F401
        import tifffile  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{name}: more than 8 bits a channel in colour or with alpha need tifffile and imagecodecs: "
            "pip install 'gifnet[files]'"
        ) from error


def check_page(page: int | None, pages: int, name: str) -> None:
    """Raises InputError unless ``page`` is one of several."""
    if page is None:
        raise InputError(f"{name}: holds {pages} images; name one with page= or --page, from 0 to {pages - 1}")
    if page >= pages:
        raise InputError(f"{name}: has no page {page}; it holds {pages} images, 0 to {pages - 1}")


def is_tiff(file: BinaryIO) -> bool:
    """Whether it starts as a TIFF or BigTIFF does; the position is left at the start."""
    start = file.read(4)
    file.seek(0)
    return start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_png(content: bytes, name: str) -> Array:
    """uint16; a colour declared transparent becomes alpha."""
    check_installed(name)
    import imagecodecs

    array: Array = imagecodecs.png_decode(content)
    return array if array.ndim == 3 else array[..., None]


def read_tiff(file: BinaryIO, name: str, page: int | None) -> tuple[Array, Image.Exif, bytes]:
    """Pixels (uint8, uint16 or float32), tags and ICC profile of one page."""
    check_installed(name)
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        pages = len(tiff.pages)
        if pages > 1:
            check_page(page, pages, name)
        chosen = tiff.pages[page if page is not None and pages > 1 else 0]
        if not isinstance(chosen, tifffile.TiffPage):
            raise InputError(f"{name}: page {page} of the TIFF can't be read")
        _check_layout(chosen, name)
        _check_segments(chosen, file.seek(0, os.SEEK_END), name)
        array = chosen.asarray(maxworkers=1)
        if chosen.planarconfig == 2 and chosen.samplesperpixel > 1:
            array = np.moveaxis(array, 0, -1)
        array = array.reshape(chosen.imagelength, chosen.imagewidth, chosen.samplesperpixel)
        profile = chosen.tags.valueof(34675)
        exif = _tags(file, chosen)
        return _as_raster(array, chosen, name), exif, profile if isinstance(profile, bytes) else b""


def _check_layout(page: Any, name: str) -> None:
    """Raises InputError before pixels are decoded that would be too many, or none of an image."""
    pixels = page.imagewidth * page.imagelength * page.imagedepth
    if pixels == 0:
        raise InputError(f"{name}: empty image of {page.imagewidth}×{page.imagelength} pixels")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > 2 * limit:  # as Pillow does
        raise Image.DecompressionBombError(
            f"Image size ({pixels} pixels) exceeds limit of {2 * limit} pixels, could be decompression bomb DOS attack."
        )
    dtype = page.dtype
    if dtype is None or (dtype.kind != "f" and dtype not in (np.uint8, np.uint16)):
        raise InputError(f"{name}: pixels of type {dtype}; give uint8, uint16 or floating point")
    colours = _PHOTOMETRIC.get(page.photometric)
    if colours is None or page.samplesperpixel not in (colours, colours + 1) or page.imagedepth != 1:
        raise InputError(
            f"{name}: {page.samplesperpixel} channels as {getattr(page.photometric, 'name', page.photometric)}; "
            "give grey, RGB or CMYK, with or without alpha"
        )


def _check_segments(page: Any, size: int, name: str) -> None:
    """Raises InputError where strips or tiles are missing, which tifffile would fill with zeros."""
    expected = math.prod(page.chunked)
    if not len(page.dataoffsets) == len(page.databytecounts) == expected:
        found = min(len(page.dataoffsets), len(page.databytecounts))
        raise InputError(f"{name}: damaged; has {found} of {expected} strips or tiles of the TIFF")
    if any(start + count > size for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)):
        raise InputError(f"{name}: damaged; the file ends before its pixels do")


def _as_raster(array: Array, page: Any, name: str) -> Array:
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    colours = _PHOTOMETRIC[page.photometric]
    top = 1 if array.dtype == np.float32 else np.iinfo(array.dtype).max
    colour, alpha = array[..., :colours], array[..., colours:]
    if page.photometric == 0:
        colour = top - colour
    if page.photometric == 5:
        inks = colour.astype(np.float32) / top
        colour = _levels((1 - inks[..., :3]) * (1 - inks[..., 3:]), array.dtype)
    if not alpha.shape[2]:
        return colour
    if page.extrasamples and page.extrasamples[0] == 1:  # colour comes multiplied by alpha
        shares = colour.astype(np.float32) / np.maximum(alpha, 1e-6 if top == 1 else 1)
        colour = _levels(shares.clip(0, 1), array.dtype)
    return np.concatenate([colour, alpha], axis=2)


def _levels(values: Array, dtype: "np.dtype[Any]") -> Array:
    """float32 in [0, 1] to the dtype's levels."""
    return values if dtype == np.float32 else (values * np.iinfo(dtype).max).round().astype(dtype)


def _tags(file: BinaryIO, page: Any) -> Image.Exif:
    """The page's tags, as Pillow has them for files that it opens; of a BigTIFF, or where damaged, orientation only."""
    exif = Image.Exif()
    file.seek(0)
    head = file.read(8)
    if head[2:4] in (b"*\0", b"\0*"):
        try:
            exif.endian = "<" if head[:2] == b"II" else ">"
            exif.load_from_fp(io.BytesIO(head + file.read()), page.offset)
            exif.get_ifd(0x8769), exif.get_ifd(0x8825)
            return exif
        except Exception:
            exif = Image.Exif()
    exif[0x0112] = page.tags.valueof(0x0112, default=1)
    return exif


def write_png(array: Array, exif: bytes, icc: bytes, name: str) -> bytes:
    """The content of a 16-bit PNG file."""
    check_installed(name)
    import imagecodecs

    content = bytes(imagecodecs.png_encode(np.array(array, order="C")))
    chunks = b""
    if icc:
        chunks += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
    if exif:
        chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    header = 8 + 25  # signature and IHDR
    return content[:header] + chunks + content[header:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", checksum)


def write_tiff(array: Array, exif: bytes, icc: bytes, name: str) -> bytes:
    """The content of a 16-bit or float32 TIFF file."""
    check_installed(name)
    import tifffile

    channels = array.shape[2]
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        array,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="deflate",
        predictor=True,
        iccprofile=icc or None,
        metadata=None,
        software=False,
        maxworkers=1,
    )
    content = buffer.getvalue()
    return with_exif(content, exif) if exif else content


def with_exif(tiff: bytes, exif: bytes) -> bytes:
    """The TIFF with EXIF tags and their directories added to its first page: a new directory, at the file's end.

    A BigTIFF (more than 4 GB) is left as it is.
    """
    order = "<" if tiff[:2] == b"II" else ">"
    version, first = struct.unpack(order + "HL", tiff[2:8])
    if version != 42:
        return tiff
    source = Image.Exif()
    source.load(exif)
    added = ImageFileDirectory_v2(tiff[:8])
    for tag in source:
        added[tag] = source.get_ifd(tag) if tag in (0x8769, 0x8825) else source[tag]
    end = len(tiff) + len(tiff) % 2
    directory = bytes(added.tobytes(end))
    entries = _entries(tiff, first, order) | _entries(directory, 0, order)
    (following,) = struct.unpack_from(order + "L", tiff, first + 2 + 12 * len(_entries(tiff, first, order)))
    start = end + len(directory) + len(directory) % 2
    merged = struct.pack(order + "H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries))
    merged += struct.pack(order + "L", following)
    body = tiff[:4] + struct.pack(order + "L", start) + tiff[8:]
    return body.ljust(end, b"\0") + directory.ljust(start - end, b"\0") + merged


def _entries(content: bytes, offset: int, order: str) -> dict[int, bytes]:
    """The directory at ``offset``: tag -> its 12 bytes."""
    (count,) = struct.unpack_from(order + "H", content, offset)
    records = [content[offset + 2 + 12 * i : offset + 14 + 12 * i] for i in range(count)]
    return {struct.unpack(order + "H", record[:2])[0]: record for record in records}
