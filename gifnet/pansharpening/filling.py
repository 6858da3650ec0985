"""Planes that have no data everywhere: filled before anything is resampled, marked in what is sharpened.

Pixels without data have no say in the others. They are filled from valid pixels nearby, and further away with the mean.
A sharpened pixel has data where PAN has, and where the multispectral pixel has that it lies in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .grids import Array, Grid, Plane, Window, windows
from .method import Fuse, sharpened

FILL_DEVIATION = 2.0  # pixels, of the Gaussian by which pixels without data are filled from valid ones
FILL_REACH = 8  # pixels
FILL_MEAN = 1e-3  # weight of the mean beside them


@dataclass(frozen=True)
class MaskedPlane:
    """A plane, and where it has data (true or false)."""

    values: Plane
    valid: Plane

    @cached_property
    def filled(self) -> Plane:
        """The plane, with other values where it has no data."""
        return Filled.of(self.values, self.valid)


def sharpened_where_valid(
    fuse: Fuse,
    band: MaskedPlane,
    pan: MaskedPlane,
    grid: Grid,
    scratch: Callable[[tuple[int, int]], Array] | None = None,
) -> Iterator[tuple[Window, Array, Array]]:
    """As ``method.sharpened``, of planes with pixels that have no data.

    Yields:
        Windows of the fine grid, their values, and where these are valid.
    """
    both = ValidInBoth(band.valid, grid.down(pan.valid))
    valid = ValidOnPan(band.valid, pan.valid, grid)
    for window, values in sharpened(fuse, band.filled, pan.filled, grid, both, scratch):
        yield window, values, valid[window]


@dataclass(frozen=True)
class ValidInBoth:
    """On the multispectral grid: where it has data, and PAN for the most part."""

    band: Plane
    pan_share: Plane

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.band.shape

    def __getitem__(self, window: Window) -> Array:
        result: Array = self.band[window] & (self.pan_share[window] > 0.5)
        return result


@dataclass(frozen=True)
class ValidOnPan:
    """On PAN's grid: where it has data, and the multispectral pixel that it lies in or within half a pixel of."""

    band: Plane
    pan: Plane
    grid: Grid

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pan.shape

    def __getitem__(self, window: Window) -> Array:
        rows, columns = (
            axis.covered(part.start, part.stop)
            for part, axis in zip(window, (self.grid.rows, self.grid.columns), strict=True)
        )
        result: Array = (self.grid.nearest(self.band)[window] > 0) & self.pan[window] & rows[:, None] & columns
        return result


@dataclass(frozen=True)
class Filled:
    """A plane whose pixels without data are filled: from valid ones near them, further away by ``mean``."""

    plane: Plane
    valid: Plane
    mean: float

    @classmethod
    def of(cls, plane: Plane, valid: Plane) -> Plane:
        """With the mean of what is valid, 0 where nothing is; the plane itself where everything is."""
        total, count = 0.0, 0
        for window in windows(plane.shape):
            mask = valid[window]
            total, count = total + float(plane[window][mask].sum(dtype=np.float64)), count + int(mask.sum())
        return plane if count == plane.shape[0] * plane.shape[1] else cls(plane, valid, total / max(count, 1))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.plane.shape

    def __getitem__(self, window: Window) -> Array:
        (top, bottom), (left, right) = (part.indices(side)[:2] for part, side in zip(window, self.shape, strict=True))
        if self.valid[top:bottom, left:right].all():
            return self.plane[window]
        around = tuple(
            slice(max(0, start - FILL_REACH), min(stop + FILL_REACH, side))
            for start, stop, side in zip((top, left), (bottom, right), self.shape, strict=True)
        )
        rows, columns = around
        mask = self.valid[rows, columns]
        offsets = np.where(mask, self.plane[rows, columns], self.mean) - self.mean
        near = _blurred(offsets) / (_blurred(mask.astype(np.float64)) + FILL_MEAN)
        inner = slice(top - rows.start, bottom - rows.start), slice(left - columns.start, right - columns.start)
        result: Array = np.where(mask, offsets, near)[inner] + self.mean
        return result


def _blurred(plane: Array) -> Array:
    """A Gaussian blur, zeros beyond the edges; tap by tap, so that the result does not depend on the window."""
    taps = np.exp(-0.5 * (np.arange(-FILL_REACH, FILL_REACH + 1) / FILL_DEVIATION) ** 2)
    taps /= taps.sum()
    for _ in range(2):
        padded = np.pad(plane, ((FILL_REACH, FILL_REACH), (0, 0)))
        plane = sum(tap * padded[i : i + len(plane)] for i, tap in enumerate(taps)).T
    return plane
