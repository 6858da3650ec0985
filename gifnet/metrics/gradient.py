"""EI, AG and SF: how much detail the fused image shows, without a look at the sources."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from .planes import levels

Border = Literal["replicate", "reflect", "constant"]


def sobel(plane: Tensor, border: Border) -> tuple[Tensor, Tensor]:
    """Sobel's horizontal and vertical derivative (weights 1, 2, 1, not normalised) of (B, 1, H, W), same shape."""
    x = F.pad(plane, (1, 1, 1, 1), mode=border)
    columns = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    rows = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return columns[..., 2:] - columns[..., :-2], rows[..., 2:, :] - rows[..., :-2, :]


def edge_intensity(fused: Tensor) -> Tensor:
    """EI, the mean magnitude of Sobel's gradient, ``mean(sqrt(sx² + sy²))`` on the 0..255 scale; higher is better.

    ``fused``: (B, 1, H, W) in [0, 1]. Returns (B,), from 0 to about 1140. Sobel's weights are not normalised (a ramp of
    one level a pixel gives 8), the border is replicated. Rajalingam and Priya, 2018.
    """
    (fused,) = levels(fused)
    return torch.hypot(*sobel(fused, "replicate")).mean(dim=(1, 2, 3))


def average_gradient(fused: Tensor, differences: Literal["central", "forward"] = "central") -> Tensor:
    """AG: ``Σ sqrt((dx² + dy²) / 2) / ((H - 1)(W - 1))`` on the 0..255 scale; higher is better.

    ``fused``: (B, 1, H, W) in [0, 1], at least 2 pixels a side. Returns (B,), from 0 to 255 (tiny images can exceed it
    with central differences). ``"central"`` differences (one-sided at the border, summed over all pixels) are what the
    field's toolboxes compute; ``"forward"`` ones (over the (H - 1)(W - 1) pixels that have both neighbours) are the
    formula as printed, and on photographs 10 to 35 % larger. Cui et al., 2015.
    """
    (fused,) = levels(fused, smallest=2)
    height, width = fused.shape[-2:]
    if differences == "central":
        down, right = torch.gradient(fused, dim=(-2, -1))
    elif differences == "forward":
        corner = fused[..., :-1, :-1]
        down, right = fused[..., 1:, :-1] - corner, fused[..., :-1, 1:] - corner
    else:
        raise InputError(f"differences must be 'central' or 'forward', not {differences!r}")
    return ((down.square() + right.square()) / 2).sqrt().sum(dim=(1, 2, 3)) / ((height - 1) * (width - 1))


def spatial_frequency(fused: Tensor) -> Tensor:
    """SF: ``sqrt((Σ dx² + Σ dy²) / (H·W))``, dx and dy between neighbours, on the 0..255 scale; higher is better.

    ``fused``: (B, 1, H, W) in [0, 1]. Returns (B,), from 0 to 255·√2. Both sums are divided by the number of pixels, as
    printed, not by the number of differences. Eskicioglu and Fisher, 1995.
    """
    (fused,) = levels(fused)
    energy = sum(fused.diff(dim=dim).square().sum(dim=(1, 2, 3)) for dim in (-2, -1))
    assert isinstance(energy, Tensor)
    return (energy / fused[0].numel()).sqrt()
