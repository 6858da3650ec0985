"""Pan-sharpening of Dask arrays, part by part: what a task does. See ``gifnet.chunked``.

The passes over the parts gather, for each band: where pixels have no data, the mean that they are filled with; the
statistics of the band and PAN; and those that the network needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..chunked.job import Known
from ..chunked.model import TaskModel
from ..chunked.parts import Parts
from ..chunked.view import View
from ..errors import InputError
from ..execution.form import Part
from ..regions import Region
from .dtypes import cast, holds, neighbour
from .filling import FILL_REACH, Filled, MaskedPlane, ValidInBoth, ValidOnPan
from .grids import Array, Axis, Grid, Plane, Window, windows
from .method import Injected, PairMoments, PairStatistics

TAPS = 3  # coarse pixels that cubic convolution reaches to either side, and one for rounding


@dataclass(frozen=True)
class Marks:
    """What of an input has no data: masked pixels, ``nodata``, and NaN if it may hold any."""

    name: str
    nodata: float | None
    may_be_nan: bool

    def planes(self, view: View, band: int) -> MaskedPlane:
        """One band."""
        return MaskedPlane(_Values(view, band), _Valid(view, band, self))


@dataclass(frozen=True)
class _Values:
    view: View
    band: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.view.shape[0], self.view.shape[1]

    def __getitem__(self, window: Window) -> Array:
        return np.ma.getdata(self.view[(*window, self.band)]).astype(np.float64)


@dataclass(frozen=True)
class _Valid:
    view: View
    band: int
    marks: Marks

    @property
    def shape(self) -> tuple[int, int]:
        return self.view.shape[0], self.view.shape[1]

    def __getitem__(self, window: Window) -> Array:
        given = self.view[(*window, self.band)]
        values: Array = np.ma.getdata(given)
        valid: Array = ~np.ma.getmaskarray(given)
        nodata = self.marks.nodata
        if nodata is not None and holds(values.dtype, nodata):
            valid &= values != np.asarray(nodata).astype(values.dtype)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not (self.marks.may_be_nan or (finite | ~valid).all()):
                raise InputError(
                    f"{self.marks.name}: holds NaN or infinite values; replace them, mask them "
                    "(dask.array.ma.masked_invalid), or give DataArrays, of which NaN is nodata"
                )
            valid &= finite
        return valid


@dataclass
class SharpeningJob:
    """Sharpening all bands: see ``chunked.job.Job``. Its inputs are the bands (h, w, C) and PAN (H, W, 1)."""

    model: TaskModel
    parts: Parts  # of PAN and the result
    coarse: Parts  # of the bands
    grid: Grid
    tile: int
    bands: int
    marks: tuple[Marks, Marks]  # of the bands and of PAN
    marked: bool  # pixels may have no data
    masked: bool  # and the result is a masked array
    nodata: float | None  # what marks them in it otherwise
    dtype: "np.dtype[Any]"
    flat: bool  # without an axis of bands

    @property
    def inputs(self) -> list[Parts]:
        return [self.coarse, self.parts]

    @property
    def measures(self) -> int:
        return self.first + self.model.form.measures

    @property
    def first(self) -> int:
        """The network's first pass."""
        return 2 if self.marked else 1

    @property
    def margin(self) -> int:
        """Pixels around a part, on the network's grid, that are fused for its fine detail."""
        reach = max(axis.reach + int(np.ceil((TAPS + 1) / axis.step)) for axis in (self.grid.rows, self.grid.columns))
        return reach + -reach % self.model.form.grid

    def halos(self, number: int) -> list[tuple[int, int]]:
        if self.marked and number == 0:
            return [(0, 0), (0, 0)]
        form, fill = self.model.form, FILL_REACH * self.marked
        axes = self.grid.rows, self.grid.columns
        if number < self.first:  # a coarse pixel may lie a little outside the part
            fine = [axis.reach + int(np.ceil(1 / axis.step)) for axis in axes]
        else:
            last = number == self.measures
            fine = [form.reach(number - self.first) + self.margin * last] * 2
        coarse = [int(np.ceil(reach * axis.step)) + TAPS + 1 for reach, axis in zip(fine, axes, strict=True)]
        return [(coarse[0] + fill, coarse[1] + fill), (fine[0] + fill, fine[1] + fill)]

    def measure(self, known: Known, place: tuple[int, int], views: Sequence[View]) -> list[Any]:
        number, planes = len(known), self._planes(views)
        if self.marked and number == 0:
            return [self._totals(plane, index, place) for index, plane in enumerate(planes)]
        pan, bands = self._filled(known, planes)
        if number < self.first:
            return [self._moments(band, pan, planes, index, place) for index, band in enumerate(bands)]
        found = []
        for index, (band, statistics) in enumerate(zip(bands, self._statistics(known), strict=True)):
            part = self._part(band, pan, statistics, self.parts.region(*place))
            before = [each[index] for each in known[self.first :]]
            found.append(self.model.form.measure(part, before) if statistics.correlation > 0 else None)
        return found

    def merged(self, number: int, found: Sequence[list[Any]]) -> list[Any]:
        of_bands = list(zip(*found, strict=True))
        if self.marked and number == 0:
            return [tuple(map(sum, zip(*each, strict=True))) for each in of_bands]
        if number < self.first:
            return [reduce(PairMoments.merged, each, PairMoments.none()) for each in of_bands]
        return [None if each[0] is None else self.model.form.merged(each) for each in of_bands]

    def finish(self, known: Known, place: tuple[int, int], views: Sequence[View]) -> Array:
        planes, region = self._planes(views), self.parts.region(*place)
        pan, bands = self._filled(known, planes)
        result = np.empty((*region.shape, self.bands), self.dtype)
        missing = np.zeros(result.shape, bool)
        for index, (band, statistics) in enumerate(zip(bands, self._statistics(known), strict=True)):
            before = [each[index] for each in known[self.first :]]
            sharp = self._sharp(band, pan, statistics, before, region)
            valid = ValidOnPan(planes[index].valid, planes[-1].valid, self.grid)
            for window in windows(region.shape):
                there = _moved(window, region)
                values, mask = cast(sharp[there], self.dtype), valid[there] if self.marked else None
                result[(*window, index)] = self._packed(values, mask)
                if mask is not None:
                    missing[(*window, index)] = ~mask
        whole = np.ma.MaskedArray(result, missing) if self.masked else result
        return whole[..., 0] if self.flat else whole

    def _packed(self, values: Array, valid: "Array | None") -> Array:
        """Marked where there is no data, and nowhere else."""
        if self.nodata is not None and np.isfinite(self.nodata):
            value = np.asarray(self.nodata).astype(self.dtype)
            values[values == value] = neighbour(value)
        if valid is not None:
            values[~valid] = 0 if self.nodata is None else self.nodata
        return values

    def _planes(self, views: Sequence[View]) -> list[MaskedPlane]:
        """The bands, and PAN."""
        bands, pan = views
        return [*(self.marks[0].planes(bands, index) for index in range(self.bands)), self.marks[1].planes(pan, 0)]

    def _totals(self, plane: MaskedPlane, index: int, place: tuple[int, int]) -> tuple[float, int, int]:
        """Sum and number of a plane's valid pixels in a part, and the number of all."""
        region = (self.parts if index == self.bands else self.coarse).region(*place)
        total, count = 0.0, 0
        for window in windows(region.shape):
            there = _moved(window, region)
            mask = plane.valid[there]
            total, count = total + float(plane.values[there][mask].sum()), count + int(mask.sum())
        return total, count, region.shape[0] * region.shape[1]

    def _filled(self, known: Known, planes: Sequence[MaskedPlane]) -> tuple[Plane, list[Plane]]:
        """PAN and the bands, finite everywhere."""
        if not self.marked:
            filled: list[Plane] = [_Checked(plane) for plane in planes]
        else:
            filled = [
                plane.values if count == size else Filled(plane.values, plane.valid, total / max(count, 1))
                for plane, (total, count, size) in zip(planes, known[0], strict=True)
            ]
        return filled[-1], filled[:-1]

    def _moments(
        self, band: Plane, pan: Plane, planes: Sequence[MaskedPlane], index: int, place: tuple[int, int]
    ) -> PairMoments:
        """Of a part's coarse pixels, where the grids overlap."""
        valid = ValidInBoth(planes[index].valid, self.grid.down(planes[-1].valid)) if self.marked else None
        region, axes = self.coarse.region(*place), (self.grid.rows, self.grid.columns)
        (top, bottom), (left, right) = (axis.overlap() for axis in axes)
        inside = Region(
            max(region.top, top), min(region.bottom, bottom), max(region.left, left), min(region.right, right)
        )
        moments = PairMoments.none()
        if min(inside.shape) > 0:
            for window in windows(inside.shape):
                moments = moments.merged(PairMoments.of(band, self.grid.down(pan), _moved(window, inside), valid))
        return moments

    def _statistics(self, known: Known) -> list[PairStatistics]:
        found = [PairStatistics.from_moments(moments) for moments in known[self.first - 1]]
        for statistics in found:
            statistics.check()
        return found

    def _part(self, band: Plane, pan: Plane, statistics: PairStatistics, region: Region) -> Part:
        a, b = statistics.normalised(self.grid.up(band), pan)

        def source(wanted: Region) -> Tensor:
            window = (slice(wanted.top, wanted.bottom), slice(wanted.left, wanted.right))
            return torch.from_numpy(np.stack([a[window], b[window]])[None])

        return Part(source, *self.parts.sides, region, self.tile)

    def _sharp(self, band: Plane, pan: Plane, statistics: PairStatistics, known: list[Any], region: Region) -> Plane:
        """The sharpened band on a region of PAN's grid."""
        if statistics.correlation <= 0:
            return self.grid.up(band)
        height, width = self.parts.sides
        around = region.grown(self.margin, Region(0, height, 0, width))
        fused = np.empty(around.shape, np.float32)

        def sink(written: Region, values: Tensor) -> None:
            written.crop(fused, around)[...] = values[0, 0].cpu().numpy()

        part = self._part(band, pan, statistics, around)
        self.model.form.fuse(part, known, self.model.checked(sink))
        view = View(fused, around.top, around.left, (height, width))
        return Injected(self.grid, band, view, statistics)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Checked:
    """A plane's values, looked through for what are no numbers."""

    plane: MaskedPlane

    @property
    def shape(self) -> tuple[int, int]:
        return self.plane.values.shape

    def __getitem__(self, window: Window) -> Array:
        _ = self.plane.valid[window]  # raises
        return self.plane.values[window]


def _moved(window: Window, region: Region) -> Window:
    """A window of a region as one of the whole."""
    rows, columns = window
    return (
        slice(region.top + rows.start, region.top + rows.stop),
        slice(region.left + columns.start, region.left + columns.stop),
    )


def coarse_edge(axis: Axis, edge: int) -> int:
    """Where the coarse pixels of a part begin that begins at this fine pixel; ends lie on ends."""
    if edge in (0, axis.fine):
        return 0 if edge == 0 else axis.coarse
    return min(max(round(edge * axis.step + axis.offset + 0.5), 0), axis.coarse)
