"""Planes on two grids, a coarse one (multispectral) and a fine one (PAN), read and resampled window by window.

A plane is anything with a ``shape`` (H, W) that gives arrays when sliced: an array, a band of a file, another plane
resampled. Resampling is separable, so a grid consists of two axes, rows and columns.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from ..errors import InputError

Array: TypeAlias = "np.ndarray[Any, Any]"
Window: TypeAlias = tuple[slice, slice]  # rows, columns
NYQUIST_RESPONSE = 0.3  # of a sensor, to a wave of two of its pixels
WINDOW = 512  # pixels a side, of what is worked on at once


class Plane(Protocol):
    """Numbers on a grid, read by the window."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""

    def __getitem__(self, window: Window, /) -> Array: ...


class Target(Protocol):
    """What windows of a result can be assigned to."""

    def __setitem__(self, window: Window, values: Array, /) -> None: ...


@dataclass(frozen=True)
class Taps:
    """The source pixels, along one axis, that resampled pixels are weighted sums of."""

    indices: Array  # (resampled pixels, taps): which source pixels; beyond the ends, the last one again
    weights: Array  # (resampled pixels, taps); the sum over the taps is 1


@dataclass(frozen=True)
class Axis:
    """One axis of both grids.

    Pixels are numbered from 0 at their centres: the centre of fine pixel ``j`` lies at coarse position
    ``step·j + offset``.
    """

    fine: int  # length in fine pixels
    coarse: int  # length in coarse pixels
    step: float  # coarse pixels per fine one, at most 1
    offset: float

    @property
    def reach(self) -> int:
        """How many fine pixels to either side ``down`` takes in."""
        return int(np.ceil(4 * self.deviation + 0.5))

    @property
    def deviation(self) -> float:
        """Standard deviation, in fine pixels, of the Gaussian that ``down`` uses."""
        return float(np.sqrt(-2 * np.log(NYQUIST_RESPONSE)) / np.pi / self.step)

    def up(self, start: int, stop: int) -> Taps:
        """From coarse to fine pixels ``start`` to ``stop - 1``: cubic convolution (Keys, 1981, a = -1/2)."""
        centres = np.arange(start, stop) * self.step + self.offset
        indices = np.floor(centres).astype(int)[:, None] + np.arange(-1, 3)
        near = np.abs(indices - centres[:, None])
        inner = (1.5 * near - 2.5) * near**2 + 1
        outer = ((2.5 - 0.5 * near) * near - 4) * near + 2
        return Taps(indices.clip(0, self.coarse - 1), np.where(near < 1, inner, outer))

    def down(self, start: int, stop: int) -> Taps:
        """From fine to coarse pixels ``start`` to ``stop - 1``: a Gaussian."""
        centres = (np.arange(start, stop) - self.offset) / self.step
        indices = np.rint(centres).astype(int)[:, None] + np.arange(-self.reach, self.reach + 1)
        distances = (indices - centres[:, None]) / self.deviation
        weights = np.where(np.abs(distances) <= 4, np.exp(-0.5 * distances**2), 0)
        return Taps(indices.clip(0, self.fine - 1), weights / weights.sum(axis=1, keepdims=True))

    def nearest(self, start: int, stop: int) -> Taps:
        """From coarse to fine pixels ``start`` to ``stop - 1``: the coarse pixel that each lies in."""
        indices = np.rint(np.arange(start, stop) * self.step + self.offset).astype(int)[:, None]
        return Taps(indices.clip(0, self.coarse - 1), np.ones(indices.shape))

    def covered(self, start: int, stop: int) -> Array:
        """Which fine pixels from ``start`` to ``stop - 1`` lie in the coarse grid, or half a coarse pixel beyond."""
        centres = np.arange(start, stop) * self.step + self.offset
        result: Array = (centres >= -1) & (centres <= self.coarse)
        return result

    def overlap(self) -> tuple[int, int]:
        """The first coarse pixel whose centre lies within the fine grid, and the one after the last."""
        first = int(np.ceil(self.offset - 0.5 * self.step))
        last = int(np.floor(self.offset + (self.fine - 0.5) * self.step))
        return max(0, first), min(self.coarse, last + 1)


@dataclass(frozen=True)
class Grid:
    """A multispectral image's grid (coarse) and PAN's (fine)."""

    rows: Axis
    columns: Axis

    @classmethod
    def of_shapes(cls, ms: Sequence[int], pan: Sequence[int], ms_name: str = "ms", pan_name: str = "pan") -> "Grid":
        """The grids of images (H, W) with the same outer edges. Raises InputError for shapes that can't have them."""
        steps = [coarse / fine for coarse, fine in zip(ms, pan, strict=True)]
        sizes = f"{pan_name} is {pan[1]}×{pan[0]} pixels and {ms_name} {ms[1]}×{ms[0]}"
        if max(steps) > 1:
            raise InputError(f"{sizes}: pan must be the finer (swapped?)")
        if abs(pan[0] * ms[1] - pan[1] * ms[0]) > max(pan):  # more than a multispectral pixel
            raise InputError(
                f"{sizes}, ratios of {1 / steps[1]:.3g} and {1 / steps[0]:.3g}: they can't be of one extent; crop them "
                "to it"
            )
        axes = [
            Axis(fine, coarse, coarse / fine, 0.5 * coarse / fine - 0.5) for coarse, fine in zip(ms, pan, strict=True)
        ]
        return cls(*axes)

    def up(self, coarse: Plane) -> "Resampled":
        """A plane of the coarse grid on the fine one."""
        return Resampled(coarse, self.rows.up, self.columns.up, (self.rows.fine, self.columns.fine))

    def down(self, fine: Plane) -> "Resampled":
        """A plane of the fine grid on the coarse one."""
        return Resampled(fine, self.rows.down, self.columns.down, (self.rows.coarse, self.columns.coarse))

    def nearest(self, coarse: Plane) -> "Resampled":
        """A plane of the coarse grid on the fine one, without interpolation."""
        return Resampled(coarse, self.rows.nearest, self.columns.nearest, (self.rows.fine, self.columns.fine))


@dataclass(frozen=True)
class Resampled:
    """A plane brought to another grid. It is computed when read; the size of the windows does not change its values."""

    source: Plane
    rows: Callable[[int, int], Taps]
    columns: Callable[[int, int], Taps]
    shape: tuple[int, int]

    def __getitem__(self, window: Window) -> Array:
        rows = self.rows(*window[0].indices(self.shape[0])[:2])
        columns = self.columns(*window[1].indices(self.shape[1])[:2])
        top, left = int(rows.indices.min()), int(columns.indices.min())
        values = self.source[top : int(rows.indices.max()) + 1, left : int(columns.indices.max()) + 1]
        values = _weighted(values.astype(np.float64), rows.indices - top, rows.weights)
        return _weighted(values.T, columns.indices - left, columns.weights).T


def _weighted(values: Array, indices: Array, weights: Array) -> Array:
    """Weighted sums of rows of ``values``. Added tap by tap, so that rounding does not depend on the window."""
    total = np.zeros((len(indices), values.shape[1]))
    for index, weight in zip(indices.T, weights.T, strict=True):
        total += values[index] * weight[:, None]
    return total


def windows(shape: tuple[int, int], size: int = WINDOW) -> Iterator[Window]:
    """Windows of at most ``size`` pixels a side that cover a plane, row by row."""
    for top in range(0, shape[0], size):
        for left in range(0, shape[1], size):
            yield slice(top, min(top + size, shape[0])), slice(left, min(left + size, shape[1]))
