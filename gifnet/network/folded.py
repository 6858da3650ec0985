"""GIFNet in the form that inference runs: the plain form's weights, with dead work left out and the rest folded.

What is left out: block 1 of the auxiliary branch and its query in block 0, which never reach the output, and REC.

What is folded, all of it exact up to rounding (the sums are done in float64):

* Both embeddings read the same features at inference: one convolution C -> 2C.
* The position biases are constants: the MLP is evaluated once.
* The norm's affine is linear once an image's mean μ and deviation σ are known:
  ``W·((x - μ)/σ·w + b) + c = (W·diag(w/σ))·x + W·(b - w·μ/σ) + c``: it goes into the projections' weights, one set per
  image. So do, on the way out, rescale(σ) and rebias(μ), the depthwise convolution's bias and the query's C_head^-1/2.
* ``W·[F, G]`` of the decoder's first 1x1 is ``W_F·F + W_G·G``, and G is linear in the last block's output: W_G and
  the un-embedding are one 3x3. No activation stands between the decoder's second 1x1 and its first 3x3: one 3x3 again.
  (A 1x1 commutes with reflection padding, since it treats all pixels alike.)

Tensors are (B, C, H, W) in channels-last memory where convolutions see them, and (B, H, W, C) views of the same memory
where 1x1 projections and windows do. The three stages meet at the norms' statistics, the network's only non-local
values.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .cfgm import EPSILON, PATCH, BranchBlock, CFGMBlock, window_margins
from .config import Branch, other_branch
from .gifnet import GIFNet, check_planes
from .padding import reflect_pad


class Statistics(NamedTuple):
    """Mean and deviation of each image's features over all channels and pixels; (B, 1), float32."""

    mean: Tensor
    deviation: Tensor


def statistics(x: Tensor) -> Statistics:
    """The norm's statistics of ``x`` (B, C, H, W), summed in float32 whatever x's dtype is."""
    variance, mean = torch.var_mean(x.float(), dim=(1, 2, 3), correction=0)
    return Statistics(mean[:, None], (variance[:, None] + EPSILON).sqrt())


class Conv(nn.Module):
    """A convolution with reflection padding whose weights are constants, optionally followed by ReLU."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, relu: bool = False) -> None:
        super().__init__()
        self.register_buffer("weight", weight.float().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.float())
        self.relu = relu

    @classmethod
    def of(cls, conv: nn.Conv2d, relu: bool = False) -> "Conv":
        assert conv.bias is not None
        return cls(conv.weight.detach(), conv.bias.detach(), relu)

    def forward(self, x: Tensor) -> Tensor:
        margin = self.weight.shape[-1] // 2
        padded = reflect_pad(x, margin, margin, margin, margin)
        groups = padded.shape[1] // self.weight.shape[1]
        y = F.conv2d(padded, self.weight, self.bias, groups=groups)
        return y.relu_() if self.relu else y


class FoldedBranch(nn.Module):
    """One branch's half of a CFGM block; ``with_query`` is false where another branch's queries are used."""

    norm_weight: Tensor
    norm_bias: Tensor
    rescale_weight: Tensor
    rescale_bias: Tensor
    rebias_weight: Tensor
    rebias_bias: Tensor
    in_weight: Tensor
    in_bias: Tensor
    out_weight: Tensor
    out_bias: Tensor
    up_weight: Tensor
    up_bias: Tensor
    down_weight: Tensor
    down_bias: Tensor

    def __init__(self, block: BranchBlock, heads: int, with_query: bool) -> None:
        super().__init__()
        channels = block.value.out_channels
        state = {name: value.detach().double() for name, value in block.state_dict().items()}
        query_weight, key_weight = state["query_key.weight"].flatten(1).chunk(2)
        query_bias, key_bias = state["query_key.bias"].chunk(2)
        query_scale = (channels // heads) ** -0.5
        weights = [query_weight * query_scale, key_weight, state["value.weight"].flatten(1)]
        biases = [query_bias * query_scale, key_bias, state["value.bias"]]
        project = state["project.weight"].flatten(1)
        constants = {
            "norm_weight": state["norm.weight"].flatten(),
            "norm_bias": state["norm.bias"].flatten(),
            "rescale_weight": state["norm.rescale.weight"].flatten(),
            "rescale_bias": state["norm.rescale.bias"],
            "rebias_weight": state["norm.rebias.weight"].flatten(),
            "rebias_bias": state["norm.rebias.bias"],
            "in_weight": torch.cat(weights if with_query else weights[1:]),
            "in_bias": torch.cat(biases if with_query else biases[1:]),
            "out_weight": project,
            "out_bias": project @ state["local.bias"] + state["project.bias"],
            "up_weight": state["mlp.0.weight"].flatten(1),
            "up_bias": state["mlp.0.bias"],
            "down_weight": state["mlp.2.weight"].flatten(1),
            "down_bias": state["mlp.2.bias"],
        }
        for name, value in constants.items():
            self.register_buffer(name, value.float())
        self.local = Conv(state["local.weight"], torch.zeros(channels))

    def project_in(self, x: Tensor, stats: Statistics) -> Tensor:
        """``x`` (B, C, H, W) to (B, H, W, 3C) of query, key, value, or (B, H, W, 2C) without query."""
        scale = self.norm_weight / stats.deviation  # (B, C)
        shift = self.norm_bias - stats.mean * scale
        return project_each(
            x.permute(0, 2, 3, 1), self.in_weight * scale[:, None, :], shift @ self.in_weight.T + self.in_bias
        )

    def project_out(self, x: Tensor, value: Tensor, attended: Tensor, stats: Statistics) -> Tensor:
        """``x`` (B, C, H, W), ``value`` and ``attended`` (B, H, W, C). Returns the block's output (B, C, H, W)."""
        rescale = stats.deviation * self.rescale_weight + self.rescale_bias  # (B, C)
        rebias = stats.mean * self.rebias_weight + self.rebias_bias
        mixed = self.local(value.permute(0, 3, 1, 2)).permute(0, 2, 3, 1) + attended
        out = project_each(mixed, rescale[:, :, None] * self.out_weight, rescale * self.out_bias + rebias)
        tokens = x.permute(0, 2, 3, 1) + out
        dtype = tokens.dtype
        hidden = F.linear(tokens, self.up_weight.to(dtype), self.up_bias.to(dtype)).relu_()
        tokens = tokens + F.linear(hidden, self.down_weight.to(dtype), self.down_bias.to(dtype))
        return tokens.permute(0, 3, 1, 2)


