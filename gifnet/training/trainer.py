"""The training loop: steps, schedule, averaged weights, checkpoints and curves."""

import csv
import json
import signal
import time
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from ..checkpoint import save_weights
from ..errors import CheckpointError
from ..files import atomic_path
from ..network import GIFNet
from .data import Batch, TrainingData
from .defocus import random_defocus
from .degradation import degrade
from .recipe import Recipe
from .steps import Planes, multi_modal_step, photography_step

SAVE_SECONDS = 45.0  # the most that a killed run loses
CURVES = ("iteration", "rate", "mm_public", "mm_fusion", "dp_public", "dp_fusion")


class Trainer:
    """Owns the model, its averaged copy, the optimiser and the run's folder."""

    def __init__(self, model: GIFNet, data: TrainingData, config: Recipe, folder: Path, device: torch.device) -> None:
        self.config, self.data, self.folder, self.device = config, data, folder, device
        self.model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.rate)
        self.iteration = 0
        self.curves: list[dict[str, float]] = []

    def step(self, batch: Batch) -> dict[str, float]:
        """One iteration: an MM step, then a DP step. Returns its row of the loss curves."""
        rng = np.random.default_rng((self.config.seed, self.iteration, 1))
        infrared, visible, photo = (plane.to(self.device, non_blocking=True) for plane in batch)
        near, far = random_defocus(photo, self.config.defocus, rng)
        near, far = (degrade(plane, self.config.degradation, rng) for plane in (near, far))
        planes = Planes(infrared, visible, near, far, photo)
        mixed = torch.from_numpy(rng.random(len(photo)) < self.config.mixed_share).to(self.device)
        rate = self.config.rate_at(self.iteration)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        row: dict[str, float] = {"iteration": self.iteration, "rate": rate}
        for name in ("mm", "dp"):
            self.optimiser.zero_grad(set_to_none=True)
            with self._autocast():
                if name == "mm":
                    losses = multi_modal_step(self.model, planes, mixed, self.config.losses)
                else:
                    losses = photography_step(self.model, planes, self.config.losses)
            losses.total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            self.optimiser.step()
            row[f"{name}_public"], row[f"{name}_fusion"] = losses.public.item(), losses.fusion.item()
        # The average follows more quickly at first, or it would remember the initial weights for long.
        decay = min(self.config.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        self.iteration += 1
        return row

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def run(self, progress: bool = True) -> None:
        """Train to ``config.iterations``, saving every 45 seconds, at the end and on SIGTERM."""
        stop = False

        def on_signal(signum: int, frame: FrameType | None) -> None:
            nonlocal stop
            stop = True

        previous = signal.signal(signal.SIGTERM, on_signal)
        saved = time.monotonic()
        bar = tqdm(total=self.config.iterations, initial=self.iteration, disable=not progress, unit="it", mininterval=5)
        try:
            for batch in self.data.batches(self.iteration, self.config.iterations):
                row = self.step(batch)
                self.curves.append(row)
                bar.update()
                recent = self.curves[-100:]
                bar.set_postfix(
                    {key: f"{sum(r[key] for r in recent) / len(recent):.4f}" for key in CURVES[2:]}, refresh=False
                )
                if stop or time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
                if stop:
                    break
        finally:
            bar.close()
            signal.signal(signal.SIGTERM, previous)
        self.save()

    def save(self) -> None:
        """Write ``last.safetensors`` (averaged weights, to use), ``curves.csv`` and ``state.safetensors`` (to resume).

        Each appears whole or not at all; the state comes last, so that what it resumes from is there.
        """
        save_weights(self.averaged(), self.folder / "last.safetensors", self.notes())
        with atomic_path(self.folder / "curves.csv") as path, open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, CURVES)
            writer.writeheader()
            writer.writerows(self.curves)
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
            "recipe": json.dumps(asdict(self.config), sort_keys=True),
        }

    def resume(self) -> bool:
        """Go on from the run's folder; False where no state lies there.

        Raises CheckpointError when the state is of another recipe, for the result would be of neither.
        """
        path = self.folder / "state.safetensors"
        if not path.exists():
            return False
        with safe_open(path, framework="pt", device=str(self.device)) as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        if json.loads(metadata["config"]) != json.loads(json.dumps(asdict(self.config))):
            raise CheckpointError(f"{path}: of another recipe; give the same options to resume it, or another folder")
        self.model.load_state_dict(_below("model/", tensors))
        self.average = _below("average/", tensors)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimiser/", tensors).items():
            index, _, moment = name.partition("/")
            moments.setdefault(int(index), {})[moment] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        self.iteration = int(metadata["iteration"])
        with open(self.folder / "curves.csv", newline="", encoding="utf-8") as rows:
            self.curves = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(rows)]
        del self.curves[self.iteration :]  # written before a state that was not
        return True


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
