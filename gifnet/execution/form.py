"""What a network is run through: planes read and written by regions, and its inference form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from ..errors import InputError
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


def finite_sink(sink: Sink, name: str, dtype: torch.dtype) -> Sink:
    """A sink that refuses what is no image: planes are numbers, so this is the weights' doing.

    ``name`` and ``dtype`` are the model's, for the InputError.
    """

    def checked(region: Region, fused: Tensor) -> None:
        if not fused.isfinite().all():
            precision = str(dtype).removeprefix("torch.")
            advice = "other weights" if dtype == torch.float32 else "dtype='float32', or other weights"
            raise InputError(f"{name or 'model'}: its weights give no numbers in {precision}; use {advice}")
        sink(region, fused)

    return checked


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


@dataclass(frozen=True)
class Part:
    """A part of an image that is worked on by itself."""

    source: Source  # of the image's regions: those that the part needs
    height: int  # of the whole image
    width: int
    region: Region  # the part; it begins on the form's grid, and ends on it or at the image's border
    tile: int  # pixels a side of what is worked on at once


class PartForm(Protocol):
    """An inference form that works on the parts of an image one by one, in any process: what ``chunked`` runs.

    Statistics of the whole image, if the network needs any, are gathered first, in ``measures`` passes over all parts;
    each pass is given those of the passes before it, ``known``. ``statistics`` may be of any kind that can be pickled.
    """

    @property
    def grid(self) -> int:
        """Pixels; parts begin on a multiple of it."""

    @property
    def measures(self) -> int:
        """How many passes gather statistics."""

    def reach(self, number: int) -> int:
        """How many pixels around a part the pass of this number reads, at most; the last one, ``measures``, fuses."""

    def measure(self, part: Part, known: Sequence[Any]) -> Any:
        """A part's statistics, of the pass number ``len(known)``."""

    def merged(self, statistics: Sequence[Any]) -> Any:
        """Those of several parts together."""

    def fuse(self, part: Part, known: Sequence[Any], sink: Sink) -> None:
        """The part's pixels of the fused plane, given all statistics."""


def by_parts(form: InferenceForm) -> PartForm | None:
    """The form that works on parts; None: it has none. Such a form has a method ``by_parts``."""
    make: Callable[[], PartForm | None] | None = getattr(form, "by_parts", None)
    return None if make is None else make()


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

    def by_parts(self) -> "PartForm | None":
        form = by_parts(self._form)
        return None if form is None else _SwappedParts(form)

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


class _SwappedParts:
    """A form of parts that is given the second plane first."""

    def __init__(self, form: PartForm) -> None:
        self._form = form
        self.reach, self.merged = form.reach, form.merged

    @property
    def grid(self) -> int:
        return self._form.grid

    @property
    def measures(self) -> int:
        return self._form.measures

    def measure(self, part: Part, known: Sequence[Any]) -> Any:
        return self._form.measure(_swapped(part), known)

    def fuse(self, part: Part, known: Sequence[Any], sink: Sink) -> None:
        self._form.fuse(_swapped(part), known, sink)


def _swapped(part: Part) -> Part:
    return replace(part, source=lambda region: part.source(region).flip(1))
