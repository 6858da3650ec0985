"""Rectangles of an image, and how they are cut for the network's stages."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from .networks.gifnet.cfgm import PATCH

Image = TypeVar("Image", Tensor, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]")

SHORTEST = 16  # pixels; shorter remainders join their neighbour, so that reflections at the border stay inside a tile


def shortest_tile(window: int) -> int:
    """SHORTEST, for windows of this many pixels, which a tile at the border fills up by reflection."""
    return max(SHORTEST, 2 * window)


class Sides(NamedTuple):
    """Which sides of a tile are the image's own: those are padded by reflection, the others have true surroundings."""

    left: bool = True
    right: bool = True
    top: bool = True
    bottom: bool = True


class Region(NamedTuple):
    """Pixels ``[top, bottom) × [left, right)`` of an image."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, by: int, within: "Region") -> "Region":
        """With ``by`` more pixels on every side, as far as there are any ``within``."""
        return Region(
            max(self.top - by, within.top),
            min(self.bottom + by, within.bottom),
            max(self.left - by, within.left),
            min(self.right + by, within.right),
        )

    def reaching(self, image: "Region", shortest: int = SHORTEST) -> "Region":
        """With sides that are nearly the image's own moved there, or the image's padding would be cut."""
        return Region(
            image.top if self.top - image.top < shortest else self.top,
            image.bottom if image.bottom - self.bottom < shortest else self.bottom,
            image.left if self.left - image.left < shortest else self.left,
            image.right if image.right - self.right < shortest else self.right,
        )

    def sides(self, image: "Region") -> Sides:
        """Which of its sides are the image's."""
        return Sides(
            self.left <= image.left, self.right >= image.right, self.top <= image.top, self.bottom >= image.bottom
        )

    def of(self, x: Image, origin: "Region") -> Image:
        """What ``x`` (..., H, W), which covers ``origin``, has of this region."""
        return x[
            ...,
            self.top - origin.top : self.bottom - origin.top,
            self.left - origin.left : self.right - origin.left,
        ]


Source: TypeAlias = Callable[[Region], Tensor]  # of both planes' region, (1, 2, h, w), floating point in [0, 1]
Sink: TypeAlias = Callable[[Region, Tensor], None]  # for the fused plane's, (1, 1, h, w), float32


def plane_jobs(a: Tensor, b: Tensor, fused: Tensor) -> list[tuple[Source, Sink]]:
    """Sources and sinks of planes in memory, (B, 1, H, W) each: one pair of them for each image."""
    whole = Region(0, a.shape[-2], 0, a.shape[-1])

    def job(index: int) -> tuple[Source, Sink]:
        def source(region: Region) -> Tensor:
            return torch.stack([region.of(plane[index], whole) for plane in (a, b)], dim=1)

        def sink(region: Region, values: Tensor) -> None:
            region.of(fused[index], whole).copy_(values[0])

        return source, sink

    return [job(index) for index in range(len(a))]


def padded(height: int, width: int) -> Region:
    """An image of this size whose sides are padded to a multiple of ``PATCH``, as CFGM sees it."""
    return Region(0, height + -height % PATCH, 0, width + -width % PATCH)


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
