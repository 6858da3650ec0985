"""Lessons: pairs that the teacher has fused before the first iteration, which then learns from parts of them.

The teacher takes many times longer than the rest of an iteration. Asked once, of larger pairs, it leaves time for many
times as many iterations; and of a larger pair it knows the statistics that it will meet in whole images.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ....errors import InputError
from ....execution.progress import bar
from ....files.atomic import atomic_path
from ...data import Pyramid
from ...tasks import EXPOSURE, MODAL, TaskData

FILE = "lessons.safetensors"
TAUGHT = (MODAL, EXPOSURE)  # the tasks without a truth
Teach = Callable[[Tensor, Tensor], Tensor]  # planes (1, 1, H, W) of both sources to the fused one


@dataclass(frozen=True)
class Lessons:
    """Planes a, b and fused of each pair: (N, 3, side, side), float16 in [0, 1], and each one's task, (N,)."""

    planes: Tensor
    tasks: Tensor

    @classmethod
    def made(cls, count: int, side: int, data: TaskData, teach: Teach, progress: bool) -> "Lessons":
        """So many pairs of ``data``'s, in its shares of the tasks; a function of its seed and settings.

        Raises InputError where no pair, or no photograph or exposure, is that large, and where a task gets no lesson.
        """
        source = _of_side(data, side)
        shares = {task: float(data.tasks.shares[task]) for task in TAUGHT}
        if not any(shares.values()):
            raise InputError("teacher.lessons: tasks.modal and tasks.exposure are both 0; there is nothing to teach")
        modal = shares[MODAL] / sum(shares.values())
        planes, tasks = torch.empty((count, 3, side, side), dtype=torch.float16), torch.empty(count, dtype=torch.int64)
        for index in bar(iterable=range(count), desc="lessons", disable=not progress):
            rng = np.random.default_rng((data.images.seed, index, 4))
            task = MODAL if rng.random() < modal else EXPOSURE
            a, b, _ = source.pair(task, rng)
            planes[index] = torch.stack([a, b, teach(a[None, None], b[None, None])[0, 0].cpu()])
            tasks[index] = task
        if any(share and not (tasks == task).any() for task, share in shares.items()):
            raise InputError(f"teacher.lessons: {count} leave a task without one; give more")
        return cls(planes, tasks)

    def pair(self, task: int, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A random part of a random pair of the task, turned or mirrored: a, b and the fused plane, float32."""
        there = (self.tasks == task).nonzero()[:, 0]
        planes = self.planes[int(there[int(rng.integers(len(there)))])]
        top, left = (int(rng.integers(0, side - size + 1)) for side in planes.shape[1:])
        part = planes[:, top : top + size, left : left + size].float()
        part = part.rot90(int(rng.integers(4)), (1, 2))
        a, b, fused = part.flip(2) if rng.random() < 0.5 else part
        return a, b, fused

    def save(self, path: Path, key: str) -> None:
        """Write them, whole or not at all; ``key`` says what they follow from."""
        with atomic_path(path) as temporary:
            save_file({"planes": self.planes, "tasks": self.tasks}, temporary, {"key": key})

    @classmethod
    def read(cls, path: Path, key: str) -> "Lessons | None":
        """What ``save`` wrote; None where there is none, or none that follows from the same."""
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("key") != key:
                    return None
                return cls(file.get_tensor("planes"), file.get_tensor("tasks"))
        except (OSError, SafetensorError):
            return None


class TaughtData(TaskData):
    """Batches whose pairs without a truth are parts of lessons, and have the teacher's result for one."""

    def __init__(self, data: TaskData, lessons: Lessons) -> None:
        vars(self).update(vars(data))
        self.lessons = lessons

    def pair(self, task: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """See ``TaskData``."""
        return self.lessons.pair(task, self.config.crop, rng) if task in TAUGHT else super().pair(task, rng)


def key_of(data: TaskData, teacher: str, *settings: object) -> str:
    """What lessons follow from: the teacher's hash, the settings, and how many images there are."""
    counts = [len(images) for images in (data.images.pairs, data.images.photos, data.exposures)]
    return json.dumps([teacher, data.images.seed, counts, asdict(data.config), asdict(data.tasks), *settings])


def _of_side(data: TaskData, side: int) -> TaskData:
    """The same data in crops of another side; images that are smaller are left out."""
    large = copy.copy(data)
    large.images = copy.copy(data.images)
    large.images.config = replace(data.config, crop=side)

    def fitting(images: list[Pyramid], what: str) -> list[Pyramid]:
        found = [image for image in images if min(image.full.shape[1:]) >= side]
        if images and not found:
            raise InputError(f"teacher.side: {side}, but none of the {what} is as large; give a smaller one")
        return found

    large.images.pairs = fitting(data.images.pairs, "pairs")
    large.images.photos = fitting(data.images.photos, "photographs")
    large.exposures = fitting(data.exposures, "exposures")
    return large
