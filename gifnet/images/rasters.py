"""Pictures of rasters: of what image files, their bytes and PIL images hold."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..files.metadata import Metadata
from ..files.pillow import to_pil
from ..files.raster import Raster, rounded
from ..files.writing import encode
from .arrays import array_dtype, interleaved, planes_of
from .levels import joined
from .picture import Packer, Picture, UnscaledPicture, picture_of, result_dtype


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
    return picture_of(planes, colours, name=name, packer=packer, dtype=dtype, metadata=raster.metadata, file=file)


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
