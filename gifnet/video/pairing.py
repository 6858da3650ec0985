"""Which frames of two videos are fused: those that were shown at the same time."""

from collections.abc import Iterator
from typing import NamedTuple

from .colours import Array
from .reading import Moment, VideoReader

ROUNDING = 2e-3  # seconds; containers round time stamps to milliseconds


class Pair(NamedTuple):
    """Two frames to fuse, and when."""

    time: float  # seconds, on the clock of the first video
    a: Array
    b: Array


class Pairs:
    """The pairs of two videos, in time.

    The one of the higher rate leads: the result has its frames. Each is paired with the other's nearest in time, if
    that is no further than half a frame of the other; those without one are left out, and counted in ``unpaired``.
    """

    def __init__(self, a: VideoReader, b: VideoReader) -> None:
        self.a, self.b = a, b
        self.a_leads = a.rate >= b.rate
        self.unpaired = 0

    @property
    def leading(self) -> VideoReader:
        """The video whose frames the result has."""
        return self.a if self.a_leads else self.b

    def moments(self) -> Iterator[tuple[Moment, Moment]]:
        """Both frames of each pair, the leading one first."""
        other = self.b if self.a_leads else self.a
        within = 0.5 / float(other.rate) + ROUNDING
        for moment, nearest in with_nearest(self.leading.moments(), other.moments()):
            if nearest is None or abs(nearest.time - moment.time) > within:
                self.unpaired += 1
            else:
                yield moment, nearest

    def __iter__(self) -> Iterator[Pair]:
        for first, second in self.moments():
            a, b = (first, second) if self.a_leads else (second, first)
            yield Pair(first.time, a.pixels, b.pixels)


def with_nearest(moments: Iterator[Moment], others: Iterator[Moment]) -> Iterator[tuple[Moment, Moment | None]]:
    """Each of ``moments`` with the nearest in time of the others, both in the order of their times; None: no others."""
    before: Moment | None = None
    after = next(others, None)
    for moment in moments:
        while after is not None and after.time <= moment.time:
            before, after = after, next(others, None)
        known = [other for other in (before, after) if other is not None]
        yield moment, min(known, key=lambda other: abs(other.time - moment.time), default=None)
