"""Operation-based adaptive fusion, OAF (Hu et al., ICCV 2025): the weighted sum of three operations on each stream.

The weights follow from the whole image's mean features: they are the network's only values that are not local.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..tables import table
from .config import TITAConfig
from .swin import MLP

OPERATIONS = ("high-pass", "addition", "multiplication")  # of the first stream, and again of the second
SIDE = 3  # of the low-pass kernels, pixels


class Operations(nn.Module):
    """High-pass, addition and multiplication of one stream, from its compressed features."""

    hamming: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.compress = nn.Conv2d(channels, channels, 1)
        self.kernel = nn.Conv2d(channels, SIDE**2, 3, padding=1)
        self.residual = nn.Conv2d(channels, channels, 3, padding=1)
        self.factor = nn.Conv2d(channels, channels, 3, padding=1)
        for convolution in (self.compress, self.residual, self.factor):
            nn.init.xavier_uniform_(convolution.weight)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.kernel.weight, std=0.001)
        nn.init.zeros_(self.kernel.bias)  # type: ignore[arg-type]
        self.register_buffer("hamming", table((SIDE**2,), lambda: hamming_window(SIDE)), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``x``: (B, C, H, W); the three operations' results, each of that shape."""
        z = self.compress(x)
        kernel = self.kernel(z).softmax(dim=1) * self.hamming[:, None, None]
        kernel = kernel / kernel.sum(dim=1, keepdim=True)
        return x - low_pass(x, kernel), x + self.residual(z), x * self.factor(z)


def hamming_window(side: int) -> Tensor:
    """(side²,): the product of two Hamming windows, symmetric."""
    window = torch.hamming_window(side, periodic=False)
    return torch.outer(window, window).flatten()


def low_pass(x: Tensor, kernel: Tensor) -> Tensor:
    """``x`` (B, C, H, W), each pixel filtered by its own kernel (B, SIDE², H, W); borders are reflected."""
    height, width = x.shape[2:]
    margin = SIDE // 2
    padded = F.pad(x, (margin,) * 4, mode="reflect")
    sums = torch.zeros_like(x)
    for index in range(SIDE**2):
        dy, dx = divmod(index, SIDE)
        sums = sums + kernel[:, index : index + 1] * padded[..., dy : dy + height, dx : dx + width]
    return sums


class OAF(nn.Module):
    """Both streams -> one: six operations' results, weighted."""

    def __init__(self, config: TITAConfig) -> None:
        super().__init__()
        self.x = Operations(config.channels)
        self.y = Operations(config.channels)
        self.weigh = MLP(2 * config.channels, config.channels, 2 * len(OPERATIONS))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """``x``, ``y``: (B, H, W, C); returns that shape."""
        weights = self.weights(torch.cat([x, y], dim=-1).mean(dim=(1, 2)))
        x, y = (rearrange(each, "b h w c -> b c h w") for each in (x, y))
        results = torch.stack([*self.x(x), *self.y(y)], dim=1)
        return torch.einsum("bn,bnchw->bhwc", weights, results)

    def weights(self, mean: Tensor) -> Tensor:
        """The operations' weights (B, 6), which sum to 1, for both streams' mean features (B, 2 C)."""
        weights: Tensor = self.weigh(mean).softmax(dim=-1)
        return weights
