"""GIFNet's two objectives: the paper's alternating steps, and all tasks in one batch."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....errors import InputError
from ....networks.gifnet import GIFNet
from ...data import Batch, TrainingData
from ...defocus import random_defocus
from ...degradation import degrade
from ...densenet import load_densenet_phi
from ...losses import PHIS, Phi, detail_energy
from ...objective import Objective, Sources
from ...tasks import EnhanceBatch, TaskBatch, TaskData
from .network import reconfigured, start_anew
from .recipe import GIFNetRecipe
from .steps import Planes, StepLosses, enhance_step, fusion_step, multi_modal_step, photography_step, task_step

COLUMNS = {  # of the losses, by what is trained
    "all": ("mm_public", "mm_fusion", "dp_public", "dp_fusion"),
    "fusion": ("main_fusion",),
    "decoder": ("decoder_fusion",),
}
TASK_COLUMNS = ("modal", "focus", "exposure", "enhance")


class GIFNetObjective(Objective[Any]):
    """What both have in common: the network, Adam, and φ. Encoder, branches and REC compute in bfloat16 (autocast).

    ``phi`` is the measure that the recipe names.
    """

    recipe_type = GIFNetRecipe
    recipe: GIFNetRecipe
    model: GIFNet

    def __init__(self, recipe: GIFNetRecipe, device: torch.device, phi: Phi = detail_energy) -> None:
        super().__init__(recipe, device)
        self.phi = phi
        self._phi_notes: dict[str, str] = {}

    @classmethod
    def from_sources(cls, recipe: GIFNetRecipe, sources: Sources, device: torch.device) -> "GIFNetObjective":
        """The objective that ``recipe.steps`` names. InputError for sources that don't go with the recipe."""
        if recipe.steps != "tasks" and sources.exposures:
            raise InputError("--exposures goes with --set steps=tasks")
        phi, notes = _phi(recipe, sources, device)
        images = TrainingData(
            sources.infrared, sources.visible, sources.photos, recipe.data, recipe.seed, progress=True
        )
        objective: GIFNetObjective
        if recipe.steps == "tasks":
            tasks = TaskData(images, sources.exposures, recipe.tasks, recipe.lens, recipe.defocus, recipe.degradation)
            objective = TaskObjective(recipe, tasks, device, phi)
        else:
            objective = PaperObjective(recipe, images, device, phi)
        objective._phi_notes = notes
        return objective

    @property
    def notes(self) -> Mapping[str, str]:
        return {"phi": PHIS[self.recipe.losses.phi], **self._phi_notes}

    @property
    def decoder_only(self) -> bool:
        """Whether G-Dec alone is trained."""
        return self.recipe.train_only == "decoder"

    def start(self, model: nn.Module) -> GIFNet:
        assert isinstance(model, GIFNet)
        model = reconfigured(model, self.recipe)
        start_anew(model, self.recipe.fresh_decoder_layers, self.recipe.seed)
        self.model = model.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self._trained = list((self.model.decoder if self.decoder_only else self.model).parameters())
        self.optimisers = {"adam": torch.optim.Adam(self._trained, lr=self.recipe.rate)}
        return self.model

    def step(self, batch: Any, iteration: int, rate: float) -> dict[str, float]:
        for group in self.optimisers["adam"].param_groups:
            group["lr"] = rate
        return self._step(batch, iteration)

    @abstractmethod
    def _step(self, batch: Any, iteration: int) -> dict[str, float]:
        """An iteration's losses, by column, after the weights moved."""

    def _descend(self, loss: Tensor) -> None:
        optimiser = self.optimisers["adam"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._trained, self.recipe.clip)
        optimiser.step()

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


class PaperObjective(GIFNetObjective):
    """The paper's: an MM step, then a DP step; or, with ``train_only``, one of the network as inference runs it."""

    def __init__(
        self, recipe: GIFNetRecipe, data: TrainingData, device: torch.device, phi: Phi = detail_energy
    ) -> None:
        super().__init__(recipe, device, phi)
        self.data = data

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS[self.recipe.train_only]

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        return self.data.batches(start, stop)

    def _step(self, batch: Batch, iteration: int) -> dict[str, float]:
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, iteration, 1))
        infrared, visible, photo = (plane.to(self.device, non_blocking=True) for plane in batch)
        near, far = random_defocus(photo, recipe.defocus, rng)
        near, far = (degrade(plane, recipe.degradation, rng) for plane in (near, far))
        planes = Planes(infrared, visible, near, far, photo)
        mixed = torch.from_numpy(rng.random(len(photo)) < recipe.mixed_share).to(self.device)
        row: dict[str, float] = {}
        for name, step in self._steps().items():
            with self._autocast():
                losses = step(planes, mixed)
            self._descend(losses.total)
            if losses.public is not None:
                row[f"{name}_public"] = losses.public.item()
            row[f"{name}_fusion"] = losses.fusion.item()
        return row

    def _steps(self) -> dict[str, Callable[[Planes, Tensor], StepLosses]]:
        """An iteration's steps by name, on its images and which of its pairs are mixed."""
        model, losses, phi, decoder_only = self.model, self.recipe.losses, self.phi, self.decoder_only
        if self.recipe.train_only != "all":
            name = "decoder" if decoder_only else "main"
            return {name: lambda planes, mixed: fusion_step(model, planes, mixed, losses, phi, decoder_only)}
        return {
            "mm": lambda planes, mixed: multi_modal_step(model, planes, mixed, losses, phi),
            "dp": lambda planes, _: photography_step(model, planes, losses),
        }


class TaskObjective(GIFNetObjective):
    """gifnet's own: pairs of all tasks in one batch, and every few iterations a batch to enhance."""

    def __init__(self, recipe: GIFNetRecipe, data: TaskData, device: torch.device, phi: Phi = detail_energy) -> None:
        super().__init__(recipe, device, phi)
        self.data = data

    @property
    def columns(self) -> tuple[str, ...]:
        return TASK_COLUMNS

    def batches(self, start: int, stop: int) -> Iterator[TaskBatch | EnhanceBatch]:
        return self.data.batches(start, stop)

    def _step(self, batch: TaskBatch | EnhanceBatch, iteration: int) -> dict[str, float]:
        config = self.recipe.losses
        batch = type(batch)(*(tensor.to(self.device, non_blocking=True) for tensor in batch))
        with self._autocast():
            if isinstance(batch, TaskBatch):
                losses = task_step(self.model, batch, config, self.phi, self.decoder_only)
            else:
                losses = enhance_step(self.model, batch, config, self.decoder_only)
        self._descend(torch.stack(list(losses.values())).sum())
        return dict.fromkeys(TASK_COLUMNS, math.nan) | {name: loss.item() for name, loss in losses.items()}


def _phi(recipe: GIFNetRecipe, sources: Sources, device: torch.device) -> tuple[Phi, dict[str, str]]:
    """The φ that the recipe names, and what is noted of it."""
    if recipe.losses.phi != "densenet":
        if sources.densenet is not None:
            raise InputError("--densenet-weights goes with --phi densenet")
        return detail_energy, {}
    if sources.densenet is None:
        raise InputError("φ of DenseNet-121 needs its weights: --densenet-weights FILE")
    phi = load_densenet_phi(sources.densenet).to(device)
    return phi, {"densenet_sha256": phi.sha256}
