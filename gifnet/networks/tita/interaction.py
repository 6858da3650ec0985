"""Task-invariant interaction: groups of cross blocks, in which the two streams attend to each other."""

from typing import cast

from torch import Tensor, nn

from .config import TITAConfig
from .ipa import IPA
from .swin import MLP, WindowAttention


class CrossStream(nn.Module):
    """What a cross block has of its own for each stream."""

    def __init__(self, config: TITAConfig, shifted: bool) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.channels)
        self.attention = WindowAttention(config, shifted)
        self.norm_mlp = nn.LayerNorm(config.channels)
        self.mlp = MLP(config.channels, config.mlp_ratio * config.channels, config.channels)


class CrossBlock(nn.Module):
    """Attention across the streams in windows, IPA at each pixel, residual; LayerNorm, MLP, residual."""

    def __init__(self, config: TITAConfig, shifted: bool) -> None:
        super().__init__()
        self.x = CrossStream(config, shifted)
        self.y = CrossStream(config, shifted)
        self.ipa = IPA(config)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``x``, ``y``: (B, H, W, C); returns both of that shape."""
        normalised_x, normalised_y = self.x.norm_attention(x), self.y.norm_attention(y)
        attended_x, attended_y = self.ipa(
            self.x.attention(normalised_x, normalised_y), self.y.attention(normalised_y, normalised_x)
        )
        x, y = x + attended_x, y + attended_y
        return x + self.x.mlp(self.x.norm_mlp(x)), y + self.y.mlp(self.y.norm_mlp(y))


class Interaction(nn.Module):
    """The groups' blocks in turn, every second one shifted, and each stream's LayerNorm."""

    def __init__(self, config: TITAConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            CrossBlock(config, shifted=bool(i % 2)) for _ in range(config.groups) for i in range(config.depth)
        )
        self.norm_x = nn.LayerNorm(config.channels)
        self.norm_y = nn.LayerNorm(config.channels)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``x``, ``y``: (B, H, W, C); returns both of that shape."""
        for block in self.blocks:
            x, y = cast(CrossBlock, block)(x, y)
        return self.norm_x(x), self.norm_y(y)
