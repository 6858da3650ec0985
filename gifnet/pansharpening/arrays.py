"""Pan-sharpening of arrays and tensors."""

from typing import Any

import numpy as np
import torch

from ..errors import InputError
from .grids import Array, Grid
from .method import Fuse, sharpened


def pansharpen_tensors(ms: torch.Tensor, pan: Any, fuse: Fuse) -> torch.Tensor:
    if ms.ndim not in (3, 4):
        raise InputError(f"ms: tensor of shape {tuple(ms.shape)}; give (C, H, W) or (B, C, H, W)")
    if not isinstance(pan, torch.Tensor) or pan.shape[:-3] != ms.shape[:-3] or pan.ndim != ms.ndim:
        shape = tuple(pan.shape) if isinstance(pan, torch.Tensor) else type(pan).__name__
        raise InputError(f"ms is a tensor of shape {tuple(ms.shape)} but pan {shape}; give as many dimensions of each")
    if ms.ndim == 4:
        return torch.stack([pansharpen_tensors(one, its, fuse) for one, its in zip(ms, pan, strict=True)])
    bands, grey = (image.detach().cpu().movedim(0, -1) for image in (ms, pan))
    if ms.dtype is torch.bfloat16:  # numpy has none
        bands = bands.float()
    grey = grey.float() if pan.dtype is torch.bfloat16 else grey
    sharpened = torch.from_numpy(pansharpen_arrays(bands.numpy(), grey.numpy(), fuse))
    return sharpened.movedim(-1, 0).to(ms.device, ms.dtype)


def pansharpen_arrays(ms: Any, pan: Any, fuse: Fuse) -> Array:
    bands = check_array(ms, "ms")
    grey = check_array(pan, "pan")
    if grey.shape[2] != 1:
        raise InputError(f"pan: {grey.shape[2]} bands; a panchromatic image has one (is it the multispectral one?)")
    grid = Grid.of_shapes(bands.shape[:2], grey.shape[:2])
    sharp = np.empty((*grey.shape[:2], bands.shape[2]), bands.dtype)
    for index in range(bands.shape[2]):
        for window, values in sharpened(fuse, bands[..., index], grey[..., 0], grid):
            sharp[(*window, index)] = cast(values, bands.dtype)
    return sharp[..., 0] if ms.ndim == 2 else sharp


def check_array(array: Any, name: str) -> Array:
    """The array as (H, W, C). Raises InputError for what is none, or holds no finite real numbers."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: {type(array).__name__} is no raster; give an array, a tensor, or two paths")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(f"{name}: array of shape {array.shape}; give (H, W) or (H, W, bands)")
    if array.dtype.kind not in "uif":
        raise InputError(f"{name}: dtype {array.dtype}; give integers or floating point")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name}: holds NaN or infinite values; replace them, or give files that declare nodata")
    return array if array.ndim == 3 else array[..., None]


def cast(values: Array, dtype: "np.dtype[Any]") -> Array:
    """float64 to ``dtype``: integers rounded, and limited to the dtype's range."""
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.rint(values).clip(limits.min, limits.max).astype(dtype)
