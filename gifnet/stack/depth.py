"""The depth map of a focus stack: which image each pixel is sharpest in.

Where nothing is sharp in any image, in a clear sky or on a blank wall, sharpness says nothing; there the map is filled
in from around, level by level of a pyramid, each as far as it has evidence (as in Gortler et al., *The Lumigraph*,
SIGGRAPH 1996, section 3.4, "pull-push").
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..images.smoothing import expand, smooth

STRICTNESS = 8.0  # exponent of the sharpness: neighbours that are as sharp share a pixel, others have no part in it
EVIDENCE = 0.15  # how much evidence counts as much as all that is around
SMALLEST = 4  # pixels a side of a level that is still halved


class DepthMap:
    """Accumulated image by image, in memory that does not grow."""

    def __init__(self) -> None:
        self._count = 0
        self._greatest: Tensor | None = None  # (B, 1, H, W), of sharpness
        self._sums: Tensor | None = None  # (B, 2, H, W): Σ w·index and Σ w
        self._total: Tensor | None = None  # (B, 1, H, W), of sharpness

    def add(self, sharpness: Tensor) -> None:
        """Count in an image by its sharpness (B, 1, H, W), see ``focus.sharpness``."""
        sharp = smooth(sharpness)
        if self._greatest is None or self._sums is None or self._total is None:
            ones = torch.ones_like(sharp)
            self._greatest, self._sums, self._total = sharp, torch.cat([0 * ones, ones], dim=1), sharp.clone()
        else:
            greatest = torch.maximum(self._greatest, sharp)
            self._sums *= torch.exp(STRICTNESS * (self._greatest - greatest))
            weight = torch.exp(STRICTNESS * (sharp - greatest))
            self._sums += torch.cat([self._count * weight, weight], dim=1)
            self._total += sharp
            self._greatest = greatest
        self._count += 1

    def planes(self) -> Tensor:
        """(B, 1, H, W) float32 in [0, count - 1]."""
        assert self._greatest is not None
        assert self._sums is not None
        assert self._total is not None
        depth = self._sums[:, :1] / self._sums[:, 1:]
        evidence = ((self._greatest - self._total / self._count) / (1 + self._greatest)).clamp(min=0).square()
        return _filled(depth, evidence).clamp(0, self._count - 1)

    def array(self) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """(H, W) float32, or (B, H, W) of a batch: 0 where the first image is sharpest, count - 1 where the last is."""
        planes = self.planes()[:, 0].cpu().numpy()
        return planes[0] if len(planes) == 1 else planes

    def levels(self) -> "np.ndarray[Any, np.dtype[np.uint16]]":
        """(H, W, 1) uint16: 0 where the first image is sharpest, 65535 where the last is.

        Raises InputError for batches.
        """
        found = self.array()
        if found.ndim == 3:
            raise InputError(f"depth: a batch of {len(found)} images; give one stack at a time")
        return (found[..., None] * (65535 / max(self._count - 1, 1))).round().astype(np.uint16)


def _filled(depth: Tensor, evidence: Tensor) -> Tensor:
    """The depth smoothed by its evidence, and where that is little, from ever larger surroundings."""
    levels = [smooth(smooth(torch.cat([depth * evidence, evidence], dim=1)))]
    while min(levels[-1].shape[-2:]) >= SMALLEST:
        levels.append(smooth(levels[-1], stride=2))
    last = levels[-1]
    total = last.mean(dim=(-2, -1), keepdim=True)
    filled = (total[:, :1] / total[:, 1:].clamp(min=1e-12)).expand_as(last[:, :1])
    for weighted in reversed(levels):
        around = expand(filled, *weighted.shape[-2:]) if filled.shape[-2:] != weighted.shape[-2:] else filled
        own = weighted[:, 1:] / (EVIDENCE**2 + weighted[:, 1:])
        filled = torch.lerp(around, weighted[:, :1] / weighted[:, 1:].clamp(min=1e-12), own)
    return filled
