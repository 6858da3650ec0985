"""What a dtype can hold: computed values brought into it, and nodata values."""

from typing import Any

import numpy as np

from .grids import Array

EXACT = 2**53  # integers up to here are exact in float64, in which values are computed and nodata values are kept


def cast(values: Array, dtype: "np.dtype[Any]") -> Array:
    """float64 to ``dtype``: integers rounded, and everything limited to the dtype's range."""
    if dtype.kind == "f":
        largest = float(np.finfo(dtype).max)
        return values.clip(-largest, largest).astype(dtype)
    limits = np.iinfo(dtype)
    top = float(limits.max)  # of 64 bits, one more than the limit
    below = top if int(top) <= limits.max else np.nextafter(top, 0)
    rounded = np.rint(values)
    result: Array = rounded.clip(limits.min, below).astype(dtype)
    result[rounded > below] = limits.max
    return result


def holds(dtype: "np.dtype[Any]", value: float) -> bool:
    """Whether a raster of this dtype can have this nodata value."""
    if dtype.kind == "f":
        return not np.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
    if not float(value).is_integer():  # NaN and infinity too
        return False
    limits = np.iinfo(dtype)
    return max(limits.min, -EXACT) <= value <= min(limits.max, EXACT)


def neighbour(value: Array) -> Any:
    """The next value of its dtype: above it, unless there is none."""
    if value.dtype.kind == "f":
        largest = np.finfo(value.dtype).max
        return np.nextafter(value, -largest if value == largest else largest)
    return value - 1 if value == np.iinfo(value.dtype).max else value + 1
