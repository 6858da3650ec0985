"""Exposure brackets: luminances blended level by level, so that no seam shows between a dark image and a bright one.

The blend is a Laplacian pyramid's (Burt and Adelson, 1983). An image weighs as much at a pixel of a level as it is well
exposed there (Mertens et al., 2007) and as it shows detail there or at finer levels. Coarse levels select less and
less, down to exposure alone: a choice by detail there would draw halos around bright objects.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..images.smoothing import expand, smooth

# Exponent of detail energy by level, finest first, for the first plane; the second has half. The base has none.
SELECTION = (4.0, 4.0, 4.0, 4.0, 2.0, 1.0, 0.5)
SMALLEST = 8  # pixels a side of a level that is still halved
NOISE = 2 / 255  # amplitude of detail; in what lies below it, images are averaged rather than selected
CARRY = 4.0  # weight of finer levels' energy beside a level's own
EXPOSURE_MEAN, EXPOSURE_DEVIATION = 0.5, 0.2  # Mertens et al.


class ExposureBlend:
    """Two planes that differ in how strictly they select, accumulated image by image."""

    def __init__(self) -> None:
        self._sums: list[Tensor] = []  # per level, (B, 4, H, W): Σ w·x and Σ w of the first plane, then of the second

    def add(self, luma: Tensor) -> None:
        """Count in a luminance plane (B, 1, H, W) in [0, 1]."""
        details, coarser = pyramid(luma)
        energy = None
        for level, (detail, exposed) in enumerate(zip(details, coarser, strict=True)):
            weight = torch.exp(-0.5 * ((exposed - EXPOSURE_MEAN) / EXPOSURE_DEVIATION) ** 2)
            weights = (weight, weight)
            if level < len(details) - 1:
                own = smooth(smooth(detail**2))
                energy = own if energy is None else own + CARRY * smooth(energy, stride=2)
                informative = torch.log1p(energy / NOISE**2)
                weights = (
                    weight * torch.exp(SELECTION[level] * informative),
                    weight * torch.exp(SELECTION[level] / 2 * informative),
                )
            terms = torch.cat([term for w in weights for term in (w * detail, w)], dim=1)
            if level < len(self._sums):
                self._sums[level] += terms
            else:
                self._sums.append(terms)

    def planes(self) -> tuple[Tensor, Tensor]:
        """Both planes (B, 1, H, W): the stricter selection first."""
        first = collapse([sums[:, 0:1] / sums[:, 1:2] for sums in self._sums])
        second = collapse([sums[:, 2:3] / sums[:, 3:4] for sums in self._sums])
        return first, second


def pyramid(x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The Laplacian and the Gaussian pyramid of ``x`` (B, 1, H, W), finest level first; both end with the base."""
    details: list[Tensor] = []
    coarser = [x]
    while len(details) < len(SELECTION) and min(coarser[-1].shape[-2:]) >= SMALLEST:
        coarse = smooth(coarser[-1], stride=2)
        details.append(coarser[-1] - expand(coarse, *coarser[-1].shape[-2:]))
        coarser.append(coarse)
    return [*details, coarser[-1]], coarser


def collapse(details: Sequence[Tensor]) -> Tensor:
    """The image of a Laplacian pyramid."""
    image = details[-1]
    for detail in reversed(details[:-1]):
        image = detail + expand(image, *detail.shape[-2:])
    return image
