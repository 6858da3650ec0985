"""Training batches: random luminance crops of aligned infrared-visible pairs and of photographs.

All images are held in memory, in 8 bits a pixel, or in 16 where their files are deeper. The batch of iteration ``i`` is
a function of the seed and ``i`` alone, so a resumed run sees what an unbroken one would have seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..execution.progress import bar
from ..execution.threads import Threads
from ..files.listing import images_in, stem_of
from ..images import colour
from ..images.reading import read

AHEAD = 4  # batches that are prepared in the background


@dataclass(frozen=True)
class DataConfig:
    """What crops are drawn and how they are varied. Shares are probabilities per crop."""

    crop: int = 128  # pixels a side
    batch: int = 8
    photo_share: float = 0.5  # of the digital-photography crops, from photographs; the rest is the visible crop itself
    tone_share: float = 0.3  # crops whose tone curve is changed (gamma, contrast, brightness)
    invert_share: float = 0.1
    half_share: float = 0.25  # crops taken from the half-size image
    exposure_share: float = 0.0  # of the multi-modal pairs that are two exposures of one photograph instead

    def __post_init__(self) -> None:
        if self.crop < 48:  # the information measure's fifth octave needs three pixels a side
            raise InputError(f"crop: {self.crop} pixels are too few; give 48 or more")
        if self.batch < 1:
            raise InputError(f"batch: {self.batch}; give 1 or more")


class Batch(NamedTuple):
    """Planes (B, 1, crop, crop), float32 in [0, 1]."""

    infrared: Tensor
    visible: Tensor
    photo: Tensor  # what the digital-photography side starts from


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The folder's image files by stem, sorted; an InputError where there are none or two share a stem."""
    found: dict[str, Path] = {}
    for path in images_in(folder):
        stem = stem_of(path)
        if stem in found:
            raise InputError(f"{folder}: {found[stem].name} and {path.name} share a stem; keep one of them")
        found[stem] = path
    if not found:
        raise InputError(f"{folder}: no images")
    return found


def paired(first: Path, second: Path) -> list[list[Path]]:
    """The files of the stems that both folders have, sorted; an InputError where there are none."""
    a, b = images_by_stem(first), images_by_stem(second)
    if not a.keys() & b.keys():
        raise InputError(f"{first} and {second} have no file stem in common")
    return [[a[stem], b[stem]] for stem in sorted(a.keys() & b.keys())]


class Pyramid(NamedTuple):
    """One image's planes at full and half size, (planes, H, W) uint8 or uint16; a pair's two planes stay aligned."""

    full: np.ndarray
    half: np.ndarray

    @property
    def white(self) -> int:
        """The largest value, which stands for 1."""
        return int(np.iinfo(self.full.dtype).max)


def load_luminance(paths: list[Path]) -> Pyramid:
    """The luminance of aligned images, upright, as the fusion sees it; 16 bits where one of the files is deeper than 8.

    Raises InputError, naming the file, for what is no image, and for sizes that differ.
    """
    pictures = [read(path, str(path)).load() for path in paths]
    deep = any(picture.dtype != torch.uint8 for picture in pictures)
    planes = [_levels(colour.luma_of(picture.pixels)[0, 0].numpy(), deep) for picture in pictures]
    if len({plane.shape for plane in planes}) > 1:
        raise InputError(
            f"{paths[0]} and {paths[1]} differ in size: {planes[0].shape[::-1]} and {planes[1].shape[::-1]}"
        )
    return Pyramid(np.stack(planes), np.stack([_half(plane) for plane in planes]))


def loaded_luminance(groups: list[list[Path]]) -> Iterator[Pyramid]:
    """``load_luminance`` of each of them, in their order, several at a time."""
    return prepared(lambda i: load_luminance(groups[i]), 0, len(groups), workers=AHEAD)


def _levels(plane: np.ndarray, deep: bool) -> np.ndarray:
    """A plane of [0, 1] in the levels of 16 bits, if it is ``deep``, or of 8."""
    kind = np.uint16 if deep else np.uint8
    return np.asarray(np.rint(plane * np.iinfo(kind).max), dtype=kind)


def _half(plane: np.ndarray) -> np.ndarray:
    height, width = plane.shape
    size = (max(1, width // 2), max(1, height // 2))
    if plane.dtype == np.uint8:
        return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS))
    resized = Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(resized).round().clip(0, np.iinfo(plane.dtype).max).astype(plane.dtype)


