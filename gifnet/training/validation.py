"""Validation while training: the averaged weights on held-out images, and the score that chooses the best."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import metrics
from ..errors import InputError
from ..fuser import Fuser
from ..metrics.structure import VIF_SMALLEST
from .data import images_by_stem, load_luminance, paired
from .defocus import gaussian_blur, random_region

SIDE = 256  # pixels; of larger images the middle is taken
METRICS = ("VIF", "Qabf", "SSIM", "SCD", "EI", "AG")
SCORED = METRICS[:3]  # what neither sharpening beyond the sources nor stretched contrast can raise
DECIBELS = 20.0  # of PSNR that count as 1 of a metric: 40 dB weigh as much as a good VIF + Qabf + SSIM, 2
DEVIATIONS = (1.0, 2.0, 3.0, 5.0)  # pixels: of the blur out of focus, in turn


class Case(NamedTuple):
    """Two sources and, of a photograph's two versions, the truth; (1, H, W) uint8."""

    a: Tensor
    b: Tensor
    truth: Tensor | None = None


class Validation:
    """Held-out images, measured every so many iterations.

    Of ``pairs``, two folders with the same file stems, the fused images' mean ``METRICS``; of ``photos``, a folder of
    sharp photographs, the mean PSNR and SSIM against them of the fusion of near- and far-focused versions, always the
    same ones. All on luminance, rounded to 8 bits as files are, in float32. The score is VIF + Qabf + SSIM of the
    pairs, plus the photographs' PSNR / 20, as far as there are both.
    """

    def __init__(self, pairs: tuple[Path, Path] | None, photos: Path | None, every: int = 500) -> None:
        if every < 1:
            raise InputError(f"validation every {every} iterations; give 1 or more")
        self.every = every
        self.names = ("score", *(METRICS if pairs else ()), *(("photo_psnr", "photo_ssim") if photos else ()))
        self.cases = [Case(*_middle(paths)) for paths in paired(*pairs)] if pairs else []
        for index, path in enumerate(images_by_stem(photos).values() if photos else []):
            (sharp,) = _middle([path])
            near, far = ((plane[0] * 255).round().to(torch.uint8) for plane in focus_pair(_unit(sharp), index))
            self.cases.append(Case(near, far, sharp))

    def measure(
        self, network: nn.Module, device: torch.device, stopped: Callable[[], object] = lambda: False
    ) -> dict[str, float] | None:
        """The score and the means of everything measured, by name; NaN where no image has a finite value.

        None if ``stopped``, asked before every image, says so.
        """
        fuser = Fuser(network.eval(), device, torch.float32)
        found: dict[str, list[float]] = {name: [] for name in self.names}
        for case in self.cases:
            if stopped():
                return None
            for name, value in _measured(fuser.fuse(case.a, case.b), case).items():
                if np.isfinite(value):
                    found[name].append(value)
        means = {name: statistics.fmean(values) if values else float("nan") for name, values in found.items()}
        terms = [means[name] for name in SCORED if name in means]
        terms += [means["photo_psnr"] / DECIBELS] if "photo_psnr" in means else []
        return {**means, "score": sum(terms)}


def focus_pair(sharp: Tensor, index: int) -> tuple[Tensor, Tensor]:
    """Near- and far-focused versions of ``sharp`` (1, 1, H, W) in [0, 1], a function of it and ``index`` alone.

    A random region and its complement, with a soft edge of 1 to 8 pixels, are blurred by one of ``DEVIATIONS``.
    """
    rng = np.random.default_rng(index)
    blurred = gaussian_blur(sharp, torch.tensor([DEVIATIONS[index % len(DEVIATIONS)]]))
    mask = torch.from_numpy(random_region((sharp.shape[2], sharp.shape[3]), float(rng.uniform(1, 8)), rng))
    return mask * sharp + (1 - mask) * blurred, (1 - mask) * sharp + mask * blurred


def _middle(paths: list[Path]) -> list[Tensor]:
    """The middle of the files' luminance, at most ``SIDE`` pixels a side, (1, H, W), rounded to uint8."""
    loaded = load_luminance(paths)
    planes = np.rint(loaded.full / (loaded.white / 255)).astype(np.uint8)
    height, width = planes.shape[1:]
    if min(height, width) < VIF_SMALLEST:
        raise InputError(
            f"{paths[0]}: {width}×{height} pixels are too few to validate with; give {VIF_SMALLEST} a side"
        )
    top, left = (max(0, side - SIDE) // 2 for side in (height, width))
    return [torch.from_numpy(plane[None, top : top + SIDE, left : left + SIDE].copy()) for plane in planes]


def _measured(fused: Tensor, case: Case) -> dict[str, float]:
    if case.truth is None:
        values = metrics.evaluate(_unit(fused), _unit(case.a), _unit(case.b), METRICS)
    else:
        planes = _unit(fused), _unit(case.truth), _unit(case.truth)
        values = {"photo_psnr": metrics.psnr(*planes), "photo_ssim": metrics.ssim(*planes)}
    return {name: float(value) for name, value in values.items()}


def _unit(plane: Tensor) -> Tensor:
    """(1, H, W) uint8 to (1, 1, H, W) in [0, 1]."""
    return plane[None].float() / 255
