"""Reconstruction: Swin blocks, then convolutions down to the fused plane."""

import torch
from einops import rearrange
from torch import Tensor, nn

from .config import TITAConfig
from .extraction import SLOPE
from .swin import SwinGroup


class Reconstruction(nn.Module):
    """Features -> one plane."""

    def __init__(self, config: TITAConfig) -> None:
        super().__init__()
        half, quarter = config.channels // 2, config.channels // 4
        self.group = SwinGroup(config)
        self.convolutions = nn.Sequential(
            nn.Conv2d(config.channels, half, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(half, quarter, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(quarter, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``x``: (B, H, W, C); the plane (B, 1, H, W), of any values."""
        features = rearrange(self.group(x), "b h w c -> b c h w")
        # Training may compute the blocks in bfloat16, which is too coarse for a level of 255.
        with torch.autocast(x.device.type, enabled=False):
            plane: Tensor = self.convolutions(features.to(self.convolutions[0].weight.dtype))
        return plane
