"""A result passed on with its surroundings, for what is done to it by neighbourhoods."""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from ..regions import Region
from .tiles import cut

MarginSink: TypeAlias = Callable[[Region, Region, Tensor], None]  # a region; it with its margin; what that one holds
PIECE = 512  # pixels a side of what is passed on at once


class Margins:
    """A sink that passes a result on in pieces, each with a margin as far as the image reaches.

    A network gives its result tile by tile, in rows from the top. One row of tiles is held, and what the margin needs
    of the row above it.
    """

    def __init__(self, image: Region, margin: int, sink: MarginSink) -> None:
        self._image, self._margin, self._sink = image, margin, sink
        self._held = Region(0, 0, image.left, image.right)
        self._values: Tensor | None = None  # (1, C, h, w) of ``_held``
        self._done = image.top  # rows above it are passed on

    def __call__(self, region: Region, values: Tensor) -> None:
        """Take a region's values (1, C, h, w). The first region again is a new attempt."""
        if (region.top, region.left) == (self._image.top, self._image.left):
            self._values, self._done = None, self._image.top
        if self._values is None or region.bottom > self._held.bottom:
            self._hold(region, values)
        assert self._values is not None
        region.crop(self._values, self._held).copy_(values)
        if region.right == self._image.right:
            self._pass_on()

    def _hold(self, region: Region, like: Tensor) -> None:
        """Make room for a row of tiles, below what is still needed of the row above."""
        top = max(self._done - self._margin, self._image.top)
        held = Region(top, region.bottom, self._image.left, self._image.right)
        values = like.new_empty((*like.shape[:2], *held.shape))
        if self._values is not None:
            above = Region(top, self._held.bottom, held.left, held.right)
            above.crop(values, held).copy_(above.crop(self._values, self._held))
        self._held, self._values = held, values

    def _pass_on(self) -> None:
        """What has its margin now."""
        assert self._values is not None
        last = self._held.bottom == self._image.bottom
        ready = Region(
            self._done, self._held.bottom - (0 if last else self._margin), self._image.left, self._image.right
        )
        if ready.bottom <= ready.top:
            return
        for piece in cut(ready, PIECE):
            grown = piece.grown(self._margin, self._image)
            self._sink(piece, grown, grown.crop(self._values, self._held))
        self._done = ready.bottom
