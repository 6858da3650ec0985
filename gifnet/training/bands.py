"""Pairs as pan-sharpening has them, made from one photograph: a coarse band, and a fine plane of other radiometry."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .defocus import gaussian_blur, random_region

RATIOS = (2, 3, 4)  # of the two grids
NYQUIST = 0.3  # response of the band's sensor at its grid's Nyquist frequency (Aiazzi et al., 2006)
CONTRASTS = (4.0, 24.0)  # full scale, in deviations of the band; drawn log-uniformly
FALLING_SHARE = 0.12  # of the materials that are the darker in the band the brighter the fine plane is


def random_band(sharp: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A coarse band on the fine grid, the fine plane, and the band as its sensor would see it at full resolution.

    ``sharp`` (H, W) in [0, 1] is the fine plane; the band is another function of it for each of two materials. All
    three (H, W), float32, with the band's mean at 1/2 and equal deviations, as ``gifnet.pansharpen`` gives them to the
    network.
    """
    shape = (sharp.shape[0], sharp.shape[1])
    part = torch.from_numpy(random_region(shape, float(rng.uniform(0.5, 4)), rng))
    band = torch.lerp(_material(sharp, rng), _material(sharp, rng), part)
    coarse = _coarse(band, int(rng.choice(RATIOS)))
    scale = float(np.exp(rng.uniform(*np.log(CONTRASTS))))
    mean, deviation = coarse.mean(), coarse.std().clamp(min=1e-3)
    of_band, of_coarse = (((plane - mean) / (scale * deviation) + 0.5).clamp(0, 1) for plane in (band, coarse))
    fine = ((sharp - sharp.mean()) / (scale * sharp.std().clamp(min=1e-3)) + 0.5).clamp(0, 1)
    return of_coarse, fine, of_band


def _material(plane: Tensor, rng: np.random.Generator) -> Tensor:
    """A random curve of the plane's values."""
    low, high = rng.uniform(0, 0.5), rng.uniform(0.5, 1)
    if rng.random() < FALLING_SHARE:
        low, high = high, low
    return low + (high - low) * plane ** float(np.exp(rng.uniform(np.log(0.6), np.log(1.6))))


def _coarse(plane: Tensor, ratio: int) -> Tensor:
    """The plane sampled on a grid ``ratio`` times as coarse, and brought back to its own."""
    deviation = ratio * np.sqrt(-2 * np.log(NYQUIST)) / np.pi
    blurred = gaussian_blur(plane[None, None], torch.tensor([float(deviation)]))
    size = [max(1, side // ratio) for side in plane.shape]
    sampled = F.interpolate(blurred, size=size, mode="bilinear", align_corners=False)
    return F.interpolate(sampled, size=list(plane.shape), mode="bicubic", align_corners=False)[0, 0].clamp(0, 1)
