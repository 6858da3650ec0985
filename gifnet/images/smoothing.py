"""Separable smoothing of planes, edges replicated: small kernels, as sums of shifted planes.

For a single channel that is several times faster on a processor than a convolution is.
"""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # of standard deviation 1


def gaussian(deviation: float, radius: int) -> tuple[float, ...]:
    """A sampled Gaussian of ``2 * radius + 1`` weights that sum to one."""
    weights = [math.exp(-0.5 * (x / deviation) ** 2) for x in range(-radius, radius + 1)]
    return tuple(weight / sum(weights) for weight in weights)


def smooth(x: Tensor, kernel: Sequence[float] = BINOMIAL, stride: int = 1) -> Tensor:
    """``x`` (B, C, H, W) smoothed by ``kernel``, of odd length, in both directions; every ``stride``-th pixel of it."""
    radius = len(kernel) // 2
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, 0, radius, radius), mode="replicate")
    x = _weighted_sum([padded[..., i : i + height : stride, :] for i in range(len(kernel))], kernel)
    padded = F.pad(x, (radius, radius, 0, 0), mode="replicate")
    return _weighted_sum([padded[..., i : i + width : stride] for i in range(len(kernel))], kernel)


def _weighted_sum(planes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = planes[0] * weights[0]
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        total.add_(plane, alpha=weight)
    return total


def expand(x: Tensor, height: int, width: int) -> Tensor:
    """Twice the size, bilinear: pixel i of ``x`` lies at 2·i of the result, which is ``height`` × ``width``."""
    size = 2 * x.shape[-2] - 1, 2 * x.shape[-1] - 1
    expanded = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
    return F.pad(expanded, (0, width - size[1], 0, height - size[0]), mode="replicate")
