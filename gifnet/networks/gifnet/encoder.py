"""The shared encoder, S-Enc (Cheng et al., CVPR 2025)."""

import torch
from torch import Tensor, nn

from ..padding import ReflectConv2d


class SharedEncoder(nn.Module):
    """Densely connected 3x3 convolutions with ReLU; every layer sees the input and all layers before it."""

    def __init__(self, growth: int) -> None:
        super().__init__()
        self.conv1 = ReflectConv2d(2, growth, 3)
        self.conv2 = ReflectConv2d(2 + growth, growth, 3)
        self.conv3 = ReflectConv2d(2 + 2 * growth, growth, 3)

    def forward(self, planes: Tensor) -> Tensor:
        """Two luminance planes (B, 2, H, W) in [0, 1] to F = [planes, c1, c2, c3] (B, 2 + 3·growth, H, W)."""
        features = planes
        for conv in (self.conv1, self.conv2, self.conv3):
            features = torch.cat([features, conv(features).relu()], dim=1)
        return features