class TrainingData:
    """Reads every image once; ``batch(i)`` gives iteration i's batch."""

    def __init__(
        self, infrared: Path, visible: Path, photos: Path | None, config: DataConfig, seed: int, progress: bool = False
    ) -> None:
        self.config, self.seed = config, seed
        groups = paired(infrared, visible)
        photo_groups = [[path] for path in images_by_stem(photos).values()] if photos else []
        every = groups + photo_groups
        read = bar(iterable=loaded_luminance(every), total=len(every), desc="reading", disable=not progress)
        loaded = [image for image in read if min(image.full.shape[1:]) >= config.crop]
        self.pairs = [image for image in loaded if len(image.full) == 2]
        self.photos = [image for image in loaded if len(image.full) == 1]
        if not self.pairs or (photos and not self.photos):
            raise InputError(f"no image is at least {config.crop} pixels a side; give a smaller crop")

    def crop(self, image: Pyramid, rng: np.random.Generator) -> np.ndarray:
        """A random crop (planes, crop, crop) of an image, turned or mirrored, float32 in [0, 1]."""
        size = self.config.crop
        planes = (
            image.half if rng.random() < self.config.half_share and min(image.half.shape[1:]) >= size else image.full
        )
        top, left = (int(rng.integers(0, side - size + 1)) for side in planes.shape[1:])
        crop = planes[:, top : top + size, left : left + size]
        crop = np.rot90(crop, int(rng.integers(4)), axes=(1, 2))
        if rng.random() < 0.5:
            crop = crop[:, :, ::-1]
        return crop.astype(np.float32) / image.white

    def vary(self, plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Another tone curve, or the negative: what a plane means differs from modality to modality."""
        config = self.config
        if rng.random() < config.tone_share:
            low, high = np.sort(rng.uniform(0, 1, size=2))
            if high - low < 0.3:  # keep enough contrast to learn from
                low, high = max(0.0, high - 0.4), max(high, 0.4)
            plane = low + (high - low) * plane ** np.exp(rng.uniform(np.log(0.5), np.log(2.0)))
        if rng.random() < config.invert_share:
            plane = 1 - plane
        return plane.astype(np.float32)

    def exposures(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A dark and a bright exposure of one photograph, in either order, each clipped as a sensor clips."""
        light = self.crop(self.photos[int(rng.integers(len(self.photos)))], rng)[0] ** 2.2
        dark, bright = (np.minimum(light * 2.0 ** rng.uniform(*stops), 1) ** (1 / 2.2) for stops in ((-4, -1), (0, 3)))
        pair = (dark, bright) if rng.random() < 0.5 else (bright, dark)
        return pair[0].astype(np.float32), pair[1].astype(np.float32)

    def batch(self, iteration: int) -> Batch:
        config = self.config
        rng = np.random.default_rng((self.seed, iteration, 0))
        infrared, visible, photo = [], [], []
        for _ in range(config.batch):
            if self.photos and config.exposure_share and rng.random() < config.exposure_share:
                first, second = self.exposures(rng)
            else:
                pair = self.crop(self.pairs[int(rng.integers(len(self.pairs)))], rng)
                first, second = self.vary(pair[0], rng), self.vary(pair[1], rng)
            infrared.append(first)
            visible.append(second)
            if self.photos and rng.random() < config.photo_share:
                one = self.crop(self.photos[int(rng.integers(len(self.photos)))], rng)[0]
                photo.append(self.vary(one, rng))
            else:
                photo.append(visible[-1])
        a, b, c = (torch.from_numpy(np.stack(planes)[:, None]) for planes in (infrared, visible, photo))
        return Batch(a, b, c)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Batches ``start`` to ``stop - 1``."""
        return prepared(self.batch, start, stop, workers=2)


def prepared(make: Callable[[int], Any], start: int, stop: int, workers: int) -> Iterator[Any]:
    """What ``make`` gives for ``start`` to ``stop - 1``, the next ones always being made in the background."""
    with Threads(workers, "gifnet-data") as pool:
        queue = [pool.submit(make, i) for i in range(start, min(start + AHEAD, stop))]
        for i in range(start, stop):
            ready = queue.pop(0).result()
            if i + AHEAD < stop:
                queue.append(pool.submit(make, i + AHEAD))
            yield ready
