"""The cross-fusion gating mechanism, CFGM (Cheng et al., CVPR 2025).

Two branches, MM (multi-modal, ``"mm"``) and DP (digital photography, ``"dp"``), each read shared features.
One is the *main* branch, whose output goes on to the decoder; the other, the *auxiliary* one, is attended to with
the main branch's queries and mixed in with a learned weight. The roles swap during training.
"""

from typing import NamedTuple, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from ..padding import ReflectConv2d, reflect_pad
from ..tables import table
from .config import BRANCHES, Branch, GIFNetConfig, other_branch

EPSILON = 1e-5  # added to the variance
PATCH = 4  # features are padded to a multiple of this many pixels


class RevisedLayerNorm(nn.Module):
    """Normalises by one mean and one deviation per image, over all channels and pixels.

    Besides the normalised features it gives a scale and a shift per channel, predicted from the deviation and the
    mean, with which the block returns its result to the features' own range.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.rescale = nn.Conv2d(1, channels, 1)
        self.rebias = nn.Conv2d(1, channels, 1)
        for predictor, start in ((self.rescale, 1.0), (self.rebias, 0.0)):
            nn.init.trunc_normal_(predictor.weight, std=0.02)
            nn.init.constant_(predictor.bias, start)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``x``: (B, C, H, W). Returns x̂ (B, C, H, W), rescale and rebias (B, C, 1, 1)."""
        # Summed in float32 at least: a half-precision sum over an image would lose the mean.
        variance, mean = torch.var_mean(
            x.to(torch.promote_types(x.dtype, torch.float32)), dim=(1, 2, 3), correction=0, keepdim=True
        )
        deviation = (variance + EPSILON).sqrt()
        scale = self.weight / deviation
        shift = self.bias - mean * scale
        normalised = torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))  # (x - mean) / deviation · weight + bias
        return normalised, self.rescale(deviation), self.rebias(mean)


class PositionBias(nn.Module):
    """An MLP from the offset of two pixels in a window to one attention bias per head; both branches share it."""

    def __init__(self, window: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, heads))
        # Derived from the window's size, hence not part of the state dict.
        offsets = table(((2 * window - 1) ** 2, 2), lambda: log_offsets(window))
        pairs = table((window**2, window**2), lambda: offset_of_pairs(window))
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("pairs", pairs, persistent=False)

    def forward(self) -> Tensor:
        """Returns (heads, window², window²): the bias of each query (rows) for each key (columns)."""
        of_offsets = self.mlp(self.offsets)  # far fewer than pairs of pixels have
        bias: Tensor = rearrange(of_offsets[self.pairs], "query key head -> head query key")
        return bias


def log_offsets(window: int) -> Tensor:
    """``sign(Δ)·log(1 + |Δ|)`` of each (dy, dx) that two pixels of a window can have: ((2·window - 1)², 2)."""
    side = torch.arange(1 - window, window, dtype=torch.float32)
    delta = torch.stack(torch.meshgrid(side, side, indexing="ij"), dim=-1).flatten(0, 1)
    return delta.sign() * delta.abs().log1p()


def offset_of_pairs(window: int) -> Tensor:
    """Which row of ``log_offsets`` is that from a key (columns) to a query (rows) of a window: (window², window²)."""
    side = torch.arange(window)
    y, x = (position.flatten() for position in torch.meshgrid(side, side, indexing="ij"))
    dy, dx = (position[:, None] - position[None, :] + window - 1 for position in (y, x))
    return dy * (2 * window - 1) + dx


class Projected(NamedTuple):
    """What a branch's block makes of its input x (B, C, H, W) before attention."""

    query: Tensor  # (B, C, H, W), channels (head, C / heads), as key and value
    key: Tensor
    value: Tensor
    rescale: Tensor  # (B, C, 1, 1), as rebias
    rebias: Tensor


class BranchBlock(nn.Module):
    """One branch's own parameters of a CFGM block: norm, projections, local convolution and MLP."""

    def __init__(self, channels: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm = RevisedLayerNorm(channels)
        self.query_key = nn.Conv2d(channels, 2 * channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.local = ReflectConv2d(channels, channels, 5, groups=channels)
        self.project = nn.Conv2d(channels, channels, 1)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, mlp_ratio * channels, 1), nn.ReLU(), nn.Conv2d(mlp_ratio * channels, channels, 1)
        )

    def project_in(self, x: Tensor) -> Projected:
        normalised, rescale, rebias = self.norm(x)
        query, key = self.query_key(normalised).chunk(2, dim=1)
        return Projected(query, key, self.value(normalised), rescale, rebias)

    def project_out(self, x: Tensor, projected: Projected, attended: Tensor) -> Tensor:
        out = self.project(self.local(projected.value) + attended)
        x = x + out * projected.rescale + projected.rebias
        y: Tensor = x + self.mlp(x)
        return y


