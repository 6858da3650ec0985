"""Swin blocks (Liu et al., ICCV 2021): attention in windows, every other block's shifted by half a window.

Features are (B, H, W, C), H and W multiples of the window's side.
"""

from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from ..tables import table
from .config import TITAConfig

MASKED = -100.0  # added to the logits of pixels that the cyclic shift made neighbours but the image does not


class WindowAttention(nn.Module):
    """Multi-head attention in windows: queries of ``x``, keys and values of ``source``.

    A learned table gives each head's bias for each offset between two pixels of a window.
    """

    positions: Tensor

    def __init__(self, config: TITAConfig, shifted: bool) -> None:
        super().__init__()
        self.heads, self.window = config.heads, config.window
        self.shift = config.window // 2 if shifted else 0
        self.query = nn.Linear(config.channels, config.channels)
        self.key_value = nn.Linear(config.channels, 2 * config.channels)
        self.project = nn.Linear(config.channels, config.channels)
        self.bias_table = nn.Parameter(torch.empty((2 * config.window - 1) ** 2, config.heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        # Derived from the window's size, hence not part of the state dict.
        positions = table((config.window**2, config.window**2), lambda: table_rows(config.window))
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """``x``, ``source``: (B, H, W, C); returns that shape."""
        height, width = x.shape[1:3]
        tokens = self._windows(x)
        of_source = tokens if source is x else self._windows(source)
        # Scaled before the product, and summed in place: the logits are the network's largest tensors by far.
        query = self.query(tokens) * (x.shape[-1] // self.heads) ** -0.5
        key, value = self.key_value(of_source).chunk(2, dim=-1)
        query, key, value = (
            rearrange(each, "b window token (head d) -> b window head token d", head=self.heads)
            for each in (query, key, value)
        )
        logits = query @ key.transpose(-2, -1)
        logits += self.bias().to(logits.dtype)
        if self.shift:
            logits += shift_mask(height, width, self.window, logits)[:, None]
        attended = logits.softmax(dim=-1) @ value
        merged = rearrange(attended, "b window head token d -> b window token (head d)")
        projected: Tensor = rearrange(
            self.project(merged), "b (wy wx) (y x) c -> b (wy y) (wx x) c", wy=height // self.window, y=self.window
        )
        return projected.roll((self.shift, self.shift), dims=(1, 2)) if self.shift else projected

    def bias(self) -> Tensor:
        """(heads, window², window²): the bias of each query (rows) for each key (columns)."""
        return rearrange(self.bias_table[self.positions], "query key head -> head query key")

    def _windows(self, x: Tensor) -> Tensor:
        if self.shift:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        return rearrange(x, "b (wy y) (wx x) c -> b (wy wx) (y x) c", y=self.window, x=self.window)


def table_rows(window: int) -> Tensor:
    """The row of the bias table for each query and key of a window: (window², window²), int64.

    Rows count the offset of the query from the key: down first, then across.
    """
    side = torch.arange(window)
    positions = torch.stack(torch.meshgrid(side, side, indexing="ij"), dim=-1).flatten(0, 1)
    offsets = positions[:, None] - positions[None, :] + window - 1
    return offsets[..., 0] * (2 * window - 1) + offsets[..., 1]


def shift_mask(height: int, width: int, window: int, like: Tensor) -> Tensor:
    """(windows, window², window²): 0 for pixels that the image has in one shifted window, ``MASKED`` for others."""

    def parts(side: int) -> Tensor:
        """Of a rolled side: in the last window, the second half comes from the other end."""
        part = torch.zeros(side, dtype=torch.int64, device=like.device)
        part[side - window // 2 :] = 1
        return part

    part = parts(height)[:, None] * 2 + parts(width)[None, :]
    windows = rearrange(part, "(wy y) (wx x) -> (wy wx) (y x)", y=window, x=window)
    different = windows[:, :, None] != windows[:, None, :]
    return different.to(like.dtype) * MASKED


class MLP(nn.Sequential):
    """Two linear layers with GELU between them."""

    def __init__(self, channels: int, hidden: int, out: int) -> None:
        super().__init__(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, out))


class SwinBlock(nn.Module):
    """LayerNorm, attention, residual; LayerNorm, MLP, residual."""

    def __init__(self, config: TITAConfig, shifted: bool) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.channels)
        self.attention = WindowAttention(config, shifted)
        self.norm_mlp = nn.LayerNorm(config.channels)
        self.mlp = MLP(config.channels, config.mlp_ratio * config.channels, config.channels)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: (B, H, W, C); returns that shape."""
        normalised = self.norm_attention(x)
        x = x + self.attention(normalised, normalised)
        y: Tensor = x + self.mlp(self.norm_mlp(x))
        return y


class SwinGroup(nn.Module):
    """Blocks in turn, every second one shifted, and a LayerNorm."""

    def __init__(self, config: TITAConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(SwinBlock(config, shifted=bool(i % 2)) for i in range(config.depth))
        self.norm = nn.LayerNorm(config.channels)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: (B, H, W, C); returns that shape."""
        for block in self.blocks:
            x = cast(SwinBlock, block)(x)
        y: Tensor = self.norm(x)
        return y
