"""GIFNet in the form that inference runs: the plain form's weights, with dead work left out and the rest folded.

What is left out: block 1 of the auxiliary branch and its query in block 0, which never reach the output, and REC.

What is folded, all of it exact up to rounding (the sums are done in float64):

* Both embeddings read the same features at inference: one convolution C -> 2C.
* The position biases are constants: the MLP is evaluated once.
* The norm is linear once an image's mean μ and deviation σ are known:
  ``W·((x - μ)/σ·w + b) + c = (W·diag(w/σ))·x + W·(b - w·μ/σ) + c``: it goes into the projections' weights, once per
  image. So do, on the way out, rescale(σ) and rebias(μ), and into the query C_head^-1/2.
* Constants that are added to every pixel travel to the end of a block. The key's bias adds one number to all logits of
  a query, which the softmax takes away. The value's bias passes through the attention, whose weights sum to 1, and
  through the depthwise convolution, which multiplies it by its kernel's sum; the projection and the MLP's first layer
  take it along; the MLP's second adds it, as one more hidden unit that is always 1.
* ``W·[F, G]`` of the decoder's first 1x1 is ``W_F·F + W_G·G``, and G is linear in the last block's output: W_G and
  the un-embedding are one 3x3. No activation stands between the decoder's second 1x1 and its first 3x3: one 3x3 again.
  (A 1x1 commutes with reflection padding, since it treats all pixels alike.)

The network comes in four stages, each of which looks at a tile with as many pixels around it as it needs, its halo. A
tile's sides that are the image's own have no halo: there every convolution pads by reflection. The norms' statistics,
the network's only non-local values, are known before the stage that uses them.

Tensors are (1, C, H, W) in channels-last memory where convolutions see them. Between a block's windows and its end they
are tokens (windows · window², C), in which 1x1 convolutions are plain matrix products.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...execution.workers import Scratch
from ...regions import Sides
from ..padding import reflect_pad
from .cfgm import BranchBlock, CFGMBlock
from .config import Branch, other_branch
from .decoder import finish_plane
from .layers import Conv, Windows, as_image, project, shrink
from .model import GIFNet
from .statistics import Statistics

# Pixels around a tile that a stage reads. Encoding: three 3x3 convolutions. Embedding: one. A block: the depthwise 5x5.
# Decoding: four 3x3 of the shared features, five of the last block's result.
ENCODE_HALO, EMBED_HALO, BLOCK_HALO, DECODE_SHARED_HALO, DECODE_HALO = 3, 1, 2, 4, 5
ALIGNMENT = 16  # the MLP's hidden units are a multiple of this many: matrix products like their rows aligned


class BlockMatrices(NamedTuple):
    """A branch's matrices for one image."""

    query_key: Tensor  # (2C, C), or (C, C) of the key alone
    query_key_bias: Tensor | None
    value: Tensor  # (C, C), to multiply from the right, as are out and down
    out: Tensor
    up: Tensor  # (hidden, C)
    up_bias: Tensor
    down: Tensor  # (hidden, C)

    def to(self, like: Tensor) -> "BlockMatrices":
        """On the device and in the precision of ``like``."""
        return BlockMatrices(*(None if matrix is None else matrix.to(like).contiguous() for matrix in self))  # type: ignore[arg-type]


