"""Running a network over an image: in what memory, with what progress, and what to do when memory runs out."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from tqdm import tqdm

from ..errors import InputError
from ..networks.gifnet.plan import SMALLEST_TILE, Plan, Tile, check_tile
from ..regions import Sink, Source
from .memory import free_memory, parse_bytes

logger = logging.getLogger("gifnet")

Memory: TypeAlias = int | str | None
Report: TypeAlias = Callable[[int, int], object]
Progress: TypeAlias = bool | Report | None

FREE_SHARE = 0.7  # of the free memory, that is used where nothing else is said
ATTEMPTS = 4  # on a GPU that runs out of memory, each with half as much
NEUTRAL = ("tile", "memory", "progress")  # options that don't change the pixels
BAR_DELAY = 2.0  # seconds before a progress bar appears unasked


class InferenceForm(Protocol):
    """A network ready to run: see ``network.tiled.TiledGIFNet``."""

    def to(self, device: torch.device) -> "InferenceForm": ...

    def make_plan(self, height: int, width: int, budget: int, tile: Tile) -> Plan: ...

    def run(
        self,
        source: Source,
        sink: Sink,
        height: int,
        width: int,
        plan: Plan | None,
        progress: Callable[[int, int], None],
    ) -> None: ...


@dataclass(frozen=True)
class Execution:
    """How to run: the options ``tile``, ``memory`` and ``progress`` of ``gifnet.fuse``."""

    tile: Tile = "auto"
    memory: Memory = None
    progress: Progress = None

    def check(self) -> None:
        """Raise InputError for options that are none."""
        check_tile(self.tile)
        if self.memory is not None:
            parse_bytes(self.memory)
        if not (self.progress is None or isinstance(self.progress, bool) or callable(self.progress)):
            raise InputError(f"progress: {self.progress!r}; give True, False, None or a function of (done, steps)")

    def run(
        self,
        form: InferenceForm,
        device: torch.device,
        size: tuple[int, int],
        pairs: list[tuple[Source, Sink]],
        taken: int,
    ) -> None:
        """Run pairs of a source and a sink, all of one size (height, width).

        ``taken`` bytes of an explicit ``memory`` are the images'. Raises InputError where memory is too little.
        """
        with reporter(self.progress) as report:
            for index, (source, sink) in enumerate(pairs):

                def step(done: int, steps: int, before: int = index) -> None:
                    report(before * steps + done, len(pairs) * steps)

                self._run_one(form, device, size, source, sink, step, taken)

    def _run_one(
        self,
        form: InferenceForm,
        device: torch.device,
        size: tuple[int, int],
        source: Source,
        sink: Sink,
        step: Callable[[int, int], None],
        taken: int,
    ) -> None:
        if self.memory is None:
            budget = int(free_memory(device) * FREE_SHARE)
        else:
            budget = parse_bytes(self.memory) - taken * (device.type == "cpu")
        plan = form.make_plan(*size, budget, self.tile)
        for attempt in range(ATTEMPTS):
            logger.debug("%d×%d pixels on %s: %s", size[1], size[0], device, plan)
            try:
                return form.run(source, sink, *size, plan, step)
            except torch.cuda.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                less = self._lesser(form, size, plan) if attempt + 1 < ATTEMPTS else None
                if less is None:
                    raise InputError(
                        f"{size[1]}×{size[0]} pixels: out of memory on {device}, even with {plan}; free some of it, or "
                        "use device='cpu'"
                    ) from error
                plan = less
        raise AssertionError("unreachable")

    def _lesser(self, form: InferenceForm, size: tuple[int, int], plan: Plan) -> Plan | None:
        """A plan that takes half as much, if there is one; of one piece, which can't, one in tiles."""
        try:
            return form.make_plan(*size, plan.bytes // 2, "auto" if self.tile is None else self.tile)
        except InputError:
            return None


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options ``--tile`` and ``--memory``."""
    command.add_argument("--tile", type=_tile, default="auto", metavar="N", help="pixels a side; auto (default), none")
    command.add_argument("--memory", metavar="SIZE", type=_memory, help="how much may be used: 2GB, 500MB, ...")


def chosen(args: argparse.Namespace) -> dict[str, Any]:
    """The parsed options, as ``Fuser.fuse`` and ``Fuser.enhance`` take them."""
    return {"tile": args.tile, "memory": args.memory}


def _tile(text: str) -> Tile:
    if text.lower() in ("auto", "none"):
        return "auto" if text.lower() == "auto" else None
    try:
        return check_tile(int(text))
    except ValueError as error:  # InputError is one
        raise argparse.ArgumentTypeError(f"{text!r}; give auto, none, or {SMALLEST_TILE} or more pixels") from error


def _memory(text: str) -> int:
    try:
        return parse_bytes(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; give an amount such as 2GB or 500MB") from error


DEFAULT = Execution()


@contextmanager
def reporter(progress: Progress) -> Iterator[Report]:
    """What to call after every step with the number done and the number of all.

    A function is called itself. True: a bar on stderr. None: a bar, but only on a terminal and after two seconds.
    """
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not (sys.stderr and sys.stderr.isatty())):
        yield lambda done, steps: None
        return
    with tqdm(desc="gifnet", unit="step", delay=0 if progress else BAR_DELAY, leave=bool(progress)) as bar:

        def report(done: int, steps: int) -> None:
            bar.total = steps
            bar.update(done - bar.n)

        yield report
