"""TITA's convolutions in the form that inference runs: extraction's, OAF, and reconstruction's.

Each looks at a tile with as many pixels around it as it needs, its halo. A tile's sides that are the image's own have
no halo: there the network pads with zeros, and for OAF's low-pass by reflection.

Tensors are (1, C, H, W) in channels-last memory; features outside are (H, W, C).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...regions import Sides
from .extraction import SLOPE
from .oaf import OAF, SIDE, Operations

# Pixels around a tile that are read: two 3x3 convolutions; one, and the low-pass; three.
EMBED_HALO, OAF_HALO, DECODE_HALO = 2, 1, 3


def as_image(features: Tensor) -> Tensor:
    """Features (H, W, C) as (1, C, H, W), a view that convolutions know as channels-last."""
    return features.permute(2, 0, 1)[None]


def as_features(image: Tensor) -> Tensor:
    """The way back."""
    return image[0].permute(1, 2, 0)


def zero_padded(x: Tensor, sides: Sides) -> Tensor:
    """``x`` with a pixel of zeros on those sides that are the image's own."""
    return F.pad(x, (int(sides.left), int(sides.right), int(sides.top), int(sides.bottom)))


class Convolutions(nn.Module):
    """3x3 convolutions with LeakyReLU between them, and behind them if asked for."""

    def __init__(self, layers: nn.Sequential, activated: bool) -> None:
        super().__init__()
        self.activated = activated
        self.number = sum(isinstance(layer, nn.Conv2d) for layer in layers)
        for index, layer in enumerate(layer for layer in layers if isinstance(layer, nn.Conv2d)):
            assert layer.bias is not None
            weight = layer.weight.detach().clone().contiguous(memory_format=torch.channels_last)
            self.register_buffer(f"weight{index}", weight)
            self.register_buffer(f"bias{index}", layer.bias.detach().clone())

    def forward(self, x: Tensor, sides: Sides) -> Tensor:
        for index in range(self.number):
            weight, bias = self.get_buffer(f"weight{index}"), self.get_buffer(f"bias{index}")
            x = F.conv2d(zero_padded(x, sides), weight, bias)
            if self.activated or index + 1 < self.number:
                x = F.leaky_relu_(x, SLOPE)
        return x


class FoldedOperations(nn.Module):
    """A stream's operations, their convolutions joined to one."""

    weight: Tensor
    bias: Tensor
    compress: Tensor
    compress_bias: Tensor
    hamming: Tensor

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        joined = (operations.kernel, operations.residual, operations.factor)
        self.register_buffer("weight", torch.cat([layer.weight.detach() for layer in joined]))
        biases = [layer.bias.detach() for layer in joined if layer.bias is not None]
        self.register_buffer("bias", torch.cat(biases))
        assert operations.compress.bias is not None
        self.register_buffer("compress", operations.compress.weight.detach().clone())
        self.register_buffer("compress_bias", operations.compress.bias.detach().clone())
        self.register_buffer("hamming", operations.hamming.clone())

    def weighted(self, weights: Tensor) -> "WeightedOperations":
        """With the three operations' weights, (3,)."""
        return WeightedOperations(self, weights)


class WeightedOperations:
    """A stream's part of OAF's sum for one image: ``w0·(x - low-pass) + w1·(x + residual) + w2·x·factor``.

    The weights go into the convolution, and into the low-pass kernel, whose middle also takes ``(w0 + w1)·x``.
    """

    def __init__(self, folded: FoldedOperations, weights: Tensor) -> None:
        high_pass, addition, multiplication = weights.double().tolist()
        channels = (len(folded.weight) - SIDE**2) // 2
        scale = torch.tensor([1.0] * SIDE**2 + [addition] * channels + [multiplication] * channels, dtype=torch.float32)
        scale = scale.to(folded.weight)
        self.weight = (folded.weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
        self.bias = folded.bias * scale
        self.high_pass, self.kept = high_pass, high_pass + addition
        self.folded, self.channels = folded, channels

    def __call__(self, features: Tensor, sides: Sides) -> Tensor:
        """Features (H, W, C) of a tile with its halo; (h, w, C) of the tile."""
        x = as_image(features)
        z = F.conv2d(x, self.folded.compress, self.folded.compress_bias)
        operands = as_features(F.conv2d(zero_padded(z, sides), self.weight, self.bias))
        logits, residual, factor = operands.split_with_sizes([SIDE**2, self.channels, self.channels], dim=-1)
        kernel = logits.softmax(dim=-1) * self.folded.hamming
        kernel = kernel * (-self.high_pass / kernel.sum(dim=-1, keepdim=True))
        kernel[..., SIDE**2 // 2] += self.kept
        x = F.pad(x, (int(sides.left), int(sides.right), int(sides.top), int(sides.bottom)), mode="reflect")
        shifted = as_features(x)
        height, width = logits.shape[:2]
        sums = torch.addcmul(residual, shifted[1 : 1 + height, 1 : 1 + width], factor)
        for index in range(SIDE**2):
            dy, dx = divmod(index, SIDE)
            sums.addcmul_(shifted[dy : dy + height, dx : dx + width], kernel[..., index : index + 1])
        return sums


class FoldedOAF(nn.Module):
    """OAF, once an image's mean features are known."""

    def __init__(self, oaf: OAF) -> None:
        super().__init__()
        self.x, self.y = FoldedOperations(oaf.x), FoldedOperations(oaf.y)

    def weighted(self, weights: Tensor) -> tuple[WeightedOperations, WeightedOperations]:
        """With the six operations' weights, (6,)."""
        return self.x.weighted(weights[:3]), self.y.weighted(weights[3:])
