"""The global decoder, G-Dec, and the reconstruction branch, REC (Cheng et al., CVPR 2025)."""

import torch
from torch import Tensor, nn

from .padding import ReflectConv2d


class ConvDecoder(nn.Sequential):
    """Four 3x3 convolutions channels -> 64 -> 32 -> 16 -> 1, ReLU between, Tanh at the end."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            ReflectConv2d(channels, 64, 3),
            nn.ReLU(),
            ReflectConv2d(64, 32, 3),
            nn.ReLU(),
            ReflectConv2d(32, 16, 3),
            nn.ReLU(),
            ReflectConv2d(16, 1, 3),
            nn.Tanh(),
        )
        # He initialisation keeps the signal's size through the ReLUs, which torch's smaller default does not.
        for layer in self:
            if isinstance(layer, ReflectConv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


class GlobalDecoder(nn.Module):
    """G-Dec: the shared features F and the gated features G become the fused plane."""

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.complement = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels, hidden, 1, bias=False),
        )
        self.decode = ConvDecoder(hidden)

    def forward(self, shared: Tensor, gated: Tensor) -> Tensor:
        """``shared``, ``gated``: (B, C, H, W). Returns the fused plane (B, 1, H, W) in [0, 1]."""
        tanh: Tensor = self.decode(self.complement(torch.cat([shared, gated], dim=1)))
        return tanh / 2 + 0.5


class ReconstructionDecoder(ConvDecoder):
    """REC, used in training only: the shared features (B, C, H, W) become a plane (B, 1, H, W) in [-1, 1]."""
