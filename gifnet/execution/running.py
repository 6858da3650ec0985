"""Running a network over an image: in what memory, with what progress, and what to do when memory runs out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import InputError
from ..options.declarations import MEMORY, PROGRESS, TILE
from ..options.values import Memory, Progress, Tile
from .form import InferenceForm, Sink, Source
from .memory import free_memory, show_bytes
from .plan import Plan
from .progress import reporter

logger = logging.getLogger("gifnet")
FREE_SHARE = 0.7  # of the free memory, that is used where nothing else is said
ATTEMPTS = 4  # on a GPU that runs out of memory, each with half as much


@dataclass(frozen=True)
class Execution:
    """How to run, which doesn't change the pixels: the options ``tile``, ``memory`` and ``progress``."""

    tile: Tile = "auto"
    memory: int | None = None  # bytes; None: a share of what is free
    progress: Progress = None

    @classmethod
    def checked(cls, tile: Tile, memory: Memory, progress: Progress) -> "Execution":
        """Of the options as users give them. Raises InputError."""
        return cls(TILE.check(tile), MEMORY.check(memory), PROGRESS.check(progress))

    def run(
        self,
        form: InferenceForm,
        device: torch.device,
        size: tuple[int, int],
        pairs: list[tuple[Source, Sink]],
        image_bytes: int,
    ) -> None:
        """Run pairs of a source and a sink, all of one size (height, width).

        ``image_bytes``: what the images take, which an explicit ``memory`` includes. Raises InputError where memory is
        too little.
        """
        with reporter(self.progress) as report:
            for index, (source, sink) in enumerate(pairs):

                def step(done: int, steps: int, before: int = index) -> None:
                    report(before * steps + done, len(pairs) * steps)

                self._run_one(form, device, size, source, sink, step, image_bytes)

    def _run_one(
        self,
        form: InferenceForm,
        device: torch.device,
        size: tuple[int, int],
        source: Source,
        sink: Sink,
        step: Callable[[int, int], None],
        image_bytes: int,
    ) -> None:
        if self.memory is None:
            budget = int(free_memory(device) * FREE_SHARE)
        else:
            images = image_bytes if device.type == "cpu" else 0  # those in RAM are not in a GPU's memory
            budget = max(0, self.memory - images)
            if budget == 0 and self.tile is not None:
                raise InputError(
                    f"memory: the images themselves take {show_bytes(images)}, but only {show_bytes(self.memory)} may "
                    "be used; give more memory"
                )
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
        """A plan that takes half as much memory, in tiles even if this one is in one piece; None: there is none."""
        try:
            return form.make_plan(*size, plan.bytes // 2, "auto" if self.tile is None else self.tile)
        except InputError:
            return None


DEFAULT = Execution()
