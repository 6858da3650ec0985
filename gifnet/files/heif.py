"""HEIC and HEIF, by pillow-heif (the extra ``[heif]``) or pi-heif."""

import importlib.util
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ..errors import MissingExtraError
from ..extras import require
from .deep import check_page
from .limits import check_pixels, check_whole
from .metadata import Metadata
from .raster import Raster
from .samples import at_full_scale


def count(file: BinaryIO, name: str) -> int:
    """How many images it holds."""
    return len(_open(file, name))


def read(file: BinaryIO, name: str, page: int | None) -> Raster:
    """Its image, turned as it says: uint8, or of 10 and 12 bits uint16. Depth maps and thumbnails are left out."""
    images = _open(file, name)
    if len(images) > 1:
        check_page(page, len(images), name)
    image = images[page or 0] if len(images) > 1 else images[0]
    width, height = image.size
    check_pixels(width, height, name)
    array = np.asarray(image)
    if array.dtype == np.uint16:  # shifted up by the decoder
        bits = int(image.info.get("bit_depth", 10))
        array = at_full_scale(array >> (16 - bits), bits)
    exif = Image.Exif()
    exif.load(image.info.get("exif") or b"")
    metadata = Metadata.of(exif, image.info.get("icc_profile"), upright=True)
    return Raster(array if array.ndim == 3 else array[..., None], metadata)


def _open(file: BinaryIO, name: str) -> Any:
    library = _library(name)
    check_whole(file, name)
    return library.open_heif(file, convert_hdr_to_8bit=False)


def _library(name: str) -> ModuleType:
    """pillow-heif, or pi-heif, the same without what writes: x265, which makes wheels of the former GPL."""
    try:
        return require("pillow_heif", "heif", f"{name}: HEIF")
    except MissingExtraError:
        if importlib.util.find_spec("pi_heif") is None:
            raise
        return importlib.import_module("pi_heif")
