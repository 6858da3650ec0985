"""A task's part of an array, with what lies around it."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Strips: TypeAlias = tuple[Array, Array, Array, Array]  # of a chunk: its first and last rows, first and last columns
NEIGHBOURS = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0))


class View:
    """A part of an array (H, W, ...) that is sliced as if it were the whole array."""

    def __init__(self, values: Array, top: int, left: int, shape: tuple[int, ...]) -> None:
        self.values, self.top, self.left, self.shape = values, top, left, shape

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.values.dtype

    def __getitem__(self, key: tuple[Any, ...]) -> Array:
        """Rows and columns, two slices, and what else there is; all rows and columns must be there."""
        rows, columns, *others = key
        places = []
        for part, length, first, have in zip(
            (rows, columns), self.shape, (self.top, self.left), self.values.shape, strict=False
        ):
            start, stop, _ = part.indices(length)
            if start < first or stop > first + have:
                raise IndexError(f"{start} to {stop}: this part has {first} to {first + have}")
            places.append(slice(start - first, stop - first))
        result: Array = self.values[(*places, *others)]
        return result


def strips_of(chunk: Array, halo: tuple[int, int]) -> Strips:
    """Copies of what a chunk's neighbours need of it: so many rows and columns."""
    rows, columns = halo
    height, width = chunk.shape[:2]
    strips = chunk[:rows], chunk[max(0, height - rows) :], chunk[:, :columns], chunk[:, max(0, width - columns) :]
    first, last, left, right = (strip.copy() for strip in strips)
    return first, last, left, right


def surrounded(chunk: Array, strips: Sequence[Strips | None], halo: tuple[int, int]) -> tuple[Array, int, int]:
    """A chunk with so many rows and columns around it, as far as it has neighbours; and how many above and to the left.

    ``strips``: the neighbours', in the order of ``NEIGHBOURS``.
    """
    by_place = {place: one for place, one in zip(NEIGHBOURS, strips, strict=True) if one is not None}
    if not by_place:
        return chunk, 0, 0
    rows, columns = halo
    above, below = (rows * ((side, 0) in by_place) for side in (-1, 1))
    before, after = (columns * ((0, side) in by_place) for side in (-1, 1))
    height, width = chunk.shape[:2]
    empty = np.ma.empty if isinstance(chunk, np.ma.MaskedArray) else np.empty
    whole = empty((above + height + below, before + width + after, *chunk.shape[2:]), chunk.dtype)
    whole[above : above + height, before : before + width] = chunk
    down = {-1: slice(0, above), 0: slice(above, above + height), 1: slice(above + height, None)}
    across = {-1: slice(0, before), 0: slice(before, before + width), 1: slice(before + width, None)}
    for (row, column), (first, last, left, right) in by_place.items():
        strip = last if row < 0 else first if row > 0 else right if column < 0 else left
        if row and column:
            strip = strip[:, max(0, strip.shape[1] - columns) :] if column < 0 else strip[:, :columns]
        whole[down[row], across[column]] = strip
    return whole, above, before
