"""What the folded network is put together from: convolutions that know where the image ends, windows, products.

Tensors are images (1, C, H, W) in channels-last memory, or tokens (N, C).
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...execution.workers import Scratch
from ...regions import Sides
from ..padding import reflect_pad


class Conv(nn.Module):
    """A convolution whose weights are constants, optionally followed by ReLU.

    Pads by reflection on those sides that are the image's own; on the others the result is smaller by the margin.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, relu: bool = False) -> None:
        super().__init__()
        self.register_buffer("weight", weight.float().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if bias is None else bias.float())
        self.relu = relu
        self.margin = weight.shape[-1] // 2

    @classmethod
    def of(cls, conv: nn.Conv2d, relu: bool = False) -> "Conv":
        assert conv.bias is not None
        return cls(conv.weight.detach(), conv.bias.detach(), relu)

    def forward(self, x: Tensor, sides: Sides) -> Tensor:
        x = pad_sides(x, self.margin, sides)
        y = F.conv2d(x, self.weight, self.bias, groups=x.shape[1] // self.weight.shape[1])
        return y.relu_() if self.relu else y


def as_image(tokens: Tensor, height: int, width: int) -> Tensor:
    """Tokens (height · width, C) as (1, C, height, width), a view whose strides convolutions know as channels-last."""
    return tokens.view(1, height, width, -1).permute(0, 3, 1, 2)


def project(tokens: Tensor, weight: Tensor, bias: Tensor | None, scratch: Scratch, name: str) -> Tensor:
    """Tokens (N, C), weight (D, C) and bias (D,) to (N, D), in scratch memory: good until the next of this name."""
    out = scratch.empty(name, len(tokens), len(weight), tokens)
    return torch.mm(tokens, weight.T, out=out) if bias is None else torch.addmm(bias, tokens, weight.T, out=out)


def pad_sides(x: Tensor, margin: int, sides: Sides) -> Tensor:
    """Pad ``x`` (B, C, H, W) by reflection on the image's own sides."""
    return reflect_pad(x, *(margin if side else 0 for side in sides)) if any(sides) else x


def shrink(x: Tensor, margin: int, sides: Sides) -> Tensor:
    """``x`` (B, C, H, W) without ``margin`` pixels on the sides that are not the image's own."""
    left, right, top, bottom = (0 if side else margin for side in sides)
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


class Windows:
    """How a tile of ``height`` × ``width`` pixels is cut into windows, padded by reflection where it ends early."""

    def __init__(self, height: int, width: int, window: int, shift: int, sides: Sides) -> None:
        # Where the tile begins inside the image, it begins with a window, and ends with one.
        left, top = shift * sides.left, shift * sides.top
        self.margins = (left, -(left + width) % window, top, -(top + height) % window)
        self.size, self.height, self.width = window, height, width

    def tokens(self, x: Tensor) -> Tensor:
        """``x`` (1, C, height, width) to (windows · window², C)."""
        x = reflect_pad(x, *self.margins) if any(self.margins) else x
        return rearrange(x, "1 c (row y) (column x) -> (row column y x) c", y=self.size, x=self.size)

    def merge(self, tokens: Tensor) -> Tensor:
        """The inverse of ``tokens``."""
        left, right, top, bottom = self.margins
        x = rearrange(
            tokens,
            "(row column y x) c -> 1 c (row y) (column x)",
            row=(top + self.height + bottom) // self.size,
            column=(left + self.width + right) // self.size,
            y=self.size,
            x=self.size,
        )
        return x[..., top : top + self.height, left : left + self.width]