def project_each(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each image's own linear map: ``x`` (B, H, W, C), ``weight`` (B, D, C) and ``bias`` (B, D) to (B, H, W, D)."""
    batch, height, width, channels = x.shape
    tokens = x.reshape(batch, height * width, channels)
    y = torch.baddbmm(bias[:, None, :].to(x.dtype), tokens, weight.transpose(1, 2).to(x.dtype))
    return y.view(batch, height, width, -1)


class WindowAttention(nn.Module):
    """Attention in windows with constant position biases; ``shift`` moves the window grid up and left."""

    bias: Tensor

    def __init__(self, block: CFGMBlock) -> None:
        super().__init__()
        self.heads, self.window, self.shift = block.heads, block.window, block.shift
        self.register_buffer("bias", block.position_bias().detach()[None])

    def windows(self, x: Tensor, parts: int) -> Tensor:
        """(B, H, W, parts · C) to (parts, B · windows, heads, window², C / heads)."""
        margins = window_margins(x.shape[1], x.shape[2], self.window, self.shift)
        padded = reflect_pad(x.permute(0, 3, 1, 2), *margins).permute(0, 2, 3, 1)
        return rearrange(
            padded,
            "b (row y) (column x) (part head c) -> part (b row column) head (y x) c",
            part=parts,
            head=self.heads,
            y=self.window,
            x=self.window,
        )

    def forward(self, query: Tensor, key: Tensor, value: Tensor, shape: torch.Size) -> Tensor:
        """Windows of query (already scaled), key and value; ``shape``: the (B, H, W, ...) they were cut from.

        Returns (B, H, W, C).
        """
        batch, height, width = shape[:3]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias.to(query.dtype), scale=1.0)
        _, _, top, bottom = window_margins(height, width, self.window, self.shift)
        merged = rearrange(
            attended,
            "(b row column) head (y x) c -> b (row y) (column x) (head c)",
            b=batch,
            row=(top + height + bottom) // self.window,
            y=self.window,
        )
        return merged[:, top : top + height, self.shift : self.shift + width]


