"""The content of an image file: pixels at their own depth, and metadata."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from .bands import Band
from .metadata import NO_METADATA, Metadata

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Raster:
    """The content of an image file."""

    array: Array  # (H, W, C) uint8, uint16, or float32 in [0, 1]; C: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
    # Read from files, it may also have other integers or floating point outside [0, 1], without alpha.
    metadata: Metadata = NO_METADATA
    window: tuple[float, float] | None = None  # of values on a scale of their own: what is black and white
    inverted: bool = False  # where there is a window: low values are white
    bands: tuple[Band, ...] = ()  # beside colours and alpha, of a TIFF, in the array's dtype

    @property
    def alpha(self) -> bool:
        return self.array.shape[2] in (2, 4)

    @property
    def fits_pillow(self) -> bool:
        """Whether a PIL image holds it: 8 bits, or grey."""
        return bool(self.array.dtype == np.uint8) or self.array.shape[2] == 1


def rounded(raster: Raster, dtype: "np.dtype[Any]") -> Raster:
    """At a lesser depth, each level rounded to the nearest."""
    array = raster.array
    if array.dtype == np.float32:
        top = np.iinfo(dtype).max
        array = (array.clip(0, 1) * top).round().astype(dtype)
    else:
        array = ((array.astype(np.uint32) + 128) // 257).astype(dtype)
    return replace(raster, array=array)


def depth(dtype: "np.dtype[Any]") -> int:
    return int(dtype.itemsize)  # 1, 2 and 4 bytes: uint8 < uint16 < float32
