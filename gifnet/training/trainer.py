"""The training loop: steps, schedule, averaged weights, checkpoints and curves."""

import csv
import math
import os
import signal
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..checkpoint import save_weights
from ..files import atomic_path
from ..network import GIFNet
from .data import Batch, DataConfig, TrainingData
from .defocus import DefocusConfig, random_defocus
from .losses import LossConfig
from .steps import multi_modal_step, photography_step

SAVE_SECONDS = 45.0  # the most that a killed run loses
CURVES = ("iteration", "rate", "mm_public", "mm_fusion", "dp_public", "dp_fusion")


@dataclass(frozen=True)
class TrainConfig:
    """One run's recipe; saved with its checkpoints and written into the weights' metadata."""

    iterations: int = 5000  # one MM and one DP step each
    rate: float = 1e-3  # Adam's learning rate at its peak
    final_rate: float = 0.05  # share of it that the cosine ends at
    warmup: int = 100  # iterations
    ema: float = 0.999  # decay of the averaged weights
    clip: float = 1.0  # largest gradient norm
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    defocus: DefocusConfig = field(default_factory=DefocusConfig)
    losses: LossConfig = field(default_factory=LossConfig)

    def rate_at(self, iteration: int) -> float:
        if iteration < self.warmup:
            return self.rate * (iteration + 1) / self.warmup
        done = (iteration - self.warmup) / max(1, self.iterations - self.warmup)
        return self.rate * (self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * done)))


class Trainer:
    """Owns the model, its averaged copy, the optimiser and the run's folder."""

    def __init__(
        self, model: GIFNet, data: TrainingData, config: TrainConfig, folder: Path, device: torch.device
    ) -> None:
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
        infrared, visible, near, far = (self._noisy(plane, rng) for plane in (infrared, visible, near, far))
        rate = self.config.rate_at(self.iteration)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        row: dict[str, float] = {"iteration": self.iteration, "rate": rate}
        for name in ("mm", "dp"):
            self.optimiser.zero_grad(set_to_none=True)
            with self._autocast():
                if name == "mm":
                    losses = multi_modal_step(self.model, infrared, visible, near, far, self.config.losses)
                else:
                    losses = photography_step(self.model, infrared, visible, near, far, photo, self.config.losses)
            losses.total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
            self.optimiser.step()
            row[f"{name}_public"], row[f"{name}_fusion"] = float(losses.public), float(losses.fusion)
        # The average follows more quickly at first, or it would remember the initial weights for long.
        decay = min(self.config.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        self.iteration += 1
        return row

    def _noisy(self, plane: Tensor, rng: np.random.Generator) -> Tensor:
        data = self.config.data
        share = (rng.random(len(plane)) < data.noise_share) * rng.uniform(0, data.noise, size=len(plane))
        noise = rng.standard_normal(tuple(plane.shape), dtype=np.float32) * share[:, None, None, None].astype(
            np.float32
        )
        return (plane + torch.from_numpy(noise).to(plane.device)).clamp(0, 1)

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
        """Write ``last.pt`` (to resume), ``last.safetensors`` (averaged weights, to use) and ``curves.csv``."""
        state = {
            "model": self.model.state_dict(), "average": self.average, "optimiser": self.optimiser.state_dict(),
            "iteration": self.iteration, "config": asdict(self.config), "curves": self.curves,
        }  # fmt: skip
        with atomic_path(self.folder / "last.pt") as path:
            torch.save(state, path)
        averaged = GIFNet(self.model.config)
        averaged.load_state_dict(self.average)
        save_weights(averaged, self.folder / "last.safetensors")
        with atomic_path(self.folder / "curves.csv") as path, open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, CURVES)
            writer.writeheader()
            writer.writerows(self.curves)

    def resume(self) -> bool:
        """Go on from ``last.pt`` in the run's folder; False where there is none."""
        path = self.folder / "last.pt"
        if not os.path.exists(path):
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.iteration, self.curves = state["iteration"], state["curves"]
        return True
