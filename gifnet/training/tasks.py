"""All tasks in one batch: what gifnet's own weights learn from, beside the paper's two alternating steps.

A batch to fuse holds pairs of every task: two modalities, two focus distances, one sharp image twice, two exposures.
A batch to enhance holds mildly blurred and noisy photographs. Each is a function of the seed and the iteration alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .bands import random_band
from .data import DataConfig, Pyramid, TrainingData, loaded_luminance, paired, prepared
from .defocus import DefocusConfig, gaussian_blur, random_defocus
from .degradation import DegradationConfig, degrade
from .lens import Lens, LensConfig, random_frames

MODAL, FOCUS, SHARP, EXPOSURE = range(4)  # the tasks of a batch to fuse
DETAILED = 3  # crops that are drawn for each photograph's; the most detailed one is taken


@dataclass(frozen=True)
class TaskConfig:
    """How often each task is drawn, and how its pairs are made. Shares are probabilities per crop."""

    modal: float = 0.30
    focus: float = 0.35
    sharp: float = 0.10
    exposure: float = 0.25
    gaussian_share: float = 0.3  # of the focus pairs that Gaussian blur makes, in place of a lens
    band_share: float = 0.0  # of the focus pairs that are a coarse band and a fine plane, as in pan-sharpening
    scene_share: float = 0.0  # of the sharp originals that are visible images of the pairs: softer, with noise to keep
    real_exposure_share: float = 0.7  # of the exposure pairs, where there are real ones
    smooth_share: float = 0.15  # of the modal pairs whose first image is blurred and dark outside a region, as PET is
    enhance_every: int = 4  # every so many iterations, one that enhances; 0: none
    enhance_batch: int = 4
    enhance_blur: tuple[float, float] = (0.5, 1.8)  # Gaussian deviation, pixels; of a disc, half its radius
    enhance_noise: float = 0.016  # largest deviation, of 1
    enhance_noisy: float = 0.85  # share of the crops to enhance that have noise
    enhance_unblurred: float = 0.1  # share of them that are not blurred

    def __post_init__(self) -> None:
        if self.modal + self.focus + self.sharp + self.exposure <= 0:
            raise InputError("tasks: modal, focus, sharp and exposure are all 0; give at least one task a share")
        if self.gaussian_share + self.band_share > 1:
            raise InputError("tasks: gaussian_share and band_share exceed 1 together; what is left, lenses make")

    @property
    def shares(self) -> np.ndarray:
        """Of MODAL, FOCUS, SHARP and EXPOSURE, summing to 1."""
        shares = np.array([self.modal, self.focus, self.sharp, self.exposure], dtype=float)
        return np.asarray(shares / shares.sum())


class TaskBatch(NamedTuple):
    """Pairs to fuse, (B, 1, crop, crop) in [0, 1]."""

    a: Tensor
    b: Tensor
    target: Tensor  # of FOCUS and SHARP; of the others, nothing that counts
    task: Tensor  # (B,), int64


class EnhanceBatch(NamedTuple):
    """Photographs to enhance and what should come out, (B, 1, crop, crop) in [0, 1]."""

    x: Tensor
    target: Tensor


class TaskData:
    """Draws the batches; the images are held in memory as bytes."""

    def __init__(
        self,
        images: TrainingData,
        exposures: tuple[Path, Path] | None,
        tasks: TaskConfig,
        lens: LensConfig,
        defocus: DefocusConfig,
        degradation: DegradationConfig,
    ) -> None:
        if not images.photos:
            raise InputError("training on all tasks makes focus pairs from photographs: give a folder of them")
        self.images, self.tasks, self.lens = images, tasks, lens
        self.defocus, self.degradation = defocus, degradation
        self.exposures = self._load(exposures) if exposures else []

    @property
    def config(self) -> DataConfig:
        """Of the crops."""
        return self.images.config

    def _load(self, folders: tuple[Path, Path]) -> list[Pyramid]:
        large = [image for image in loaded_luminance(paired(*folders)) if min(image.full.shape[1:]) >= self.config.crop]
        if not large:
            raise InputError(f"{folders[0]}: no image is {self.config.crop} pixels a side; give a smaller crop")
        return large

    def enhances(self, iteration: int) -> bool:
        """Whether this iteration is one that enhances."""
        every = self.tasks.enhance_every
        return bool(every) and iteration % every == every - 1

    def batch(self, iteration: int) -> TaskBatch | EnhanceBatch:
        """The batch of an iteration."""
        rng = np.random.default_rng((self.images.seed, iteration, 2))
        return self._enhance_batch(rng) if self.enhances(iteration) else self._task_batch(rng)

    def batches(self, start: int, stop: int) -> Iterator[TaskBatch | EnhanceBatch]:
        """Batches ``start`` to ``stop - 1``."""
        return prepared(self.batch, start, stop, workers=1)

    def _task_batch(self, rng: np.random.Generator) -> TaskBatch:
        # One draw in each of as many equal parts of [0, 1) as there are crops: every batch has nearly all tasks.
        draws = (np.arange(self.config.batch) + rng.random()) / self.config.batch
        tasks = np.searchsorted(np.cumsum(self.tasks.shares), draws, side="right").clip(max=EXPOSURE)
        crops = [self.pair(task, rng) for task in tasks]
        a, b, target = (torch.stack(planes)[:, None] for planes in zip(*crops, strict=True))
        return TaskBatch(a, b, target, torch.from_numpy(tasks))

    def pair(self, task: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A pair of one task and its target, (crop, crop) each: see ``TaskBatch``. Of a MODAL one, infrared first."""
        return (self._modal, self._focus, self._sharp, self._exposure)[task](rng)

    def _photo(self, rng: np.random.Generator) -> tuple[Tensor, bool]:
        """A crop of a photograph, the most detailed of a few, for skies teach little; and whether it is noise-free.

        Scenes' visible images are not: what noise they have belongs to them.
        """
        scene = rng.random() < self.tasks.scene_share
        images = self.images.pairs if scene else self.images.photos
        image = images[int(rng.integers(len(images)))]
        crops = [self.images.crop(image, rng)[-1] for _ in range(DETAILED)]
        detail = [np.abs(np.diff(crop, axis=0)).mean() + np.abs(np.diff(crop, axis=1)).mean() for crop in crops]
        return torch.from_numpy(np.ascontiguousarray(crops[int(np.argmax(detail))])), not scene

    def _modal(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        pairs = self.images.pairs
        pair = self.images.crop(pairs[int(rng.integers(len(pairs)))], rng)
        a, b = (torch.from_numpy(self.images.vary(plane, rng)) for plane in pair)
        if rng.random() < self.tasks.smooth_share:
            a = gaussian_blur(a[None, None], torch.tensor([float(rng.uniform(1.5, 5))]))[0, 0]
            dark = gaussian_blur(
                (a < a.quantile(float(rng.uniform(0.1, 0.7)))).float()[None, None], torch.tensor([3.0])
            )
            a = a * (1 - dark[0, 0])
        return a, b, b

    def _focus(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        sharp, clean = self._photo(rng)
        kind = rng.random()
        if kind < self.tasks.band_share:
            return random_band(sharp, rng)
        if kind < self.tasks.band_share + self.tasks.gaussian_share:
            near, far = (frame[0, 0] for frame in random_defocus(sharp[None, None], self.defocus, rng))
            target = sharp
        else:
            frames, target = random_frames(sharp, 2, self.lens, rng)
            near, far = frames if rng.random() < 0.5 else frames[::-1]
        if clean:
            near, far = (degrade(frame[None, None], self.degradation, rng)[0, 0] for frame in (near, far))
        return near, far, target

    def _sharp(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """One image twice, noise and all: it is to come out as it went in."""
        x = self._photo(rng)[0] if rng.random() < 0.7 else self._modal(rng)[int(rng.integers(2))]
        x = degrade(x[None, None], self.degradation, rng)[0, 0]
        return x, x, x

    def _exposure(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        if self.exposures and rng.random() < self.tasks.real_exposure_share:
            pair = self.images.crop(self.exposures[int(rng.integers(len(self.exposures)))], rng)
            a, b = pair if rng.random() < 0.5 else pair[::-1]
        else:
            a, b = self.images.exposures(rng)
        a, b = (torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32)) for plane in (a, b))
        return a, b, b

    def _enhance_batch(self, rng: np.random.Generator) -> EnhanceBatch:
        sharp = torch.stack([self._photo(rng)[0] for _ in range(self.tasks.enhance_batch)])
        blurred = torch.stack([self._mildly_blurred(plane, rng) for plane in sharp])[:, None]
        noisy = rng.random(len(sharp)) < self.tasks.enhance_noisy
        noise = noisy * rng.uniform(0, self.tasks.enhance_noise, size=len(sharp))
        grain = torch.from_numpy(rng.standard_normal(tuple(blurred.shape)) * noise[:, None, None, None]).to(blurred)
        x = (blurred + grain).clamp(0, 1)
        compressed = DegradationConfig(noise_share=0, jpeg_share=self.degradation.jpeg_share / 2)
        return EnhanceBatch(degrade(x, compressed, rng), sharp[:, None])

    def _mildly_blurred(self, sharp: Tensor, rng: np.random.Generator) -> Tensor:
        deviation = float(np.exp(rng.uniform(*np.log(self.tasks.enhance_blur))))
        if rng.random() < self.tasks.enhance_unblurred:
            return sharp
        if rng.random() < 0.55:
            return gaussian_blur(sharp[None, None], torch.tensor([deviation]))[0, 0]
        lens = Lens(sharp, 2 * deviation, self.lens, rng)
        return lens.gathered(torch.full_like(sharp, 2 * deviation))
