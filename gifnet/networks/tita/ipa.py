"""Interaction-enhanced pixel attention, IPA (Hu et al., ICCV 2025): two features of one pixel attend to each other."""

import torch
from einops import rearrange
from torch import Tensor, nn

from .config import TITAConfig
from .swin import MLP


class TwoTokenAttention(nn.Module):
    """Multi-head attention of one query over two keys and values, at each pixel on its own."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.project = nn.Linear(channels, channels)

    def forward(self, query: Tensor, keys: tuple[Tensor, Tensor], values: tuple[Tensor, Tensor]) -> Tensor:
        """All (..., C); returns that shape."""
        q, (k0, k1), (v0, v1) = self.query(query), map(self.key, keys), map(self.value, values)
        # The softmax of two logits is the sigmoid of their difference.
        difference = rearrange(q * (k0 - k1), "... (head d) -> ... head d", head=self.heads).sum(-1, keepdim=True)
        first = torch.sigmoid(difference * (q.shape[-1] // self.heads) ** -0.5)
        v0, v1 = (rearrange(v, "... (head d) -> ... head d", head=self.heads) for v in (v0, v1))
        attended: Tensor = self.project((v1 + first * (v0 - v1)).flatten(-2))
        return attended


class IPA(nn.Module):
    """Each stream attends to itself and to the other one, with keys that their relation sets apart."""

    def __init__(self, config: TITAConfig) -> None:
        super().__init__()
        channels = config.channels
        self.relation = MLP(2 * channels, channels, channels)
        self.key_noise = nn.Parameter(torch.randn(2, channels))
        self.value_noise = nn.Parameter(torch.randn(2, channels))
        self.attention_x = TwoTokenAttention(channels, config.heads)
        self.attention_y = TwoTokenAttention(channels, config.heads)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``x``, ``y``: (..., C); returns both of that shape."""
        score_xy = self.relation(torch.cat([x, y], dim=-1)).softmax(dim=-1)
        score_yx = self.relation(torch.cat([y, x], dim=-1)).softmax(dim=-1)
        return (
            x + self.attention_x(x, self._keys(x, score_xy, 0), (x, y)),
            y + self.attention_y(y, self._keys(y, score_yx, 1), (y, x)),
        )

    def _keys(self, x: Tensor, score: Tensor, stream: int) -> tuple[Tensor, Tensor]:
        """Of the stream itself, without what it shares with the other one, and with it once more."""
        shared = x * score
        return self.key_noise[stream] + x - shared, self.value_noise[stream] + x + shared
