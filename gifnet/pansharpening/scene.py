"""A multispectral raster and its panchromatic one, placed on each other by their georeferences."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .arrays import cast
from .bands import Band, Filled, ValidInBoth, Validity
from .grids import Array, Axis, Grid, Window
from .method import Fuse, sharpened

BLOCK = 512  # pixels a side of the GeoTIFF's tiles
SLACK = 0.01  # multispectral pixels that a rotation may shift over the whole image


@dataclass(frozen=True)
class Scene:
    """A multispectral raster and its panchromatic one, checked and placed on each other."""

    ms: Any
    pan: Any
    grid: Grid
    transform: Any  # of PAN's grid
    crs: Any
    nodata: float | None

    @classmethod
    def of(cls, ms: Any, pan: Any, nodata: float | None) -> "Scene":
        """Of open datasets. Raises InputError, naming the file, where they can't be sharpened."""
        interpretation = {colour.name for colour in ms.colorinterp}
        if interpretation & {"alpha", "palette"}:
            kind = "an alpha band" if "alpha" in interpretation else "a palette"
            raise InputError(f"{ms.name}: has {kind}; give spectral bands, and a nodata value for pixels without data")
        if len(set(ms.dtypes)) > 1:
            raise InputError(f"{ms.name}: bands of {', '.join(sorted(set(ms.dtypes)))}; give one dtype for all")
        if pan.count != 1:
            raise InputError(
                f"{pan.name}: {pan.count} bands; a panchromatic raster has one (is it the multispectral one?)"
            )
        located = [dataset.crs is not None or not dataset.transform.is_identity for dataset in (ms, pan)]
        grid = _georeferenced(ms, pan) if all(located) else Grid.of_shapes(ms.shape, pan.shape)
        transform, crs = pan.transform, pan.crs
        if located == [True, False]:
            pixel = np.diag([ms.width / pan.width, ms.height / pan.height, 1])
            transform, crs = type(ms.transform)(*(_matrix(ms.transform) @ pixel)[:2].ravel()), ms.crs
        return cls(ms, pan, grid, transform, crs, _nodata(ms, pan, nodata))

    @property
    def dtype(self) -> "np.dtype[Any]":
        """That of all multispectral bands, and of the result."""
        dtype: np.dtype[Any] = np.dtype(self.ms.dtypes[0])
        return dtype

    def profile(self) -> dict[str, Any]:
        """How rasterio is to open the result."""
        return {
            "driver": "GTiff", "width": self.pan.width, "height": self.pan.height, "count": self.ms.count,
            "dtype": self.dtype, "crs": self.crs, "transform": self.transform, "nodata": self.nodata,
            "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "band", "bigtiff": "if_safer",
            "compress": "deflate", "predictor": 3 if self.dtype.kind == "f" else 2,
        }  # fmt: skip

    def describe(self, sink: Any) -> None:
        """Copy what the multispectral raster says of its bands."""
        sink.descriptions, sink.scales, sink.offsets = self.ms.descriptions, self.ms.scales, self.ms.offsets
        sink.colorinterp = self.ms.colorinterp
        for index in range(self.ms.count + 1):  # 0: the file's own
            tags = {key: value for key, value in self.ms.tags(index).items() if not key.startswith("STATISTICS_")}
            sink.update_tags(index, **{key: value for key, value in tags.items() if key != "AREA_OR_POINT"})

    def sharpen(
        self, fuse: Fuse, scratch: Callable[[tuple[int, int]], Array] | None = None
    ) -> Iterator[tuple[int, Window, Array]]:
        """Band numbers (from 0), windows of PAN's grid, and their sharpened values in the result's dtype.

        Raises InputError where pixels have no data, and there is no nodata value.
        """
        pan = Band(self.pan, 1)
        pan_valid = Validity(pan)
        pan_filled = Filled.of(pan, pan_valid)
        for index in range(self.ms.count):
            band = Band(self.ms, index + 1)
            valid = Validity(band)
            both = ValidInBoth(valid, self.grid.down(pan_valid))
            covered = self.grid.nearest(valid)
            filled = Filled.of(band, valid)
            for window, values in sharpened(fuse, filled, pan_filled, self.grid, both, scratch):
                mask = (covered[window] > 0) & pan_valid[window] & self._inside(window)
                yield index, window, self._packed(values, mask)

    def _inside(self, window: Window) -> Array:
        """Where fine pixels lie in the multispectral raster, or within half of one of its pixels."""
        rows, columns = (
            np.arange(part.start, part.stop) * axis.step + axis.offset
            for part, axis in zip(window, (self.grid.rows, self.grid.columns), strict=True)
        )
        inside = [(c >= -1) & (c <= axis.coarse) for c, axis in ((rows, self.grid.rows), (columns, self.grid.columns))]
        return inside[0][:, None] & inside[1]

    def _packed(self, values: Array, mask: Array) -> Array:
        """In the result's dtype, nodata where ``mask`` is false, and no such value elsewhere."""
        packed = cast(values, self.dtype)
        if self.nodata is not None and np.isfinite(self.nodata):
            value = np.asarray(self.nodata).astype(self.dtype)
            packed[packed == value] = _neighbour(value)
        if not mask.all():
            if self.nodata is None:
                raise InputError(
                    f"{self.ms.name}, {self.pan.name}: some pixels have no data, or lie beyond the multispectral "
                    "raster, and there is no nodata value to mark them; give one (nodata=, --nodata), or crop"
                )
            packed[~mask] = self.nodata
        return packed


