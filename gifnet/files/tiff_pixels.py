"""The pixels of TIFFs that Pillow can't read at their own depth: by tifffile and imagecodecs, the extra ``[files]``."""

import struct
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from ..errors import InputError
from .bands import GDAL_METADATA, Band, label_of
from .codestreams import jpeg2000_header, jpeg_size, lerc_size, webp_size
from .deep import Array, check_installed
from .limits import check_pixels, size_of
from .samples import as_channels, at_full_scale, further_samples, split_samples
from .tiff import Directory, check_segments

_MAX_SAMPLE_VALUE, _ICC = 281, 34675
# Of strips and tiles. Those below them hold sizes of their own, which must not exceed the TIFF's.
_PLAIN = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000, 34926}  # none, fax, LZW, deflate, PackBits, LZMA, Zstandard
_OF_THEIR_OWN_SIZE = {
    **dict.fromkeys((6, 7, 34892, 33007), jpeg_size),
    **dict.fromkeys((34712, 33003, 33004, 33005), lambda content: jpeg2000_header(content).size),
    **dict.fromkeys((50001, 34927), webp_size),
    34887: lerc_size,
}


class DeepTiff(NamedTuple):
    """One image of a TIFF."""

    array: Array  # of any real dtype, as ``raster.Raster`` has it
    bands: tuple[Band, ...]
    exif: Image.Exif
    icc: bytes


def further_bands(directory: Directory, name: str) -> list[int]:
    """The samples that are neither colours nor alpha. Raises InputError for a number of samples that is no image's."""
    return further_samples(directory.samples, directory.photometric, directory.numbers(338), name)


def read_deep_tiff(file: BinaryIO, directory: Directory, name: str) -> DeepTiff:
    """Pixels, tags and ICC profile of one image of the file."""
    plain = directory.compression in _PLAIN
    check_installed(name, "a TIFF of this depth or layout" if plain else "a TIFF compressed in this way")
    import tifffile

    _check_layout(directory, name)
    check_segments(directory, name, size_of(file), beyond=True)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        tiff.filehandle.seek(directory.offset)
        page = tifffile.TiffPage(tiff, index=0)
        _check_sizes(file, directory, name)
        array = page.asarray(maxworkers=1)
        if page.planarconfig == 2 and page.samplesperpixel > 1:
            array = np.moveaxis(array, 0, -1)
        array = array.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    profile = directory.tags.get(_ICC)
    exif = _tags(file, directory)
    scaled = _scaled(array, directory)
    texts = directory.tags.get(GDAL_METADATA)
    further = tuple(Band(scaled[..., at], label_of(at, texts)) for at in further_bands(directory, name))
    pixels = as_channels(scaled, directory.photometric, directory.numbers(338), name)
    return DeepTiff(pixels, further, exif, profile if isinstance(profile, bytes) else b"")


def _check_layout(directory: Directory, name: str) -> None:
    """Raises InputError before pixels are decoded that would be too many, or none of an image."""
    check_pixels(directory.width, directory.height, name)
    kinds = {1: "uint", 2: "int", 3: "float"}
    if len(set(directory.bits)) > 1 or directory.sample_format not in kinds or directory.number(32997, 1) > 1:
        raise InputError(
            f"{name}: pixels of type {directory.sample_format} and {directory.bits} bits; give grey or RGB"
        )
    _, alpha = split_samples(directory.samples, directory.photometric, directory.numbers(338), name)
    bits, kind = directory.bits[0], kinds[directory.sample_format]
    if (kind == "int" or (kind == "uint" and bits > 16)) and (alpha is not None or directory.photometric not in (1, 2)):
        raise InputError(f"{name}: pixels of type {kind}{bits}; give uint8, uint16 or floating point")
    if directory.compression not in _PLAIN and directory.compression not in _OF_THEIR_OWN_SIZE:
        raise InputError(f"{name}: compressed in a way ({directory.compression}) that is not read; use deflate or LZW")


def _check_sizes(file: BinaryIO, directory: Directory, name: str) -> None:
    """Raises InputError where a strip or tile would become larger than the TIFF says."""
    size_in = _OF_THEIR_OWN_SIZE.get(directory.compression)
    if size_in is None:
        return
    tiled = 324 in directory.tags
    rows = directory.number(323) if tiled else min(directory.number(278) or directory.height, directory.height)
    columns = directory.number(322) if tiled else directory.width
    for start, count in zip(*directory.segments, strict=False):
        file.seek(start)
        width, height = size_in(file.read(min(count, 1 << 16)))
        if width > columns + 16 or height > rows + 16:  # JPEG's may be padded to whole blocks
            raise InputError(f"{name}: damaged; a strip or tile of {columns}×{rows} pixels holds {width}×{height}")


def _scaled(array: Array, directory: Directory) -> Array:
    """Samples at full scale, or as they are where they have none: signed or wide integers, in grey."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return at_full_scale(array, _bits(directory))
    if array.dtype.itemsize > 1 and array.min() >= 0 and array.max() <= 65535:
        return array.astype(np.uint16)  # as Pillow, too, takes wider integers
    return array


def _bits(directory: Directory) -> int:
    """Of the samples: of 16-bit containers those that MaxSampleValue declares, if it declares whole bits."""
    bits = directory.bits[0]
    declared = directory.number(_MAX_SAMPLE_VALUE) + 1
    if bits == 16 and 1 << 9 <= declared < 1 << 16 and declared & (declared - 1) == 0:
        return declared.bit_length() - 1
    return bits


def declares_fewer_bits(directory: Directory) -> bool:
    """Whether the samples of 16-bit containers are of fewer bits."""
    return directory.bits[0] == 16 and _bits(directory) < 16


def _tags(file: BinaryIO, directory: Directory) -> Image.Exif:
    """The image's tags, as Pillow has them for files that it opens; where damaged, the orientation only."""
    exif = Image.Exif()
    file.seek(0)
    head = file.read(4)
    try:
        exif.endian = "<" if head[:2] == b"II" else ">"
        exif.bigtiff = b"+" in head
        exif.load_from_fp(file, directory.offset)
        exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        return exif
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error, AttributeError):
        exif = Image.Exif()
    exif[0x0112] = directory.number(0x0112, 1)
    return exif
