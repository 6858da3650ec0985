"""TITA's blocks in the form that inference runs: the plain form's weights, folded, applied to windows' tokens.

What is folded, all of it exact up to rounding (the sums are done in float64):

* A LayerNorm's weight and bias go into the linear layers that read it, and C_head^-1/2 into the query.
* The key's bias adds one number to all logits of a query, which the softmax takes away. The value's bias passes through
  the attention, whose weights sum to 1, into the projection's bias.
* IPA's attention has two keys, so that its softmax is a sigmoid of the logits' difference: one key projection is
  enough, of ``n_k - n_v - 2·x·s``. Its query, both its values and both parts of the relation MLP's first layer read the
  same features, those that the windows' attention projects: one matrix product with the projection folded in.

A block looks at windows only, each on its own, so blocks change features in place, window by window. At the image's
border a cyclic shift with its mask comes to windows of half a side: these are taken as such, and no mask is needed.

Tokens are (windows · pixels of a window, C).
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Grid, attend
from .interaction import CrossBlock
from .swin import MLP, SwinBlock, WindowAttention


class Shape(NamedTuple):
    """Of the windows that tokens come from, in pixels: whole ones, or halves at the image's border."""

    height: int
    width: int
    grid: Grid | None = None  # in training: whole windows, of an image that a cyclic shift moved


class Affine(nn.Module):
    """A linear layer of constants."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.float().contiguous())
        self.register_buffer("bias", bias.float())

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.addmm(self.bias, tokens.to(self.weight.dtype), self.weight.T)

    def add_to(self, x: Tensor, tokens: Tensor) -> Tensor:
        """``x`` plus the layer's result; in place but in training."""
        if torch.is_grad_enabled():
            total: Tensor = x + self(tokens)
            return total
        if x.dtype != self.weight.dtype:
            return x.add_(self(tokens))
        return x.add_(self.bias).addmm_(tokens, self.weight.T)


class Matrix(NamedTuple):
    """A linear layer in float64, while it is folded."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: nn.Module) -> "Matrix":
        assert isinstance(layer, nn.Linear)
        return cls(layer.weight.double(), layer.bias.double())

    def rows(self, start: int, stop: int) -> "Matrix":
        return Matrix(self.weight[start:stop], self.bias[start:stop])

    def after(self, before: "Matrix") -> "Matrix":
        """The layer of ``before``'s result."""
        return Matrix(self.weight @ before.weight, self.weight @ before.bias + self.bias)

    def normed(self, norm: nn.LayerNorm) -> "Matrix":
        """The layer of ``norm``'s result, for what is normalised only."""
        scale, shift = norm.weight.double(), norm.bias.double()
        return Matrix(self.weight * scale, self.weight @ shift + self.bias)

    def scaled(self, by: float) -> "Matrix":
        return Matrix(self.weight * by, self.bias * by)

    def linear(self) -> "Matrix":
        """Without its bias."""
        return Matrix(self.weight, torch.zeros_like(self.bias))

    def affine(self) -> Affine:
        return Affine(*self)


def stacked(*layers: Matrix) -> Matrix:
    """Layers that read the same, as one."""
    return Matrix(torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers]))