def _neighbour(value: Array) -> Any:
    """The next value of its dtype: above it, unless there is none."""
    if value.dtype.kind == "f":
        return np.nextafter(value, np.asarray(np.inf, value.dtype))
    return value - 1 if value == np.iinfo(value.dtype).max else value + 1


def _matrix(transform: Any) -> Array:
    """An affine transform as a 3×3 matrix."""
    return np.array([[transform.a, transform.b, transform.c], [transform.d, transform.e, transform.f], [0, 0, 1]])


def _georeferenced(ms: Any, pan: Any) -> Grid:
    """The grids, placed by their transforms. Raises InputError for different CRS, rotation, and no overlap."""
    if ms.crs is not None and pan.crs is not None and ms.crs != pan.crs:
        raise InputError(
            f"{ms.name} is in {ms.crs.to_string()} but {pan.name} in {pan.crs.to_string()}; "
            "reproject the multispectral raster first (gdalwarp, rio warp)"
        )
    to_ms = np.linalg.inv(_matrix(ms.transform)) @ _matrix(pan.transform)  # PAN's pixel corners to multispectral ones
    (across, skew_x, left), (skew_y, down, top) = (tuple(float(x) for x in row) for row in to_ms[:2])
    if max(abs(skew_x) * pan.height, abs(skew_y) * pan.width) > SLACK or min(across, down) <= 0:
        raise InputError(f"{pan.name} is rotated or mirrored against {ms.name}; warp one to the other's axes first")
    if max(across, down) > 1 + 1e-9:
        raise InputError(f"{pan.name}: its pixels are larger than those of {ms.name}; PAN must be the finer (swapped?)")
    rows = Axis(pan.height, ms.height, down, 0.5 * down + top - 0.5)
    columns = Axis(pan.width, ms.width, across, 0.5 * across + left - 0.5)
    for first, end in (rows.overlap(), columns.overlap()):
        if end <= first:
            raise InputError(f"{ms.name} and {pan.name} don't overlap, by their georeferences")
    return Grid(rows, columns)


def _nodata(ms: Any, pan: Any, nodata: float | None) -> float | None:
    """The result's nodata value. Raises InputError for one that the dtype can't hold."""
    dtype = np.dtype(ms.dtypes[0])

    def fits(value: float) -> bool:
        if dtype.kind == "f":
            return True
        return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max

    if nodata is not None and not fits(nodata):
        raise InputError(f"nodata: {nodata:g} is no value of {dtype}, the dtype of {ms.name}")
    for value in (nodata, ms.nodata, pan.nodata):
        if value is not None and fits(value):
            return float(value)
    return float("nan") if dtype.kind == "f" else None