class CFGMBlock(nn.Module):
    """One Swin block of both branches; a plain one (``cross``, windows from the corner) or a shifted one."""

    def __init__(self, config: GIFNetConfig, cross: bool) -> None:
        super().__init__()
        self.heads = config.heads
        self.window = config.window
        self.shift = 0 if cross else config.window // 2
        self.cross = cross
        self.position_bias = PositionBias(config.window, config.heads, config.position_hidden)
        self.branches = nn.ModuleDict({name: BranchBlock(config.channels, config.mlp_ratio) for name in BRANCHES})

    def forward(self, x: Tensor, y: Tensor | None, main: Branch) -> tuple[Tensor, Tensor | None]:
        """``x``, ``y``: the main and the auxiliary branch's features (B, C, H, W); ``y`` may be None.

        In the cross block the auxiliary branch attends with the main branch's queries over its own keys and values.
        Nothing of the auxiliary branch is differentiated: only main branches learn.
        """
        own, other = self.branch(main), self.branch(other_branch(main))
        bias = self.position_bias()
        projected = own.project_in(x)
        x_out = own.project_out(x, projected, self.attend(projected.query, projected.key, projected.value, bias))
        if y is None:
            return x_out, None
        with torch.no_grad():
            auxiliary = other.project_in(y)
            query = projected.query if self.cross else auxiliary.query
            y_out = other.project_out(y, auxiliary, self.attend(query, auxiliary.key, auxiliary.value, bias))
        return x_out, y_out

    def branch(self, name: Branch) -> BranchBlock:
        """One branch's own parameters."""
        return cast(BranchBlock, self.branches[name])

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Multi-head attention in windows: (B, C, H, W) each, H and W multiples of 4; returns the same shape."""
        height, width = query.shape[-2:]
        margins = window_margins(height, width, self.window, self.shift)
        rows = (height + margins[2] + margins[3]) // self.window

        def windows(x: Tensor) -> Tensor:
            return rearrange(
                reflect_pad(x, *margins),
                "b (head c) (row y) (column x) -> (b row column) head (y x) c",
                head=self.heads,
                y=self.window,
                x=self.window,
            )

        q, k, v = windows(query), windows(key), windows(value)
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
        attended: Tensor = rearrange(
            logits.softmax(dim=-1) @ v,
            "(b row column) head (y x) c -> b (head c) (row y) (column x)",
            b=query.shape[0],
            row=rows,
            y=self.window,
        )
        return attended[..., self.shift : self.shift + height, self.shift : self.shift + width]


def window_margins(height: int, width: int, window: int, shift: int) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom) that puts the window grid ``shift`` pixels before the origin."""

    def after(size: int) -> int:
        return (-size - shift) % window

    return shift, after(width), shift, after(height)


class CFGM(nn.Module):
    """Embeds both branches' features, runs a cross block and a shifted block, and un-embeds the main branch."""

    def __init__(self, config: GIFNetConfig) -> None:
        super().__init__()
        channels = config.channels
        self.embed = nn.ModuleDict({name: ReflectConv2d(channels, channels, 3) for name in BRANCHES})
        self.blocks = nn.ModuleList([CFGMBlock(config, cross=True), CFGMBlock(config, cross=False)])
        # λ: the auxiliary features' weight after the cross block, by the branch that is main.
        self.mix = nn.ParameterDict({name: nn.Parameter(torch.tensor(0.1)) for name in BRANCHES})
        self.unembed = ReflectConv2d(channels, channels, 3)

    def forward(self, shared: Tensor, auxiliary: Tensor, main: Branch) -> Tensor:
        """``shared``, ``auxiliary``: features for the main and the other branch (B, C, H, W); at inference both are F.

        Returns the gated features G (B, C, H, W).
        """
        height, width = shared.shape[-2:]
        padding = (0, -width % PATCH, 0, -height % PATCH)
        x = self.embed[main](reflect_pad(shared, *padding))
        with torch.no_grad():
            y = self.embed[other_branch(main)](reflect_pad(auxiliary, *padding))

        cross, shifted = self.blocks
        x, y = cross(x, y, main)
        x = x + self.mix[main] * y
        # The auxiliary output of the last block reaches nothing; training does without it.
        x, _ = shifted(x, None if self.training else y, main)
        gated: Tensor = self.unembed(x)
        return gated[..., :height, :width]
