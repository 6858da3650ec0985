"""Pixels of a GeoTIFF that have no data, by the nodata value in its tags: the result has none there either."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

Array: TypeAlias = "np.ndarray[Any, Any]"
GDAL_NODATA = 42113  # the tag


@dataclass(frozen=True)
class Missing:
    """Which pixels of an image have no data, and the value that marks them."""

    value: float
    where: Array  # (H, W), true or false

    @classmethod
    def of(cls, array: Array, geo: bytes) -> "Missing | None":
        """Of an image (H, W, C) whose tags are ``geo``, in the form of EXIF. None: all pixels have data."""
        value = _value(geo)
        if value is None or not _holds(array.dtype, value):
            return None
        where = (_colours(array) == value).all(axis=2)
        return cls(value, where) if where.any() else None

    def joined(self, other: "Missing | None") -> "Missing":
        """Where either has no data."""
        if other is None or other.where.shape != self.where.shape:
            return self
        return Missing(self.value, self.where | other.where)

    def marked(self, array: Array) -> Array:
        """An image (H, W, C) with the value where there are no data, and with its neighbour where there are."""
        if array.shape[:2] != self.where.shape or not _holds(array.dtype, self.value):
            return array
        marked = array.copy()
        colours = _colours(marked)
        value = np.asarray(self.value, array.dtype)
        colours[(colours == value).all(axis=2) & ~self.where] = _neighbour(value)
        colours[self.where] = value
        return marked


def _value(geo: bytes) -> float | None:
    if not geo:
        return None
    tags = Image.Exif()
    tags.load(geo)
    try:
        return float(tags[GDAL_NODATA])
    except (KeyError, TypeError, ValueError):
        return None


def _holds(dtype: "np.dtype[Any]", value: float) -> bool:
    """Whether an image of this dtype can have this value; floating point lies in [0, 1]."""
    if dtype.kind == "f":
        return 0 <= value <= 1
    return value.is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _colours(array: Array) -> Array:
    """All channels but alpha."""
    return array[..., : 1 if array.shape[2] < 3 else 3]


def _neighbour(value: Array) -> Any:
    """The next value of its dtype: above it, unless it is the highest."""
    if value.dtype.kind == "f":
        return np.nextafter(value, np.asarray(1 if value < 1 else 0, value.dtype))
    return value - 1 if value == np.iinfo(value.dtype).max else value + 1
