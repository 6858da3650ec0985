"""Pictures of rasters: of what image files, their bytes and PIL images hold."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..files.bands import Band, numbers
from ..files.metadata import Metadata
from ..files.pillow import to_pil
from ..files.raster import Raster, rounded
from ..files.writing import encode
from .arrays import array_dtype, interleaved, planes_of
from .levels import joined
from .picture import Packer, Picture, ReadablePicture, UnscaledPicture, picture_of, result_dtype

logger = logging.getLogger("gifnet")


def from_raster(raster: Raster, name: str, packer: Packer, file: bool = False) -> Picture | UnscaledPicture:
    raster = replace(raster, metadata=raster.metadata.looked_through(raster.array))
    colours = 1 if raster.array.shape[2] < 3 else 3
    dtype = result_dtype(array_dtype(raster.array.dtype, name))
    planes = planes_of(raster.array)
    if raster.window is not None:
        return UnscaledPicture(
            values=planes,
            problem="",
            window=raster.window,
            inverted=raster.inverted,
            name=name,
            packer=packer,
            dtype=torch.uint16,
            metadata=raster.metadata,
            file=file,
        )
    whole = picture_of(planes, colours, name=name, packer=packer, dtype=dtype, metadata=raster.metadata, file=file)
    if not raster.bands:
        return whole
    found = [_of_band(band, raster.metadata, f"{name}, band {band.label.number}") for band in raster.bands]
    bands = tuple(band for band in found if isinstance(band, Picture))
    if isinstance(whole, Picture) and len(bands) == len(found):
        return replace(whole, bands=bands)
    logger.warning("%s: %s left out: values that have no scale", name, numbers(raster.bands))
    return whole


def _of_band(band: Band, metadata: Metadata, name: str) -> Picture | UnscaledPicture:
    """A grey picture, with the pixels in which it has no data."""
    array = band.array[..., None]
    metadata = Metadata(geo=metadata.geo).looked_through(array)
    dtype = result_dtype(array_dtype(array.dtype, name))
    picture = picture_of(planes_of(array), 1, name=name, packer=pack_raster, dtype=dtype, metadata=metadata, file=True)
    return replace(picture, label=band.label)


def with_bands(result: Any, pictures: Sequence[ReadablePicture], merge: Callable[..., Any]) -> Any:
    """A result of pictures, with their bands beside colours and alpha.

    Those that all of them have are merged, each with its counterparts: ``merge`` gives the result for grey pictures.
    A band that only one has is kept as it is. Results in memory, in which there is no place for bands, go without.
    """
    further = [picture.further for picture in pictures]
    if not any(further):
        return result
    if not isinstance(result, Raster):
        left = numbers(Band(np.empty(0), band.label) for band in max(further, key=len) if band.label)
        logger.warning("%s left out: images in memory have colours and alpha only; fuse_files writes TIFF", left)
        return result
    dtype = array_dtype(result.array.dtype, "the result")
    bands = []
    for found in zip_longest(*further):
        there = [replace(band, dtype=dtype) for band in found if band is not None]
        first = there[0]
        merged = merge(*there) if len(there) == len(pictures) else first.pack(first.pixels, None)
        assert first.label is not None
        bands.append(Band(merged.array[..., 0], first.label))
    return replace(result, bands=tuple(bands))


def without_bands(picture: ReadablePicture) -> ReadablePicture:
    """For a stack, which has none; the log says so."""
    if not picture.further:
        return picture
    logger.warning("%s: %d further bands left out of a stack", picture.name, len(picture.further))
    return replace(picture.load(), bands=())


def pack_raster(pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, metadata: Metadata) -> Raster:
    planes = pixels if alpha is None else torch.cat([pixels, alpha], dim=1)
    array = interleaved(planes, dtype)
    return Raster(array if metadata.missing is None else metadata.missing.marked(array), metadata)


def pack_pil(pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, metadata: Metadata) -> Image.Image:
    raster = pack_raster(pixels, alpha, dtype, metadata)
    return to_pil(raster if raster.fits_pillow else rounded(raster, np.dtype(np.uint8)))


def pack_pil_or_array(
    pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, metadata: Metadata
) -> "Image.Image | np.ndarray[Any, Any]":
    raster = pack_raster(pixels, alpha, dtype, metadata)
    return to_pil(raster) if raster.fits_pillow else interleaved(joined(pixels, alpha), dtype)


def pack_bytes(pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, metadata: Metadata) -> bytes:
    return encode(pack_raster(pixels, alpha, dtype, metadata), "the result")
