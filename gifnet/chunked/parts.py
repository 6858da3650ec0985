"""The parts of an image that tasks work on: its chunks, moved onto the network's grid, and joined where small."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ..regions import Region

SMALLEST = 256  # pixels a side; of less, what lies around a part is most of the work


@dataclass(frozen=True)
class Parts:
    """How an image is cut: where its parts begin and end along each side, from 0 to its length."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def sides(self) -> tuple[int, int]:
        """The image's height and width."""
        return self.rows[-1], self.columns[-1]

    @property
    def shape(self) -> tuple[int, int]:
        """How many parts there are, along each side."""
        return len(self.rows) - 1, len(self.columns) - 1

    @property
    def chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The parts' sizes, as Dask has them."""
        rows, columns = (tuple(end - start for start, end in pairwise(edges)) for edges in (self.rows, self.columns))
        return rows, columns

    def region(self, row: int, column: int) -> Region:
        """One part."""
        return Region(self.rows[row], self.rows[row + 1], self.columns[column], self.columns[column + 1])


def edges_of(
    chunks: Sequence[int], grid: int, smallest: int, far_enough: Callable[[int, int], bool] = lambda start, end: True
) -> tuple[int, ...]:
    """Where parts begin and end along a side that is cut into chunks of these lengths.

    Inner edges lie on the grid, next to the chunks' own. No part is shorter than ``smallest``, unless the side is, and
    ``far_enough`` holds for its two edges.
    """
    length = sum(chunks)
    edges = [0]
    for edge in accumulate(chunks):
        edge = round(edge / grid) * grid
        fits = edge - edges[-1] >= smallest and length - edge >= smallest
        if fits and far_enough(edges[-1], edge) and far_enough(edge, length):
            edges.append(edge)
    return (*edges, length)
