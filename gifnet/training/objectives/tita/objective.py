"""TITA's objective: an iteration is a step on all three tasks, and one of their weights."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ....errors import InputError
from ....execution.threads import Threads, can_use_one_core
from ....networks.tita import TITA
from ....networks.tita.learning import LearningTITA
from ...curves import WEIGHT
from ...data import TrainingData
from ...objective import Objective, Sources
from ...tasks import TaskData
from . import data
from .data import TITABatch
from .famo import FAMO
from .losses import TASKS, task_loss
from .recipe import TITARecipe


class TITAObjective(Objective[TITABatch]):
    """The three tasks at once. The network computes in bfloat16 (autocast), its last convolutions in float32."""

    recipe_type = TITARecipe
    recipe: TITARecipe
    model: TITA

    def __init__(self, recipe: TITARecipe, source: TaskData, device: torch.device) -> None:
        super().__init__(recipe, device)
        self.data = source
        self.famo: FAMO | None = None

    @classmethod
    def from_sources(cls, recipe: TITARecipe, sources: Sources, device: torch.device) -> "TITAObjective":
        """See ``Objective``. Photographs are needed; exposures are made of them where none are given."""
        if sources.photos is None:
            raise InputError("TITA learns focus pairs, which are made from photographs: --photos DIR")
        if sources.densenet is not None:
            raise InputError("--densenet-weights goes with GIFNet's φ; TITA's losses have none")
        images = TrainingData(
            sources.infrared, sources.visible, sources.photos, recipe.data, recipe.seed, progress=True
        )
        pairs = recipe.pairs.tasks()
        source = TaskData(images, sources.exposures, pairs, recipe.lens, recipe.defocus, recipe.degradation)
        return cls(recipe, source, device)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*TASKS, *(WEIGHT + task for task in TASKS))

    @property
    def notes(self) -> Mapping[str, str]:
        if self.famo is None:
            return {}
        weights = ", ".join(f"{task} {weight:.3f}" for task, weight in zip(TASKS, self._weights(), strict=True))
        return {"task_weights": weights}

    def start(self, model: nn.Module) -> TITA:
        assert isinstance(model, TITA)
        self.model = model.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimisers = {"adam": torch.optim.Adam(self.model.parameters(), lr=self.recipe.rate)}
        if self.recipe.balance == "famo":
            self.famo = FAMO(len(TASKS), self.recipe.famo, self.device)
            self.optimisers["famo"] = self.famo.optimiser
            self.learned = {"logits": self.famo.logits}
        return self.model

    def batches(self, start: int, stop: int) -> Iterator[TITABatch]:
        return data.batches(self.data, start, stop)

    def step(self, batch: TITABatch, iteration: int, rate: float) -> dict[str, float]:
        batch = TITABatch(*(tensor.to(self.device, non_blocking=True) for tensor in batch))
        weights = self._weights()
        with Threads(self._cores(), "gifnet-learns") as threads:
            before = self.losses(batch, threads)
            self._descend(self.famo.loss(before) if self.famo else before.mean(), rate)
            if self.famo:
                with torch.no_grad():
                    after = self.losses(batch, threads)
                self.famo.update(before, after)
        return dict(zip(self.columns, [*before.tolist(), *weights], strict=True))

    def losses(self, batch: TITABatch, threads: Threads | None = None) -> Tensor:
        """The three tasks' losses, (3,). ``threads``: of a processor, which must be there until backward is done."""
        planes = self._predict(batch.a, batch.b, threads)
        fused, a, b, target = (tensor.chunk(len(TASKS)) for tensor in (planes, *batch))
        return torch.stack(
            [
                task_loss(fused[index], a[index], b[index], target[index], task, self.recipe.losses)
                for index, task in enumerate(TASKS)
            ]
        )

    def _predict(self, a: Tensor, b: Tensor, threads: Threads | None) -> Tensor:
        """The fused planes, in float32. Each core of a processor takes one pair after the other."""
        if self.device.type == "cpu":
            return LearningTITA(self.model, torch.bfloat16, threads).predict(a, b)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return self.model.predict(a, b).float()

    def _cores(self) -> int:
        """That pairs are computed on, beside each other; 0 where this thread does it, on as many as it is told."""
        return torch.get_num_threads() if self.device.type == "cpu" and can_use_one_core() else 0

    def _weights(self) -> list[float]:
        """Of the tasks, as they are now."""
        weights: list[float] = self.famo.weights().tolist() if self.famo else [1 / len(TASKS)] * len(TASKS)
        return weights

    def _descend(self, loss: Tensor, rate: float) -> None:
        optimiser = self.optimisers["adam"]
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        optimiser.step()
