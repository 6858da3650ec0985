"""What a network is run through: planes read and written by regions, and its inference form."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from ..options.values import Tile
from ..regions import Region
from .plan import Plan

Source: TypeAlias = Callable[[Region], Tensor]  # of both planes' region, (1, 2, h, w), floating point in [0, 1]
Sink: TypeAlias = Callable[[Region, Tensor], None]  # for the fused plane's, (1, 1, h, w), float32


def plane_jobs(a: Tensor, b: Tensor, fused: Tensor) -> list[tuple[Source, Sink]]:
    """Sources and sinks of planes in memory, (B, 1, H, W) each: one pair of them for each image."""
    whole = Region(0, a.shape[-2], 0, a.shape[-1])

    def job(index: int) -> tuple[Source, Sink]:
        def source(region: Region) -> Tensor:
            return torch.stack([region.crop(plane[index], whole) for plane in (a, b)], dim=1)

        def sink(region: Region, values: Tensor) -> None:
            region.crop(fused[index], whole).copy_(values[0])

        return source, sink

    return [job(index) for index in range(len(a))]


class InferenceForm(Protocol):
    """A network ready to run over an image of any size, read and written by regions; its result lies in [0, 1].

    ``networks.gifnet.inference`` has one for a network that looks at the whole image, ``execution.local`` one for
    networks that don't.
    """

    def to(self, device: torch.device) -> "InferenceForm":
        """The same on a device."""

    def make_plan(self, height: int, width: int, budget: int, tile: Tile) -> Plan:
        """How to run an image in ``budget`` bytes; InputError for a ``tile`` that is none, and too small a budget."""

    def run(
        self,
        source: Source,
        sink: Sink,
        height: int,
        width: int,
        plan: Plan | None,
        progress: Callable[[int, int], None],
    ) -> None:
        """Fuse one pair; ``plan`` None: in one piece. ``progress`` is told the steps done and their number."""


def over_time(form: InferenceForm) -> InferenceForm:
    """The form for the images of one video, in their order.

    Where a network's result depends on statistics of the whole image, these follow slowly from image to image, or the
    result would flicker with their noise. Such a form has a method ``over_time``; any other is given back.
    """
    smoothed: Callable[[], InferenceForm] | None = getattr(form, "over_time", None)
    return form if smoothed is None else smoothed()


class Swapped:
    """An inference form that is given the second plane first."""

    def __init__(self, form: InferenceForm) -> None:
        self._form = form

    def to(self, device: torch.device) -> "Swapped":
        return Swapped(self._form.to(device))

    def over_time(self) -> "Swapped":
        return Swapped(over_time(self._form))

    def make_plan(self, height: int, width: int, budget: int, tile: Tile) -> Plan:
        return self._form.make_plan(height, width, budget, tile)

    def run(
        self,
        source: Source,
        sink: Sink,
        height: int,
        width: int,
        plan: Plan | None,
        progress: Callable[[int, int], None],
    ) -> None:
        self._form.run(lambda region: source(region).flip(1), sink, height, width, plan, progress)
