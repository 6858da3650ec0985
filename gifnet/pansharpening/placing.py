"""Where ``xarray.DataArray``s lie on the ground, by their coordinates, as rioxarray writes them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..chunked.labelled import Axes
from ..errors import InputError
from .datasets import rasterio_module
from .grids import Array, Axis, Grid

REGULAR = 0.01  # pixels, by which coordinates may be off a regular grid


@dataclass(frozen=True)
class Placed:
    """A DataArray and which of its dimensions are rows and columns."""

    image: Any
    axes: Axes
    name: str

    @property
    def nodata(self) -> float | None:
        """The value of pixels without data, as rioxarray keeps it; of masked ones, that is NaN in any case."""
        for key in ("_FillValue", "missing_value", "nodata"):
            value = self.image.attrs.get(key)
            if value is not None:
                return float(value)
        return None

    @property
    def crs(self) -> str | None:
        """As a text, if there is one."""
        for coordinate in self.image.coords.values():
            for key in ("crs_wkt", "spatial_ref"):
                if coordinate.ndim == 0 and isinstance(coordinate.attrs.get(key), str):
                    return str(coordinate.attrs[key])
        return None

    def axis(self, which: int) -> tuple[float, float] | None:
        """The first pixel's centre and the distance to the next, of rows (0) or columns (1); None: there are none."""
        dim = (self.axes.rows, self.axes.columns)[which]
        if dim not in self.image.coords or self.image.sizes[dim] < 2:
            return None
        centres = np.asarray(self.image.coords[dim])
        if centres.dtype.kind not in "iuf":
            return None
        centres = centres.astype(np.float64)
        step = (centres[-1] - centres[0]) / (len(centres) - 1)
        off = np.abs(centres - (centres[0] + step * np.arange(len(centres)))).max()
        if step == 0 or off > REGULAR * abs(step):
            raise InputError(f"{self.name}: the coordinates {dim} are not evenly spaced; resample it first")
        return float(centres[0]), float(step)

    def image_of_result(self, ms: "Placed", grid: Grid) -> Any:
        """PAN, with coordinates if the multispectral image alone has any; for the labels of the result."""
        image = self.image
        own = [self.axis(which) for which in (0, 1)]
        if None not in own or None in [ms.axis(which) for which in (0, 1)]:
            return image
        for which, (dim, axis) in enumerate(
            zip((self.axes.rows, self.axes.columns), (grid.rows, grid.columns), strict=True)
        ):
            place = ms.axis(which)
            assert place is not None
            centres: Array = place[0] + place[1] * (np.arange(axis.fine) * axis.step + axis.offset)
            image = image.assign_coords({dim: (dim, centres)})
        for name, coordinate in ms.image.coords.items():
            if coordinate.ndim == 0 and "crs_wkt" in coordinate.attrs:
                attrs = {key: value for key, value in coordinate.attrs.items() if key != "GeoTransform"}
                image = image.assign_coords({name: coordinate.copy()})
                image.coords[name].attrs = attrs
        return image


def grid_of_labelled(ms: Placed, pan: Placed) -> Grid:
    """The grids of two DataArrays by their coordinates; where either has none, with the same outer edges.

    Raises InputError for different CRS, mirrored axes, and no overlap.
    """
    sizes = [[one.image.sizes[dim] for dim in (one.axes.rows, one.axes.columns)] for one in (ms, pan)]
    if None in [one.axis(which) for one in (ms, pan) for which in (0, 1)]:
        return Grid.of_shapes(sizes[0], sizes[1])
    if ms.crs and pan.crs and ms.crs != pan.crs and not _same_crs(ms.crs, pan.crs):
        raise InputError("ms and pan have different CRS; reproject the multispectral one first (rio.reproject)")
    axes = [_axis(ms, pan, which, sizes[0][which], sizes[1][which]) for which in (0, 1)]
    for first, end in (axis.overlap() for axis in axes):
        if end <= first:
            raise InputError("ms and pan don't overlap, by their coordinates")
    return Grid(*axes)


def _axis(ms: Placed, pan: Placed, which: int, coarse: int, fine: int) -> Axis:
    """One axis of both, by their coordinates."""
    of_ms, of_pan = ms.axis(which), pan.axis(which)
    assert of_ms is not None
    assert of_pan is not None
    ratio = of_pan[1] / of_ms[1]
    if ratio <= 0:
        raise InputError("pan is mirrored against ms; sort the coordinates of both alike (sortby)")
    if ratio > 1 + 1e-9:
        raise InputError("pan: its pixels are larger than those of ms; PAN must be the finer (swapped?)")
    return Axis(fine, coarse, ratio, (of_pan[0] - of_ms[0]) / of_ms[1])


def _same_crs(one: str, other: str) -> bool:
    """Whether two texts say the same."""
    crs = rasterio_module().crs.CRS
    return bool(crs.from_string(one) == crs.from_string(other))
