"""Running a network over an image: in what memory, with what progress, and what to do when memory runs out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from ..errors import InputError
from ..options.declarations import MEMORY, PROGRESS, TILE
from ..options.values import Memory, Progress, Tile
from .choice import TooLittleMemory
from .form import InferenceForm, Sink, Source
from .memory import free_memory, is_out_of_memory, show_bytes
from .plan import Plan
from .progress import reporter
from .shares import Share, planned

logger = logging.getLogger("gifnet")
FREE_SHARE = 0.7  # of the free memory, that is used where nothing else is said
ATTEMPTS = 4  # where memory runs out, each with half as much
_CPU = torch.device("cpu")


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

    def check_images(self, device: torch.device, image_bytes: int, largest: str) -> None:
        """Raises InputError where images that are not decoded yet will not fit, let alone the work on them.

        ``largest``: the name of the largest, which the message begins with.
        """
        if self.tile is None:  # whatever memory that takes
            return
        if self.memory is None:
            free = free_memory(_CPU)
            if image_bytes > free:
                raise InputError(
                    f"{largest}: memory: the images themselves take {show_bytes(image_bytes)}, but only "
                    f"{show_bytes(free)} are "
                    "free; free some, or give NumPy arrays or memmaps, which are read by regions"
                )
        elif device.type == "cpu" and image_bytes > self.memory:
            raise InputError(f"{largest}: {_images_too_large(image_bytes, self.memory)}")

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
        images = image_bytes if device.type == "cpu" else 0  # those in RAM are not in a GPU's memory
        with planned(device, images, partial(self._plan, form, device, size, images)) as (plan, advance):

            def count(done: int, steps: int) -> None:
                advance(done / steps)
                step(done, steps)

            for attempt in range(ATTEMPTS):
                logger.debug("%d×%d pixels on %s: %s", size[1], size[0], device, plan)
                try:
                    return form.run(source, sink, *size, plan, count)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    if device.type == "cuda":
                        torch.cuda.empty_cache()
                    less = self._lesser(form, size, plan) if attempt + 1 < ATTEMPTS else None
                    if less is None:
                        raise InputError(
                            f"{size[1]}×{size[0]} pixels: out of memory on {device}, even with {plan}; free some of it"
                            + ("" if device.type == "cpu" else ", or use device='cpu'")
                        ) from error
                    plan = less
        raise AssertionError("unreachable")

    def _plan(
        self, form: InferenceForm, device: torch.device, size: tuple[int, int], images: int, others: list[Share]
    ) -> Plan:
        """A plan within what other runs leave. Raises TooLittleMemory, with each part's share, and InputError."""
        if self.memory is None:
            free = free_memory(device)
            parts = {"other calls under way": sum(other.untaken for other in others)}
            budget = int(free * FREE_SHARE) - parts["other calls under way"]
            whole = f"{show_bytes(free)} that are free, of which {FREE_SHARE:.0%} may be used"
        else:
            parts = {"the images": images, "other calls under way": sum(other.bytes for other in others)}
            budget = self.memory - sum(parts.values())
            whole = show_bytes(self.memory)
            if images >= self.memory and self.tile is not None:
                raise _images_too_large(images, self.memory)
        try:
            return form.make_plan(*size, max(0, budget), self.tile)
        except TooLittleMemory as error:
            shares = " and ".join(f"{show_bytes(count)} {name}" for name, count in parts.items() if count)
            raise TooLittleMemory(f"{error} (of {whole}{f', {shares} take' if shares else ''})") from error

    def _lesser(self, form: InferenceForm, size: tuple[int, int], plan: Plan) -> Plan | None:
        """A plan that takes half as much memory, in tiles even if this one is in one piece; None: there is none."""
        try:
            return form.make_plan(*size, plan.bytes // 2, "auto" if self.tile is None else self.tile)
        except InputError:
            return None


def _images_too_large(images: int, memory: int) -> InputError:
    return InputError(
        f"memory: the images themselves take {show_bytes(images)}, but only {show_bytes(memory)} may be used; give "
        "more memory"
    )


DEFAULT = Execution()
