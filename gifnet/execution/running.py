"""Running a network over an image: in what memory, with what progress, and what to do when memory runs out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import InputError
from .form import InferenceForm, Sink, Source
from .memory import Memory, free_memory, parse_bytes
from .plan import Plan, Tile, check_tile
from .progress import Progress, reporter

logger = logging.getLogger("gifnet")
FREE_SHARE = 0.7  # of the free memory, that is used where nothing else is said
ATTEMPTS = 4  # on a GPU that runs out of memory, each with half as much
NEUTRAL = ("tile", "memory", "progress")  # options that don't change the pixels


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


DEFAULT = Execution()
