"""Feature extraction: convolutions that both inputs share, then Swin blocks of each one's own."""

from einops import rearrange
from torch import Tensor, nn

from .config import TITAConfig
from .swin import SwinGroup

SLOPE = 0.2  # of LeakyReLU below 0, everywhere in the network


class Extraction(nn.Module):
    """A plane of each input -> its features."""

    def __init__(self, config: TITAConfig) -> None:
        super().__init__()
        half = config.channels // 2
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, half, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(half, config.channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
        )
        self.group_a = SwinGroup(config)
        self.group_b = SwinGroup(config)

    def forward(self, a: Tensor, b: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
        """``a``, ``b``: planes (B, 1, H, W), H and W multiples of the window; features (B, H, W, C) of each.

        ``norm`` is the LayerNorm that the network's stages share.
        """
        x, y = (norm(rearrange(self.convolutions(plane), "b c h w -> b h w c")) for plane in (a, b))
        return self.group_a(x), self.group_b(y)
