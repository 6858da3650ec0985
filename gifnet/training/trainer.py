"""The training loop: steps, schedule, averaged weights, checkpoints and curves."""

import json
import math
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any, cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from ..checkpoints.format import save_weights
from ..errors import CheckpointError, InputError
from ..files.atomic import atomic_path
from ..networks.gifnet import Branch, GIFNet
from .curves import Row, draw, read_rows, write_rows
from .data import Batch, TrainingData
from .defocus import random_defocus
from .degradation import degrade
from .losses import PHIS, Phi, detail_energy
from .recipe import Recipe, build_recipe
from .steps import Planes, StepLosses, fusion_step, multi_modal_step, photography_step
from .validation import Validation

SAVE_SECONDS = 45.0  # the most that a killed run loses
DRAW_SECONDS = 60.0
CURVES = {  # columns of curves.csv, by what is trained
    "all": ("iteration", "rate", "mm_public", "mm_fusion", "dp_public", "dp_fusion"),
    "fusion": ("iteration", "rate", "main_fusion"),
    "decoder": ("iteration", "rate", "decoder_fusion"),
}


class Trainer:
    """Owns the model, its averaged copy, the optimiser and the run's folder.

    ``phi`` is the measure that the recipe names; ``notes`` go into the weights' metadata. Validation draws no random
    numbers and moves nothing: a run's result is the same with and without.
    """

    def __init__(
        self,
        model: GIFNet,
        data: TrainingData,
        config: Recipe,
        folder: Path,
        device: torch.device,
        phi: Phi = detail_energy,
        validation: Validation | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        self.config, self.data, self.folder, self.device = config, data, folder, device
        self.phi, self.validation, self._notes = phi, validation, dict(notes or {})
        if config.main != "keep":
            model.config = replace(model.config, main=cast(Branch, config.main))
        start_anew(model, config.fresh_decoder_layers, config.seed)
        self.model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.trained = list((model.decoder if config.train_only == "decoder" else model).parameters())
        self.optimiser = torch.optim.Adam(self.trained, lr=config.rate)
        self.iteration = 0
        self.curves: list[Row] = []
        self.validations: list[Row] = []
        self._drawn = -math.inf

    def step(self, batch: Batch) -> dict[str, float]:
        """One iteration: an MM step, then a DP step; or a fusion step. Returns its row of the loss curves."""
        rng = np.random.default_rng((self.config.seed, self.iteration, 1))
        infrared, visible, photo = (plane.to(self.device, non_blocking=True) for plane in batch)
        near, far = random_defocus(photo, self.config.defocus, rng)
        near, far = (degrade(plane, self.config.degradation, rng) for plane in (near, far))
        planes = Planes(infrared, visible, near, far, photo)
        mixed = torch.from_numpy(rng.random(len(photo)) < self.config.mixed_share).to(self.device)
        rate = self.config.rate_at(self.iteration)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        row: Row = {"iteration": self.iteration, "rate": rate}
        for name, step in self._steps().items():
            self.optimiser.zero_grad(set_to_none=True)
            with self._autocast():
                losses = step(planes, mixed)
            losses.total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.trained, self.config.clip)
            self.optimiser.step()
            if losses.public is not None:
                row[f"{name}_public"] = losses.public.item()
            row[f"{name}_fusion"] = losses.fusion.item()
        # The average follows more quickly at first, or it would remember the initial weights for long.
        decay = min(self.config.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        self.iteration += 1
        return row

    def _steps(self) -> dict[str, Callable[[Planes, Tensor], StepLosses]]:
        """An iteration's steps by name, on its images and which of its pairs are mixed."""
        model, losses, phi = self.model, self.config.losses, self.phi
        only = self.config.train_only
        if only != "all":
            name = "decoder" if only == "decoder" else "main"
            return {name: lambda planes, mixed: fusion_step(model, planes, mixed, losses, phi, only == "decoder")}
        return {
            "mm": lambda planes, mixed: multi_modal_step(model, planes, mixed, losses, phi),
            "dp": lambda planes, _: photography_step(model, planes, losses),
        }

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def run(self, progress: bool = True) -> None:
        """Train to ``config.iterations``, saving every 45 seconds, when validated, at the end and on SIGTERM."""
        stop = False

        def on_signal(signum: int, frame: FrameType | None) -> None:
            nonlocal stop
            stop = True

        previous = signal.signal(signal.SIGTERM, on_signal)
        saved = time.monotonic()
        bar = tqdm(total=self.config.iterations, initial=self.iteration, disable=not progress, unit="it", mininterval=5)
        try:
            self.validate(lambda: stop)  # a run that was stopped while it validated owes this
            for batch in self.data.batches(self.iteration, self.config.iterations):
                if stop:
                    break
                self.curves.append(self.step(batch))
                bar.update()
                recent = self.curves[-100:]
                means = {name: f"{sum(row[name] for row in recent) / len(recent):.4f}" for name in self.names[2:]}
                bar.set_postfix(means, refresh=False)
                validated = self.validate(lambda: stop)
                if validated or time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
        finally:
            bar.close()
            signal.signal(signal.SIGTERM, previous)
        self._drawn = -math.inf
        self.save()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the loss curves."""
        return CURVES[self.config.train_only]

    def validate(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Where that is due, measure the averaged weights and keep them as ``best.safetensors`` if they are.

        False where it is not due, or ``stopped`` ended it. It is due every so many iterations, and after the last.
        """
        if self.validation is None or not self.iteration:
            return False
        if self.iteration % self.validation.every and self.iteration < self.config.iterations:
            return False
        if self.validations and self.validations[-1]["iteration"] == self.iteration:
            return False
        averaged = self.averaged()
        values = self.validation.measure(averaged, self.device, stopped)
        if values is None:
            return False
        best = max((row["score"] for row in self.validations if math.isfinite(row["score"])), default=-math.inf)
        self.validations.append({"iteration": self.iteration, **values})
        if values["score"] > best:
            notes = {"validation": json.dumps({name: round(value, 4) for name, value in values.items()})}
            save_weights(averaged, self.folder / "best.safetensors", self.notes() | notes)
        return True

    def save(self) -> None:
        """Write the run's folder; each file appears whole or not at all.

        ``last.safetensors`` (averaged weights, to use), ``curves.csv``, ``validation.csv``, at most every minute
        ``curves.png``, and last, so that what it resumes from is there, ``state.safetensors``.
        """
        save_weights(self.averaged(), self.folder / "last.safetensors", self.notes())
        write_rows(self.folder / "curves.csv", self.names, self.curves)
        if self.validation is not None:
            write_rows(self.folder / "validation.csv", ("iteration", *self.validation.names), self.validations)
        if time.monotonic() - self._drawn > DRAW_SECONDS:
            draw(self.folder / "curves.png", self.curves, self.validations)
            self._drawn = time.monotonic()
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{index}/{name}": value for name, value in moments.items()}
        metadata = {"iteration": str(self.iteration), "config": json.dumps(asdict(self.config))}
        with atomic_path(self.folder / "state.safetensors") as path:
            save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata)

    def averaged(self) -> GIFNet:
        """A network with the averaged weights."""
        model = GIFNet(self.model.config)
        model.load_state_dict(self.average)
        return model

    def notes(self) -> dict[str, str]:
        """What the weights' file says of their making."""
        return {
            "trained_by": "gifnet",
            "iterations": str(self.iteration),
            "phi": PHIS[self.config.losses.phi],
            "recipe": json.dumps(asdict(self.config), sort_keys=True),
            **self._notes,
        }

    def resume(self) -> bool:
        """Go on from the run's folder; False where no state lies there.

        Raises CheckpointError when the state is of another recipe, for the result would be of neither, and when
        ``validation.csv`` is of other images, for the best of both can't be told.
        """
        path = self.folder / "state.safetensors"
        if not path.exists():
            return False
        with safe_open(path, framework="pt", device=str(self.device)) as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        try:
            config = build_recipe(json.loads(metadata["config"]))
        except InputError as error:
            raise CheckpointError(f"{path}: {error}") from error
        if config != self.config:
            raise CheckpointError(f"{path}: of another recipe; give the same options to resume it, or another folder")
        self.model.load_state_dict(_below("model/", tensors))
        self.average = _below("average/", tensors)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimiser/", tensors).items():
            index, _, moment = name.partition("/")
            moments.setdefault(int(index), {})[moment] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        self.iteration = int(metadata["iteration"])
        # Rows written before a state that was not are made again.
        self.curves = read_rows(self.folder / "curves.csv", before=self.iteration)
        if self.validation is not None:
            self.validations = read_rows(self.folder / "validation.csv", before=self.iteration + 1)
            names = list(self.validations[0])[1:] if self.validations else list(self.validation.names)
            if names != list(self.validation.names):
                raise CheckpointError(
                    f"{self.folder / 'validation.csv'}: holds {', '.join(names)}; give the same validation options to "
                    "go on with it, or move it and best.safetensors away"
                )
        return True


def start_anew(model: GIFNet, layers: int, seed: int) -> None:
    """Give the last ``layers`` convolutions of G-Dec new random values, as a new network has them."""
    convolutions = [module for module in model.decoder.decode if isinstance(module, nn.Conv2d)]
    generator = torch.Generator().manual_seed(seed)
    for convolution in convolutions[len(convolutions) - layers :]:
        nn.init.kaiming_normal_(convolution.weight, generator=generator)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
