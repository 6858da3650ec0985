"""The fast network: it chooses between two planes, and corrects a little, rather than painting a new one.

Features are found at half, a quarter and an eighth of the resolution, where they cost little; what they decide about
each pixel of the full resolution is a weight for either source and a small correction. So what is sharp stays sharp,
and an image fused with itself is that image. The design is gifnet's own; it comes from no paper.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..planes import check_planes
from .config import FastConfig

GRID = 8  # pixels a side of what an eighth of the resolution shows as one
NEIGHBOURHOOD = 5  # pixels of half resolution a side, in which the sources' difference bounds the correction


class FastNetwork(nn.Module):
    """Two luminance planes -> features at lower resolutions -> weights and a correction -> one fused plane."""

    def __init__(self, config: FastConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FastConfig()
        self.trunk = Trunk(config)
        self.choose = _convolution(config.half, 8)  # of each of 2x2 pixels: the weight of a, and the correction
        self.improve = _convolution(config.half, 4)  # of each of 2x2 pixels: what enhancing adds
        for head in (self.choose, self.improve):  # a new network gives the mean of both, and x of x alone
            nn.init.zeros_(head.weight)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Fuse two planes (B, 1, H, W), floating point in [0, 1], H and W >= 1; in [0, 1] again.

        In infrared-visible pairs ``a`` is the infrared.
        """
        return self.blend(a, b).clamp(0, 1)

    def enhance(self, x: Tensor) -> Tensor:
        """Enhance one plane (B, 1, H, W) in [0, 1]; in [0, 1] again."""
        return self.improved(x).clamp(0, 1)

    def blend(self, a: Tensor, b: Tensor) -> Tensor:
        """``forward`` before its result is clipped to [0, 1], for training.

        b + w (a - b) + c d: w in [0, 1] weighs the sources, c in ±``config.correction`` is the correction, and d is how
        far the sources differ in the surroundings, so that a plane with itself is that plane.
        """
        check_planes(a, b)
        height, width = a.shape[-2:]
        halves = _halves(_filled(torch.cat([a, b], dim=1)))  # (B, 8, H/2, W/2)
        logits = self.choose(self.trunk(halves)).to(a.dtype)
        decided = F.pixel_shuffle(logits, 2)[..., :height, :width]
        weight, correction = decided[:, :1].sigmoid(), decided[:, 1:].tanh()
        limit: Tensor = self.config.correction * _reach(halves).to(a.dtype)[..., :height, :width]
        return torch.addcmul(torch.lerp(b, a, weight), correction, limit)

    def improved(self, x: Tensor) -> Tensor:
        """``enhance`` before its result is clipped to [0, 1], for training."""
        check_planes(x, x)
        height, width = x.shape[-2:]
        features = self.trunk(_halves(_filled(torch.cat([x, x], dim=1))))
        detail = F.pixel_shuffle(self.improve(features).to(x.dtype), 2)
        return x + detail[..., :height, :width]


class Trunk(nn.Module):
    """2x2 pixels of both planes (B, 8, H/2, W/2) to features (B, half, H/2, W/2); in its weights' precision."""

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        half, quarter = config.half, config.quarter
        self.enter = _convolution(8, half)
        self.down = Layers(half, config.half_layers)
        self.to_quarter = _convolution(half, quarter, stride=2)
        self.quarter = Layers(quarter, config.quarter_layers)
        self.to_eighth = _convolution(quarter, quarter, stride=2)
        self.eighth = Layers(quarter, config.eighth_layers)
        self.from_eighth = nn.Conv2d(quarter, quarter, 1)
        self.from_quarter = nn.Conv2d(quarter, half, 1)
        self.up = Layers(half, config.half_layers)

    def forward(self, halves: Tensor) -> Tensor:
        fine = self.down(F.relu(self.enter(halves.to(self.enter.weight.dtype)), inplace=True))
        coarse = self.quarter(F.relu(self.to_quarter(fine), inplace=True))
        coarser = self.eighth(F.relu(self.to_eighth(coarse), inplace=True))
        coarse = _added(_twice(self.from_eighth(coarser)), coarse)
        features: Tensor = self.up(_added(_twice(self.from_quarter(coarse)), fine))
        return features


class Layers(nn.Module):
    """So many 3x3 convolutions with ReLU, and around them all what went in."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_convolution(channels, channels) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = F.relu(layer(y), inplace=True)
        return _added(y, x)


def _added(x: Tensor, y: Tensor) -> Tensor:
    """Their sum, in the place of ``x`` but in training: new memory costs more than the sum."""
    return x + y if torch.is_grad_enabled() else x.add_(y)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def _filled(planes: Tensor) -> Tensor:
    """With sides filled up to a multiple of ``GRID`` at the bottom and the right, by the last row and column."""
    bottom, right = (-side % GRID for side in planes.shape[-2:])
    return F.pad(planes, (0, right, 0, bottom), mode="replicate") if bottom or right else planes


def _halves(planes: Tensor) -> Tensor:
    """Each 2x2 pixels as channels: (B, 2, H, W) to (B, 8, H/2, W/2), channels last."""
    return F.pixel_unshuffle(planes, 2).contiguous(memory_format=torch.channels_last)


def _twice(x: Tensor) -> Tensor:
    """At twice the resolution."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _reach(halves: Tensor) -> Tensor:
    """The largest difference of the sources around each pixel, (B, 1, H, W), smooth from pixel to pixel."""
    largest = (halves[:, :4] - halves[:, 4:]).abs().amax(dim=1, keepdim=True)
    return _twice(_largest_around(_largest_around(largest, 2), 3))


def _largest_around(x: Tensor, dim: int) -> Tensor:
    """The largest of ``NEIGHBOURHOOD`` values of x >= 0 in a row along a dimension, the middle one's place.

    Along each side in turn it is the largest of a square, in less time than ``max_pool2d`` takes on a processor.
    """
    side, reach = x.shape[dim], NEIGHBOURHOOD // 2
    padding = (reach, reach) if dim == 3 else (0, 0, reach, reach)
    padded = F.pad(x, padding)
    largest = padded.narrow(dim, 0, side)
    for offset in range(1, NEIGHBOURHOOD):
        largest = torch.maximum(largest, padded.narrow(dim, offset, side))
    return largest
