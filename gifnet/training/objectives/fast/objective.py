"""The fast network's objective: all tasks in one batch, with a teacher where there is no truth."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from ....checkpoints.format import file_sha256
from ....checkpoints.hub import load_model
from ....errors import InputError
from ....execution.running import Execution
from ....fuser import Fuser
from ....networks.fast import FastNetwork
from ...data import TrainingData
from ...losses import (
    dissimilarity,
    exposure_loss,
    gradient_distance,
    in_full_precision,
    multi_modal_loss,
    photography_loss,
)
from ...objective import Objective, Sources
from ...tasks import EXPOSURE, MODAL, EnhanceBatch, TaskBatch, TaskData
from .lessons import FILE, TAUGHT, Lessons, TaughtData, key_of
from .recipe import FastRecipe, TeacherConfig

COLUMNS = ("modal", "focus", "exposure", "enhance", "taught")
OCTAVES = 4  # of a pyramid, on which gradients are compared with the teacher's
IN_ONE_PIECE = Execution(tile=None, progress=False)  # whatever memory is free: a resumed run comes to the same bits


class FastObjective(Objective["TaskBatch | EnhanceBatch"]):
    """GIFNet's batches and losses of all tasks; and nearness to a teacher's results, of modalities and exposures.

    ``teacher`` None: the losses alone. It only runs, in the precision of ``Fuser``, and its weights stay as they are.
    """

    recipe_type = FastRecipe
    recipe: FastRecipe
    model: FastNetwork

    def __init__(self, recipe: FastRecipe, data: TaskData, device: torch.device, teacher: Fuser | None = None) -> None:
        super().__init__(recipe, device)
        self.data, self.teacher = data, teacher
        self._teacher_notes: dict[str, str] = {}

    @classmethod
    def from_sources(cls, recipe: FastRecipe, sources: Sources, device: torch.device) -> "FastObjective":
        """InputError for sources that don't go with it; CheckpointError where there is no such teacher."""
        if sources.densenet is not None:
            raise InputError("--densenet-weights: the fast network's training has no φ of DenseNet-121")
        teacher, notes = None, {}
        if recipe.teacher.every:
            network, found = load_model(recipe.teacher.model)
            teacher = Fuser(network, device, recipe.teacher.dtype, found.label)
            notes = {"teacher": found.label, "teacher_sha256": file_sha256(found.path)}
        images = TrainingData(
            sources.infrared, sources.visible, sources.photos, recipe.data, recipe.seed, progress=True
        )
        tasks = TaskData(images, sources.exposures, recipe.tasks, recipe.lens, recipe.defocus, recipe.degradation)
        objective = cls(recipe, tasks, device, teacher)
        objective._teacher_notes = notes
        return objective

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS

    @property
    def notes(self) -> Mapping[str, str]:
        return self._teacher_notes

    def prepare(self, folder: Path, progress: bool = True) -> None:
        """See ``Objective``: the lessons, if there are to be any."""
        config = self.recipe.teacher
        if not config.lessons or self.teacher is None or isinstance(self.data, TaughtData):
            return
        key = key_of(
            self.data, self._teacher_notes.get("teacher_sha256", ""), config.lessons, config.side, config.dtype
        )
        lessons = Lessons.read(folder / FILE, key)
        if lessons is None:
            teacher = self.teacher

            def teach(a: Tensor, b: Tensor) -> Tensor:
                return teacher.fuse_planes(a.to(self.device), b.to(self.device), IN_ONE_PIECE)

            lessons = Lessons.made(config.lessons, config.side, self.data, teach, progress)
            lessons.save(folder / FILE, key)
        self.data = TaughtData(self.data, lessons)

    def start(self, model: nn.Module) -> FastNetwork:
        assert isinstance(model, FastNetwork)
        self.model = model.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimisers = {"adam": torch.optim.Adam(self.model.parameters(), lr=self.recipe.rate)}
        return self.model

    def batches(self, start: int, stop: int) -> Iterator[TaskBatch | EnhanceBatch]:
        return self.data.batches(start, stop)

    def step(self, batch: TaskBatch | EnhanceBatch, iteration: int, rate: float) -> dict[str, float]:
        batch = type(batch)(*(tensor.to(self.device, non_blocking=True) for tensor in batch))
        optimiser = self.optimisers["adam"]
        for group in optimiser.param_groups:
            group["lr"] = rate
        losses = self._fusing(batch, iteration) if isinstance(batch, TaskBatch) else self._enhancing(batch)
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        optimiser.step()
        return dict.fromkeys(COLUMNS, math.nan) | {name: loss.item() for name, loss in losses.items()}

    def _fusing(self, batch: TaskBatch, iteration: int) -> dict[str, Tensor]:
        """The loss of each task that the batch holds, weighed by its share, and of what the teacher says."""
        config = self.recipe.losses
        fused = self.model.blend(batch.a, batch.b)
        losses = {}
        for name, chosen in _tasks(batch.task).items():
            if not chosen.any():
                continue
            planes = fused[chosen], batch.a[chosen], batch.b[chosen]
            if name == "modal":
                weight, loss = config.multi_modal, partial(multi_modal_loss, *planes, config)
            elif name == "exposure":
                weight, loss = config.exposure, partial(exposure_loss, *planes, config)
            else:
                weight, loss = config.photography, partial(photography_loss, planes[0], batch.target[chosen], config)
            if weight:  # some of them take longer than all the rest
                losses[name] = chosen.float().mean() * weight * loss()
        if self.teacher is not None and (isinstance(self.data, TaughtData) or self._teaches(iteration)):
            losses["taught"] = self._taught(batch, fused, self.teacher)
        return losses

    def _teaches(self, iteration: int) -> bool:
        # Counted among the iterations that fuse, or a rhythm that enhancing shares would never meet it.
        every = self.recipe.tasks.enhance_every
        fusing = iteration - (iteration // every if every else 0)
        return fusing % self.recipe.teacher.every == 0

    def _taught(self, batch: TaskBatch, fused: Tensor, teacher: Fuser) -> Tensor:
        """The loss of what the teacher says of this batch, or said in its lessons."""
        config, recalled = self.recipe.teacher, isinstance(self.data, TaughtData)
        times = 1 if recalled else config.every  # for the iterations without one, too
        loss = fused.new_zeros(())
        for task, weight in zip(TAUGHT, (config.modal, config.exposure), strict=True):
            chosen = batch.task == task
            if weight and chosen.any():
                a, b, target = batch.a[chosen], batch.b[chosen], batch.target[chosen]
                said = target if recalled else teacher.fuse_planes(a, b, IN_ONE_PIECE)
                loss = loss + times * weight * chosen.float().mean() * distance(fused[chosen], said, config)
        return loss

    def _enhancing(self, batch: EnhanceBatch) -> dict[str, Tensor]:
        config = self.recipe.losses
        improved = self.model.improved(batch.x)
        return {"enhance": config.enhance * config.photography * photography_loss(improved, batch.target, config)}


@in_full_precision
def distance(fused: Tensor, said: Tensor, config: TeacherConfig) -> Tensor:
    """How far planes (B, 1, H, W) are from what the teacher made of the same sources."""
    loss = config.absolute * l1_loss(fused, said)
    if config.structure:
        loss = loss + config.structure * dissimilarity(fused, said)
    if config.detail:
        loss = loss + config.detail * gradient_distance(fused, said, OCTAVES)
    return loss


def _tasks(task: Tensor) -> dict[str, Tensor]:
    """Which of the batch are of each kind of loss: with one sharp image twice there is a truth, as of focus."""
    return {
        "modal": task == MODAL,
        "exposure": task == EXPOSURE,
        "focus": (task != MODAL) & (task != EXPOSURE),
    }
