"""Where rasters lie on the ground: a multispectral raster placed on PAN's grid, and what the result says of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .datasets import rasterio_module
from .grids import Array, Axis, Grid

SLACK = 0.01  # multispectral pixels that a rotation may shift over the whole image


def grid_of(ms: Any, pan: Any) -> Grid:
    """The grids of two datasets, by their transforms, else with the same outer edges.

    Raises InputError for different CRS, rotation, and no overlap.
    """
    if not (_is_placed(ms) and _is_placed(pan)):
        return Grid.of_shapes(ms.shape, pan.shape, ms.name, pan.name)
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


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of PAN's grid lie on the ground."""

    crs: Any
    transform: Any  # None: unknown
    gcps: list[Any]  # ground control points
    gcps_crs: Any
    rpcs: Any  # rational polynomial coefficients, or None

    @classmethod
    def of(cls, ms: Any, pan: Any, grid: Grid) -> "Georeference":
        """PAN's own; what it does not say is taken from the multispectral dataset, brought to PAN's grid."""
        crs, transform, (gcps, gcps_crs), rpcs = pan.crs, pan.transform, pan.gcps, pan.rpcs
        if not (_is_placed(pan) or gcps):
            if _is_placed(ms):
                crs, transform = ms.crs, _on_pan(ms.transform, grid)
            else:
                gcps, gcps_crs = [_point_on_pan(point, grid) for point in ms.gcps[0]], ms.gcps[1]
        if rpcs is None and ms.rpcs is not None:
            rpcs = _rpcs_on_pan(ms.rpcs, grid)
        if crs is None:
            crs = ms.crs
        return cls(crs, None if transform.is_identity else transform, gcps, gcps_crs, rpcs)

    def write(self, sink: Any) -> None:
        """Into a dataset open for writing, which has the CRS and the transform."""
        if self.gcps:
            sink.gcps = self.gcps, self.gcps_crs
        if self.rpcs is not None:
            sink.rpcs = self.rpcs


def _is_placed(dataset: Any) -> bool:
    """By its transform; a CRS alone says nothing of where."""
    return not dataset.transform.is_identity


def _matrix(transform: Any) -> Array:
    """An affine transform as a 3×3 matrix."""
    return np.array([[transform.a, transform.b, transform.c], [transform.d, transform.e, transform.f], [0, 0, 1]])


def _first_edge(axis: Axis) -> float:
    """Where the fine grid begins, in coarse pixels from the coarse grid's edge."""
    return axis.offset + 0.5 - 0.5 * axis.step


def _on_pan(transform: Any, grid: Grid) -> Any:
    """A transform of the multispectral grid for PAN's."""
    rows, columns = grid.rows, grid.columns
    to_ms = np.array([[columns.step, 0, _first_edge(columns)], [0, rows.step, _first_edge(rows)], [0, 0, 1]])
    return type(transform)(*(_matrix(transform) @ to_ms)[:2].ravel())


def _point_on_pan(point: Any, grid: Grid) -> Any:
    """A ground control point of the multispectral grid for PAN's; rows and columns count from the grids' edges."""
    row, column = (
        (place - _first_edge(axis)) / axis.step for place, axis in ((point.row, grid.rows), (point.col, grid.columns))
    )
    make = rasterio_module().control.GroundControlPoint
    return make(row=row, col=column, x=point.x, y=point.y, z=point.z, id=point.id, info=point.info)


def _rpcs_on_pan(rpcs: Any, grid: Grid) -> Any:
    """RPCs of the multispectral grid for PAN's; lines and samples count from the centre of the first pixel."""
    values = rpcs.to_dict()
    for name, axis in (("line", grid.rows), ("samp", grid.columns)):
        values[f"{name}_off"] = (values[f"{name}_off"] - axis.offset) / axis.step
        values[f"{name}_scale"] = values[f"{name}_scale"] / axis.step
    return type(rpcs)(**values)
