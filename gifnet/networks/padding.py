"""Reflection padding for sides of any length, and the convolution that pads so."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def reflected_indices(size: int, before: int, after: int, device: torch.device | None = None) -> Tensor:
    """Source index of every position of a padded side: ``[-before, size + after)`` mirrored into ``[0, size)``.

    The mirror does not repeat the border pixel. A side shorter than the padding is mirrored again and
    again, as ``numpy.pad(mode="reflect")`` does; a side of one pixel, where no reflection exists, is replicated.
    """
    position = torch.arange(-before, size + after, device=device)
    if size == 1:
        return torch.zeros_like(position)
    position = position.abs() % (2 * (size - 1))  # the mirrored signal has this period
    return torch.minimum(position, 2 * (size - 1) - position)


def reflect_pad(x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """Pad the last two axes of ``x`` (B, C, H, W) by reflection; any H, W >= 1 and any padding work."""
    height, width = x.shape[-2:]
    if max(top, bottom) < height and max(left, right) < width:
        with torch.autocast(x.device.type, enabled=False):  # which would pad a half-precision x in float32
            return F.pad(x, (left, right, top, bottom), mode="reflect")
    rows = reflected_indices(height, top, bottom, x.device)
    columns = reflected_indices(width, left, right, x.device)
    return x[..., rows[:, None], columns]


class ReflectConv2d(nn.Conv2d):
    """A convolution of odd kernel size, stride 1, that keeps height and width by reflection padding."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        margin = self.kernel_size[0] // 2
        if self.groups == 1:
            return super().forward(reflect_pad(x, margin, margin, margin, margin))
        # On a CPU, a depthwise convolution's gradient takes three times as long in bfloat16 as in float32.
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(reflect_pad(x.to(self.weight.dtype), margin, margin, margin, margin))
