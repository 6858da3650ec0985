"""Regions cut into tiles."""

from collections.abc import Iterator

from ..regions import SHORTEST, Region

WHOLE = 1 << 30  # more pixels a side than any image has: one tile


def cut(region: Region, size: int, shift: int = 0, shortest: int = SHORTEST) -> Iterator[Region]:
    """Cut ``region`` into tiles of about ``size`` pixels a side.

    Cuts lie ``size`` apart from its corner; from a border of the image they begin ``shift`` later, where the shifted
    window grid does. What would be less than ``shortest`` joins its neighbour.
    """
    for top, bottom in _spans(region.top, region.bottom, size, shift, shortest):
        for left, right in _spans(region.left, region.right, size, shift, shortest):
            yield Region(top, bottom, left, right)


def _spans(start: int, stop: int, size: int, shift: int, shortest: int) -> Iterator[tuple[int, int]]:
    position = start
    end = position + size + (shift if start == 0 else 0)
    while stop - end >= shortest:
        yield position, end
        position, end = end, end + size
    yield position, stop
