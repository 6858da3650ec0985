"""The global decoder, G-Dec, and the reconstruction branch, REC (Cheng et al., CVPR 2025)."""

from typing import cast

import torch
from torch import Tensor, nn

from ..padding import ReflectConv2d
from .config import Head

HEAD_CHANNELS: dict[Head, int] = {"plane": 1, "blend": 2}  # of G-Dec's last convolution


class ConvDecoder(nn.Sequential):
    """Four 3x3 convolutions channels -> 64 -> 32 -> 16 -> outputs, ReLU between."""

    def __init__(self, channels: int, outputs: int = 1) -> None:
        super().__init__(
            ReflectConv2d(channels, 64, 3),
            nn.ReLU(),
            ReflectConv2d(64, 32, 3),
            nn.ReLU(),
            ReflectConv2d(32, 16, 3),
            nn.ReLU(),
            ReflectConv2d(16, outputs, 3),
        )
        # He initialisation keeps the signal's size through the ReLUs, which torch's smaller default does not.
        for layer in self:
            if isinstance(layer, ReflectConv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


class GlobalDecoder(nn.Module):
    """G-Dec: the shared features F and the gated features G become the fused plane."""

    def __init__(self, channels: int, head: Head = "plane", hidden: int = 128) -> None:
        super().__init__()
        self.head = head
        self.complement = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels, hidden, 1, bias=False),
        )
        self.decode = ConvDecoder(hidden, HEAD_CHANNELS[head])
        if head == "blend":  # which begins as the planes' mean, uncorrected
            nn.init.zeros_(cast(nn.Conv2d, self.decode[-1]).weight)

    def forward(self, shared: Tensor, gated: Tensor) -> Tensor:
        """``shared``, ``gated``: (B, C, H, W), both planes first in ``shared``. Returns the fused plane (B, 1, H, W).

        It lies in [0, 1] by the head "plane", and for a correction beyond the scale's ends outside it by "blend".
        """
        values: Tensor = self.decode(self.complement(torch.cat([shared, gated], dim=1)))
        return finish_plane(self.head, values, shared[:, :2])


class ReconstructionDecoder(ConvDecoder):
    """REC, used in training only: the shared features (B, C, H, W) become a plane (B, 1, H, W) in [-1, 1]."""

    def forward(self, shared: Tensor) -> Tensor:
        values: Tensor = super().forward(shared)  # type: ignore[no-untyped-call]
        return values.tanh()


def finish_plane(head: Head, values: Tensor, planes: Tensor) -> Tensor:
    """What G-Dec's last convolution gives, (B, 1 or 2, H, W), and both planes (B, 2, H, W) to the fused plane."""
    return blend(values, planes) if head == "blend" else values.tanh() / 2 + 0.5


def blend(values: Tensor, planes: Tensor) -> Tensor:
    """σ(w)·a + (1 - σ(w))·b + tanh(r)/2: a choice between the planes, and a correction. Not in the paper.

    ``values``: w and r, (B, 2, H, W). What both planes agree on passes through unchanged where r is 0, so that fusing
    keeps what is right already; a decoder that paints the plane itself loses all that it has not learned perfectly.
    """
    choice, correction = values.chunk(2, dim=1)
    a, b = planes.chunk(2, dim=1)
    return torch.lerp(b, a, choice.sigmoid()) + correction.tanh() / 2
