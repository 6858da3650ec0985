"""What a file may ask for before it is decoded: one set of limits for every reader, of images and of weights.

The number of pixels is limited by ``PIL.Image.MAX_IMAGE_PIXELS``, at twice of which Pillow refuses an image too.
"""

import os
from typing import BinaryIO

from PIL import Image

from ..errors import InputError

DIRECTORIES = 10_000  # of a TIFF, each of which may be an image
WHOLE_FILE = 1 << 29  # bytes of a file that its decoder wants whole
SLACK = 1 << 26  # bytes of metadata beside the pixels
WEIGHTS = 1 << 32  # bytes of a file of weights
WEIGHTS_HEADER = 1 << 23  # bytes of its description of them
DERIVED = 1 << 26  # values that a network makes of its weights and configuration, beyond what its file holds


def check_pixels(width: int, height: int, name: str) -> None:
    """Raises InputError for an image of none, and DecompressionBombError as Pillow does, for too many."""
    pixels = width * height
    if pixels == 0:
        raise InputError(f"{name}: empty image of {width}×{height} pixels")
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > 2 * limit:
        raise Image.DecompressionBombError(
            f"Image size ({pixels} pixels) exceeds limit of {2 * limit} pixels, could be decompression bomb DOS attack."
        )


def size_of(file: BinaryIO) -> int:
    """Bytes; the position is kept."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size


def check_whole(file: BinaryIO, name: str, limit: int = WHOLE_FILE) -> None:
    """Raises InputError for a file too large to be read whole."""
    size = size_of(file)
    if size > limit:
        raise InputError(f"{name}: {size} bytes are too many for its {limit} bytes at most; is it damaged?")
