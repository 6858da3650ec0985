"""The metrics' inputs, luminance planes: checked, and on the scale of 0 to 255. Also torchmetrics, which some need."""

from types import ModuleType

import torch
from torch import Tensor

from ..errors import InputError
from ..extras import require

PEAK = 255.0  # the scale on which the field's figures are computed
ROUNDING = 1e-4  # how far outside [0, 1] a plane may stray


def checked(*planes: Tensor, smallest: int = 1) -> list[Tensor]:
    """The fused plane and the sources, (B, 1, H, W) in [0, 1]: as they are in float64, else in float32.

    Raises InputError for another rank or number of channels, for sizes or devices that differ, integers, values
    outside [0, 1] or not finite, and sides shorter than ``smallest``.
    """
    names = ["fused", "a", "b", *(f"source {number}" for number in range(3, len(planes)))]
    shape, device = planes[0].shape, planes[0].device
    for name, plane in zip(names, planes, strict=False):
        if plane.ndim != 4 or plane.shape[1] != 1 or plane.numel() == 0:
            raise InputError(f"{name} has shape {tuple(plane.shape)}; give luminance planes (B, 1, H, W)")
        if plane.shape != shape or plane.device != device:
            raise InputError(
                f"{name} is {tuple(plane.shape)} on {plane.device} but fused is {tuple(shape)} on {device}; "
                "give planes of one shape on one device"
            )
        if not plane.is_floating_point():
            raise InputError(f"{name} is {plane.dtype}; give floating point in [0, 1] (divide uint8 by 255)")
        low, high = (float(limit) for limit in plane.detach().aminmax())
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # NaN fails too
            raise InputError(f"{name} has values from {low:g} to {high:g}; they must lie in [0, 1]")
    check_size(shape[-2], shape[-1], smallest)
    return [plane.to(torch.promote_types(plane.dtype, torch.float32)) for plane in planes]


def levels(*planes: Tensor, smallest: int = 1) -> list[Tensor]:
    """The planes as ``checked`` gives them, times 255, not rounded."""
    return [plane * PEAK for plane in checked(*planes, smallest=smallest)]


def check_size(height: int, width: int, smallest: int) -> None:
    """Raise InputError where an image is too small for a metric's windows."""
    if min(height, width) < smallest:
        raise InputError(f"images of {width}×{height} pixels are too small: this metric needs {smallest} a side")


def image_functions() -> ModuleType:
    """``torchmetrics.functional.image``; raises MissingExtraError."""
    return require("torchmetrics.functional.image", extra="metrics", purpose="this metric")