class FoldedBranch(nn.Module):
    """One branch's half of a CFGM block; ``with_query`` is false where another branch's queries are used."""

    def __init__(self, block: BranchBlock, heads: int, with_query: bool) -> None:
        super().__init__()
        self.with_query = with_query
        self.query_scale = (block.value.out_channels // heads) ** -0.5
        # On the CPU, in float64: they are multiplied once more for each image, and not every device has float64.
        self.constants = {
            name: value.detach().double().cpu().flatten(1).squeeze()
            if value.ndim > 1
            else value.detach().double().cpu()
            for name, value in block.state_dict().items()
        }
        self.local = Conv(block.local.weight.detach(), None)

    def matrices(self, statistics: Statistics) -> BlockMatrices:
        """The norm and all constants folded into the block's matrices, for an image of these statistics."""
        c = self.constants
        mean, deviation = statistics
        scale = c["norm.weight"] / deviation  # x̂ = scale·x + shift
        shift = c["norm.bias"] - mean * scale
        rescale = c["norm.rescale.weight"] * deviation + c["norm.rescale.bias"]
        rebias = c["norm.rebias.weight"] * mean + c["norm.rebias.bias"]

        query, key = c["query_key.weight"].chunk(2)
        query_bias = query @ shift + c["query_key.bias"].chunk(2)[0]
        query_key, query_key_bias = key, None
        if self.with_query:
            query_key = torch.cat([query * self.query_scale, key])
            query_key_bias = torch.cat([query_bias * self.query_scale, torch.zeros_like(query_bias)])

        value_bias = c["value.weight"] @ shift + c["value.bias"]
        mixed = value_bias * (1 + c["local.weight"].sum(dim=1)) + c["local.bias"]  # in all of local + attended
        out = rescale[:, None] * c["project.weight"]
        left_out = out @ mixed + rescale * c["project.bias"] + rebias
        # One more hidden unit, always 1, brings the constant; others, always 0, fill up.
        hidden, channels = c["mlp.0.weight"].shape
        spare = (-hidden - 1) % ALIGNMENT
        up = torch.cat([c["mlp.0.weight"], c["mlp.0.weight"].new_zeros(1 + spare, channels)])
        up_bias = torch.cat([c["mlp.0.bias"] + c["mlp.0.weight"] @ left_out, up.new_ones(1), up.new_zeros(spare)])
        constant = (c["mlp.2.bias"] + left_out)[:, None]
        down = torch.cat([c["mlp.2.weight"], constant, up.new_zeros(channels, spare)], dim=1)
        return BlockMatrices(
            query_key * scale, query_key_bias, (c["value.weight"] * scale).T, out.T, up, up_bias, down.T
        )


class FoldedBlock(nn.Module):
    """A CFGM block at inference: windows of constant position biases, and a branch's matrices."""

    bias: Tensor

    def __init__(self, block: CFGMBlock) -> None:
        super().__init__()
        self.heads, self.window, self.shift = block.heads, block.window, block.shift
        with torch.no_grad():
            self.register_buffer("bias", block.position_bias()[None])

    def windows(self, x: Tensor, sides: Sides) -> Windows:
        """The windows of a tile, of which ``x`` (1, C, H, W) has a halo."""
        height, width = shrink(x, BLOCK_HALO, sides).shape[-2:]
        return Windows(height, width, self.window, self.shift, sides)

    def heads_of(self, tokens: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Tokens (windows · window², parts · C) to ``parts`` of (windows, heads, window², C / heads)."""
        return rearrange(
            tokens,
            "(window token) (part head c) -> part window head token c",
            token=self.window**2,
            part=parts,
            head=self.heads,
        ).unbind()

    def branch(
        self,
        x: Tensor,
        weights: BlockMatrices,
        local: Conv,
        windows: Windows,
        sides: Sides,
        scratch: Scratch,
        query: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """A branch's result, as tokens, and its query; with ``query``, the other branch's is used.

        The query lies in scratch memory.
        """
        values = as_image(rearrange(x, "1 c h w -> (h w) c") @ weights.value, *x.shape[-2:])  # of the halo too
        tokens = windows.tokens(shrink(x, BLOCK_HALO, sides))
        projected = project(
            tokens, weights.query_key, weights.query_key_bias, scratch, "key" if query is not None else "query and key"
        )
        if query is None:
            query, key = self.heads_of(projected, 2)
        else:
            (key,) = self.heads_of(projected, 1)
        (value,) = self.heads_of(windows.tokens(shrink(values, BLOCK_HALO, sides)), 1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=self.bias.to(key.dtype), scale=1.0)
        mixed = windows.tokens(local(values, sides))
        mixed += rearrange(attended, "window head token c -> (window token) (head c)")
        tokens = torch.addmm(tokens, mixed, weights.out)
        hidden = project(tokens, weights.up, weights.up_bias, scratch, "hidden").relu_()
        return tokens.addmm_(hidden, weights.down), query


class FoldedGIFNet(nn.Module):
    """The stages from two luminance planes to one fused plane."""

    from_shared: Tensor

    def __init__(self, plain: GIFNet, main: Branch | None = None) -> None:
        super().__init__()
        main = main or plain.config.main
        other = other_branch(main)
        cfgm, heads = plain.cfgm, plain.config.heads
        cross, shifted = (cast(CFGMBlock, block) for block in cfgm.blocks)
        self.channels, self.head = plain.config.channels, plain.config.head
        self.encoder = nn.ModuleList(
            Conv.of(conv, relu=True) for conv in (plain.encoder.conv1, plain.encoder.conv2, plain.encoder.conv3)
        )
        embeds = [cfgm.embed[main].state_dict(), cfgm.embed[other].state_dict()]
        self.embed = Conv(torch.cat([e["weight"] for e in embeds]), torch.cat([e["bias"] for e in embeds]))
        self.cross, self.shifted = FoldedBlock(cross), FoldedBlock(shifted)
        self.cross_main = FoldedBranch(cross.branch(main), heads, with_query=True)
        self.cross_other = FoldedBranch(cross.branch(other), heads, with_query=False)
        self.shifted_main = FoldedBranch(shifted.branch(main), heads, with_query=True)
        self.mix = float(cfgm.mix[main].detach())

        first, second = (layer for layer in plain.decoder.complement if isinstance(layer, nn.Conv2d))
        from_shared, from_gated = first.weight.detach().double().flatten(1).chunk(2, dim=1)
        unembed = {name: value.double() for name, value in cfgm.unembed.state_dict().items()}
        self.from_gated = Conv(
            torch.einsum("oi,ichw->ochw", from_gated, unembed["weight"]), from_gated @ unembed["bias"]
        )
        self.register_buffer("from_shared", from_shared.T.float().contiguous())
        convs = [layer for layer in plain.decoder.decode if isinstance(layer, nn.Conv2d)]
        widened = torch.einsum("oihw,ic->ochw", convs[0].weight.detach().double(), second.weight.double().flatten(1))
        assert convs[0].bias is not None
        self.decode = nn.ModuleList(
            [
                Conv(widened.detach(), convs[0].bias.detach(), relu=True),
                *(Conv.of(conv, relu=conv is not convs[-1]) for conv in convs[1:]),
            ]
        )

    def to_dtype(self, dtype: torch.dtype) -> "FoldedGIFNet":
        """Compute in ``dtype``. Statistics are summed in float32, and matrices folded in float64."""
        for module in self.modules():
            if isinstance(module, (Conv, FoldedBlock, FoldedGIFNet)):
                for name, value in module.named_buffers(recurse=False):
                    setattr(module, name, value.to(dtype))
        return self

    def encode_stage(self, planes: Tensor, sides: Sides) -> Tensor:
        """Planes (1, 2, H, W) with ENCODE_HALO to the shared features F (1, C, ...)."""
        features = planes.to(self.embed.weight.dtype).contiguous(memory_format=torch.channels_last)
        for conv in self.encoder:
            features = torch.cat([shrink(features, 1, sides), conv(features, sides)], dim=1)
        return features

    def embed_stage(self, shared: Tensor, sides: Sides, padding: tuple[int, int]) -> Tensor:
        """F (1, C, H, W) with EMBED_HALO to both branches' embeddings, the main one's first: (1, 2C, ...).

        ``padding``: columns and rows that they, but not F, go on for beyond the image's right and bottom.
        """
        right, bottom = padding
        shared = reflect_pad(shared, 0, right, 0, bottom) if right or bottom else shared
        embedded: Tensor = self.embed(shared, sides)
        return embedded

    def cross_stage(
        self, both: Tensor, weights: tuple[BlockMatrices, BlockMatrices], sides: Sides, scratch: Scratch
    ) -> Tensor:
        """Block 0 of both branches and their mixture: (1, 2C, H, W) with BLOCK_HALO to (1, C, ...)."""
        x, y = both.chunk(2, dim=1)
        windows = self.cross.windows(x, sides)
        main, query = self.cross.branch(x, weights[0], self.cross_main.local, windows, sides, scratch)
        other, _ = self.cross.branch(y, weights[1], self.cross_other.local, windows, sides, scratch, query)
        return windows.merge(main.add_(other, alpha=self.mix))

    def shifted_stage(self, x: Tensor, weights: BlockMatrices, sides: Sides, scratch: Scratch) -> Tensor:
        """Block 1 of the main branch: (1, C, H, W) with BLOCK_HALO to (1, C, ...)."""
        windows = self.shifted.windows(x, sides)
        tokens, _ = self.shifted.branch(x, weights, self.shifted_main.local, windows, sides, scratch)
        return windows.merge(tokens)

    def decode_stage(self, shared: Tensor, gated: Tensor, planes: Tensor, sides: Sides) -> Tensor:
        """Un-embedding and decoding: F with DECODE_SHARED_HALO and block 1's result with DECODE_HALO.

        ``planes`` (1, 2, H, W), without a halo, in full precision: those in F are as coarse as its dtype. Returns the
        fused plane (1, 1, H, W), float32, in [0, 1].
        """
        height, width = shared.shape[-2:]
        x = rearrange(self.from_gated(gated, sides)[..., :height, :width], "1 c h w -> (h w) c")
        x = x.addmm_(rearrange(shared, "1 c h w -> (h w) c"), self.from_shared).relu_()
        x = as_image(x, height, width)
        for conv in self.decode:
            x = conv(x, sides)
        return finish_plane(self.head, x.float(), planes.float()).clamp_(0, 1)
