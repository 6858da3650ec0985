"""Colour and alpha of 16 bits or floating point, in PNG and TIFF: what Pillow can't write.

By tifffile and imagecodecs, the extra ``[files]``, imported when such a file is written. Arrays are (H, W, C), C as in
``raster.Raster``.
"""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from .bands import GDAL_METADATA, Band, gdal_metadata
from .deep import Array, check_installed
from .metadata import Metadata


def write_png(array: Array, metadata: Metadata, name: str, level: int | None = None) -> bytes:
    """The content of a 16-bit PNG file, compressed at a level from 0 to 9."""
    check_installed(name)
    import imagecodecs

    content = bytes(imagecodecs.png_encode(np.array(array, order="C"), level))
    chunks = b""
    if metadata.icc:
        chunks += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc))
    if metadata.dpi:
        chunks += _chunk(b"pHYs", struct.pack(">LLB", *(round(number / 0.0254) for number in metadata.dpi), 1))
    if metadata.exif:
        chunks += _chunk(b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    header = 8 + 25  # signature and IHDR
    return content[:header] + chunks + content[header:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", checksum)


def write_tiff(
    array: Array, metadata: Metadata, name: str, scheme: str = "deflate", bands: Sequence[Band] = ()
) -> bytes:
    """The content of a TIFF file of any depth, compressed by "deflate", "lzw" or "none".

    Grey with alpha of 16 bits becomes RGBA, which Pillow reads too. Further bands come between colours and alpha.
    """
    check_installed(name)
    import tifffile

    if array.shape[2] == 2 and array.dtype == np.uint16:
        array = array[..., [0, 0, 0, 1]]
    channels = array.shape[2]
    colours = 3 if channels > 2 else 1
    extra = ["unspecified"] * len(bands) + ["unassalpha"] * (channels - colours)
    texts = gdal_metadata(colours, bands)
    array = np.concatenate(
        [array[..., :colours], *(band.array[..., None] for band in bands), array[..., colours:]], axis=2
    )
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        array,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig",
        extrasamples=extra or None,
        extratags=[(GDAL_METADATA, "s", 0, texts, True)] if texts else (),
        compression=None if scheme == "none" else scheme,
        predictor=scheme != "none",
        iccprofile=metadata.icc or None,
        resolution=metadata.dpi,
        resolutionunit="inch" if metadata.dpi else None,
        metadata=None,
        software=False,
        maxworkers=1,
    )
    return with_tags(buffer.getvalue(), metadata)


def with_tags(tiff: bytes, metadata: Metadata) -> bytes:
    """The TIFF with EXIF and georeference."""
    for tags in filter(None, (metadata.exif, metadata.geo)):
        tiff = with_exif(tiff, tags)
    return tiff


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