class FoldedGIFNet(nn.Module):
    """Two luminance planes to one fused plane, in three stages that meet at the norms' statistics."""

    mix: Tensor

    def __init__(self, plain: GIFNet, main: Branch | None = None) -> None:
        super().__init__()
        main = main or plain.config.main
        other = other_branch(main)
        cfgm, heads = plain.cfgm, plain.config.heads
        cross, shifted = (cast(CFGMBlock, block) for block in cfgm.blocks)
        self.encoder = nn.ModuleList(
            Conv.of(conv, relu=True) for conv in (plain.encoder.conv1, plain.encoder.conv2, plain.encoder.conv3)
        )
        embeds = [cfgm.embed[main].state_dict(), cfgm.embed[other].state_dict()]
        self.embed = Conv(torch.cat([e["weight"] for e in embeds]), torch.cat([e["bias"] for e in embeds]))
        self.cross_attention, self.shifted_attention = WindowAttention(cross), WindowAttention(shifted)
        self.cross_main = FoldedBranch(cross.branch(main), heads, with_query=True)
        self.cross_other = FoldedBranch(cross.branch(other), heads, with_query=False)
        self.shifted_main = FoldedBranch(shifted.branch(main), heads, with_query=True)
        self.register_buffer("mix", cfgm.mix[main].detach())

        first, second = (layer for layer in plain.decoder.complement if isinstance(layer, nn.Conv2d))
        from_shared, from_gated = first.weight.detach().double().chunk(2, dim=1)
        unembed = {name: value.double() for name, value in cfgm.unembed.state_dict().items()}
        gated_weight = torch.einsum("oi...,ichw->ochw", from_gated.flatten(1), unembed["weight"])
        self.from_shared = Conv(from_shared, torch.zeros(len(from_shared)))
        self.from_gated = Conv(gated_weight, from_gated.flatten(1) @ unembed["bias"])
        convs = [layer for layer in plain.decoder.decode if isinstance(layer, nn.Conv2d)]
        widened = torch.einsum(
            "oihw,ic->ochw", convs[0].weight.detach().double(), second.weight.detach().double().flatten(1)
        )
        assert convs[0].bias is not None
        self.decode = nn.Sequential(
            Conv(widened, convs[0].bias.detach(), relu=True),
            *(Conv.of(conv, relu=conv is not convs[-1]) for conv in convs[1:]),
        )

    def to_dtype(self, dtype: torch.dtype) -> "FoldedGIFNet":
        """Compute in ``dtype``. Statistics, and what is folded per image, stay in float32."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.to(dtype)
        return self

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """As ``GIFNet.forward``: (B, 1, H, W) each in [0, 1], any floating dtype; returns float32 (B, 1, H, W)."""
        check_planes(a, b)
        shared, x, y = self.embed_stage(torch.cat([a, b], dim=1))
        x = self.cross_stage(x, y, statistics(x), statistics(y))
        return self.decode_stage(shared, x, statistics(x))

    def embed_stage(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Planes (B, 2, H, W) to F (B, C, H, W) and both embeddings (B, C, H', W'), H' and W' multiples of 4."""
        dtype = self.embed.weight.dtype
        features = planes.to(dtype).contiguous(memory_format=torch.channels_last)
        for conv in self.encoder:
            features = torch.cat([features, conv(features)], dim=1)
        height, width = planes.shape[-2:]
        x, y = self.embed(reflect_pad(features, 0, -width % PATCH, 0, -height % PATCH)).chunk(2, dim=1)
        return features, x, y

    def cross_stage(self, x: Tensor, y: Tensor, x_stats: Statistics, y_stats: Statistics) -> Tensor:
        """Block 0 of both branches and their mixture: (B, C, H', W') each, and so the result."""
        attention = self.cross_attention
        main, other = self.cross_main.project_in(x, x_stats), self.cross_other.project_in(y, y_stats)
        channels = x.shape[1]
        query, key, value = attention.windows(main, 3)
        other_key, other_value = attention.windows(other, 2)
        x_out = self.cross_main.project_out(
            x, main[..., 2 * channels :], attention(query, key, value, main.shape), x_stats
        )
        y_out = self.cross_other.project_out(
            y, other[..., channels:], attention(query, other_key, other_value, other.shape), y_stats
        )
        return torch.add(x_out, y_out * self.mix.to(y_out.dtype))

    def decode_stage(self, shared: Tensor, x: Tensor, stats: Statistics) -> Tensor:
        """Block 1 of the main branch, un-embedding and decoder: F and block 0's result to the fused plane, float32."""
        channels = x.shape[1]
        projected = self.shifted_main.project_in(x, stats)
        attended = self.shifted_attention(*self.shifted_attention.windows(projected, 3), projected.shape)
        x = self.shifted_main.project_out(x, projected[..., 2 * channels :], attended, stats)
        height, width = shared.shape[-2:]
        hidden = (self.from_gated(x)[..., :height, :width] + self.from_shared(shared)).relu_()
        tanh: Tensor = self.decode(hidden).float().tanh()
        return tanh / 2 + 0.5