class Attention(NamedTuple):
    """A window attention's parts, folded: what reads the queries' normalised tokens, and what reads the keys'."""

    query: Matrix
    key: Matrix
    value: Matrix
    project: Matrix

    @classmethod
    def of(cls, attention: WindowAttention, of_query: nn.LayerNorm, of_source: nn.LayerNorm) -> "Attention":
        channels = attention.query.in_features
        key_value = Matrix.of(attention.key_value)
        value = key_value.rows(channels, 2 * channels).normed(of_source)
        project = Matrix.of(attention.project)
        return cls(
            Matrix.of(attention.query).normed(of_query).scaled((channels // attention.heads) ** -0.5),
            key_value.rows(0, channels).normed(of_source).linear(),
            value.linear(),
            Matrix(project.weight, project.weight @ value.bias + project.bias),
        )


class WindowBias(nn.Module):
    """A window attention's position biases, and attention by them."""

    bias: Tensor

    def __init__(self, attention: WindowAttention) -> None:
        super().__init__()
        self.heads, self.window = attention.heads, attention.window
        self.register_buffer("bias", attention.bias().contiguous())

    def forward(self, query: Tensor, key: Tensor, value: Tensor, shape: Shape) -> Tensor:
        """Tokens (N, C) each, columns (head, C / heads); returns that shape."""
        size = shape.height * shape.width
        query, key, value = (
            each.view(-1, size, self.heads, each.shape[-1] // self.heads) for each in (query, key, value)
        )
        if query.device.type == "cpu" and (shape.grid or torch.is_grad_enabled()):  # in training
            return attend(query, key, value, self._of(shape), shape.grid)
        attended = F.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=self._of(shape)[None],
            scale=1.0,
        )
        return attended.transpose(1, 2).reshape(-1, query.shape[-1] * self.heads)

    def _of(self, shape: Shape) -> Tensor:
        """(heads, pixels, pixels), of part of a window: offsets are the same wherever it lies."""
        if shape[:2] == (self.window, self.window):
            return self.bias
        size = shape.height * shape.width
        grid = self.bias.view(self.heads, self.window, self.window, self.window, self.window)
        part = grid[:, : shape.height, : shape.width, : shape.height, : shape.width]
        return part.reshape(self.heads, size, size)


class FoldedMLP(nn.Module):
    """LayerNorm, MLP, residual."""

    def __init__(self, norm: nn.LayerNorm, mlp: MLP) -> None:
        super().__init__()
        self.first = Matrix.of(mlp[0]).normed(norm).affine()
        self.second = Matrix.of(mlp[2]).affine()

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N, C), changed in place."""
        y: Tensor = self.second.add_to(x, F.gelu(self.first(normalised(x))))
        return y


def normalised(x: Tensor) -> Tensor:
    """LayerNorm without weight and bias."""
    return F.layer_norm(x, x.shape[-1:])


def softmax(x: Tensor) -> Tensor:
    """Over the last dimension: faster than torch's on a processor where that is no multiple of its vectors' length."""
    if x.device.type != "cpu":
        return x.softmax(dim=-1)
    powers = (x - x.detach().amax(dim=-1, keepdim=True)).exp_()
    return powers / powers.sum(dim=-1, keepdim=True)


class FoldedSwinBlock(nn.Module):
    """A Swin block on windows' tokens."""

    def __init__(self, block: SwinBlock) -> None:
        super().__init__()
        self.shift = block.attention.shift
        attention = Attention.of(block.attention, block.norm_attention, block.norm_attention)
        self.read = stacked(attention.query, attention.key, attention.value).affine()
        self.attend = WindowBias(block.attention)
        self.project = attention.project.affine()
        self.mlp = FoldedMLP(block.norm_mlp, block.mlp)

    def forward(self, shape: Shape, x: Tensor) -> tuple[Tensor]:
        """Tokens (N, C), changed in place and returned."""
        query, key, value = self.read(normalised(x)).chunk(3, dim=-1)
        x = self.project.add_to(x, self.attend(query, key, value, shape))
        return (self.mlp(x),)


class FoldedStream(nn.Module):
    """What a cross block has for one of its streams; "other" is the other stream."""

    same_head: Tensor

    def __init__(self, block: CrossBlock, stream: int) -> None:
        super().__init__()
        own, other = (block.x, block.y)[:: 1 - 2 * stream]
        pixel, other_pixel = (block.ipa.attention_x, block.ipa.attention_y)[:: 1 - 2 * stream]
        # Normalised tokens of this stream: its own query; keys and values of the other one's attention.
        mine = Attention.of(own.attention, own.norm_attention, other.norm_attention)
        theirs = Attention.of(other.attention, other.norm_attention, own.norm_attention)
        self.read = stacked(mine.query, theirs.key, theirs.value).affine()
        self.attend = WindowBias(own.attention)
        # What IPA makes of the attention's result x: x itself, its query, the values of either stream's attention,
        # and the relation MLP's first layer where x comes first, and where it comes second.
        relation = Matrix.of(block.ipa.relation[0])
        channels = own.attention.query.in_features
        self.expand = stacked(
            mine.project,
            *(
                layer.after(mine.project)
                for layer in (
                    Matrix.of(pixel.query),
                    Matrix.of(pixel.value).linear(),
                    Matrix.of(other_pixel.value).linear(),
                    Matrix(relation.weight[:, :channels], relation.bias),
                    Matrix(relation.weight[:, channels:], torch.zeros_like(relation.bias)),
                )
            ),
        ).affine()
        self.heads = pixel.heads
        # Sums over each head's channels, once for each of them: as a matrix product it is faster than as a sum.
        heads = torch.arange(channels, device=relation.weight.device) // (channels // pixel.heads)
        self.register_buffer("same_head", (heads[:, None] == heads[None, :]).float())
        key = Matrix.of(pixel.key).linear().scaled((channels // pixel.heads) ** -0.5)
        apart = (block.ipa.key_noise[stream] - block.ipa.value_noise[stream]).double()
        self.key_difference = Matrix(-2 * key.weight, key.weight @ apart).affine()
        project = Matrix.of(pixel.project)
        value_bias = pixel.value.bias.double()
        self.project = Matrix(project.weight, project.weight @ value_bias + project.bias).affine()
        self.mlp = FoldedMLP(own.norm_mlp, own.mlp)

    def finish(
        self, x: Tensor, own: Tensor, score: Tensor, query: Tensor, value: Tensor, other_value: Tensor
    ) -> Tensor:
        """The residual ``x`` (N, C), changed in place: with IPA's result on ``own``, and the MLP's on that."""
        logits = F.linear(self.key_difference(own * score) * query, self.same_head)
        attended = torch.lerp(other_value, value, logits.sigmoid_())
        x = x + own if torch.is_grad_enabled() else x.add_(own)
        y: Tensor = self.mlp(self.project.add_to(x, attended))
        return y


class FoldedCrossBlock(nn.Module):
    """A cross block on windows' tokens of both streams."""

    def __init__(self, block: CrossBlock) -> None:
        super().__init__()
        self.shift = block.x.attention.shift
        self.x, self.y = FoldedStream(block, 0), FoldedStream(block, 1)
        self.relation = Matrix.of(block.ipa.relation[2]).affine()

    def forward(self, shape: Shape, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (N, C) of each, changed in place and returned."""
        query_x, key_y, value_y = self.x.read(normalised(x)).chunk(3, dim=-1)
        query_y, key_x, value_x = self.y.read(normalised(y)).chunk(3, dim=-1)
        of_x = self.x.expand(self.x.attend(query_x, key_x, value_x, shape)).chunk(6, dim=-1)
        of_y = self.y.expand(self.y.attend(query_y, key_y, value_y, shape)).chunk(6, dim=-1)
        score_x = self._score(of_x[4], of_y[5])
        score_y = self._score(of_y[4], of_x[5])
        return (
            self.x.finish(x, of_x[0], score_x, of_x[1], of_x[2], of_y[3]),
            self.y.finish(y, of_y[0], score_y, of_y[1], of_y[2], of_x[3]),
        )

    def _score(self, first: Tensor, second: Tensor) -> Tensor:
        return softmax(self.relation(F.gelu(first + second)))


def folded_blocks(blocks: nn.ModuleList) -> nn.ModuleList:
    """Of Swin blocks or cross blocks."""
    return nn.ModuleList(
        FoldedCrossBlock(block) if isinstance(block, CrossBlock) else FoldedSwinBlock(cast(SwinBlock, block))
        for block in blocks
    )
