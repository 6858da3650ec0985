"""Pan-sharpening of arrays, masked arrays and tensors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from .dtypes import cast
from .filling import MaskedPlane, sharpened_where_valid
from .grids import Array, Grid
from .method import Fuse, sharpened


def pansharpen_tensors(ms: torch.Tensor, pan: Any, fuse: Fuse) -> torch.Tensor:
    """Of bands (C, H, W) or (B, C, H, W), and PAN with as many dimensions."""
    if ms.ndim not in (3, 4):
        raise InputError(f"ms: tensor of shape {tuple(ms.shape)}; give (C, H, W) or (B, C, H, W)")
    if not isinstance(pan, torch.Tensor) or pan.shape[:-3] != ms.shape[:-3] or pan.ndim != ms.ndim:
        shape = tuple(pan.shape) if isinstance(pan, torch.Tensor) else type(pan).__name__
        raise InputError(f"ms is a tensor of shape {tuple(ms.shape)} but pan {shape}; give as many dimensions of each")
    if ms.ndim == 4:
        return torch.stack([pansharpen_tensors(one, its, fuse) for one, its in zip(ms, pan, strict=True)])
    bands, grey = (_array(image, name) for image, name in ((ms, "ms"), (pan, "pan")))
    sharp = torch.from_numpy(pansharpen_arrays(bands, grey, fuse)).movedim(-1, 0)
    if ms.dtype is torch.bfloat16:  # whose largest values are less than those of float32
        limits = torch.finfo(ms.dtype)
        sharp = sharp.clamp(limits.min, limits.max)
    return sharp.to(ms.device, ms.dtype)


def _array(tensor: torch.Tensor, name: str) -> Array:
    """(C, H, W) as (H, W, C)."""
    channels_last = tensor.detach().cpu().movedim(0, -1)
    try:
        return (channels_last.float() if tensor.dtype is torch.bfloat16 else channels_last).numpy()  # numpy has none
    except TypeError as error:
        raise InputError(f"{name}: dtype {tensor.dtype}; give integers or floating point of 16 bits or more") from error


def pansharpen_arrays(ms: Any, pan: Any, fuse: Fuse) -> Array:
    """Of bands (H, W, C) or (H, W), and PAN (H', W') or (H', W', 1). Masked if either is."""
    bands, grey = Bands.of(ms, "ms"), Bands.of(pan, "pan")
    if grey.values.shape[2] != 1:
        raise InputError(
            f"pan: {grey.values.shape[2]} bands; a panchromatic image has one (is it the multispectral one?)"
            f"{_axes_hint(pan, 'pan', 1)}"
        )
    grid = _grid(bands.values, grey.values)
    sharp = np.empty((*grey.values.shape[:2], bands.values.shape[2]), bands.values.dtype)
    masked = bands.missing is not None or grey.missing is not None
    missing = np.zeros(sharp.shape, bool) if masked else None
    pan_plane = grey.plane(0)
    for index in range(sharp.shape[2]):
        if missing is None:
            for window, values in sharpened(fuse, bands.values[..., index], grey.values[..., 0], grid):
                sharp[(*window, index)] = cast(values, sharp.dtype)
        else:
            for window, values, valid in sharpened_where_valid(fuse, bands.plane(index), pan_plane, grid):
                sharp[(*window, index)] = np.where(valid, cast(values, sharp.dtype), np.zeros((), sharp.dtype))
                missing[(*window, index)] = ~valid
    result = sharp if missing is None else np.ma.MaskedArray(sharp, missing, fill_value=getattr(ms, "fill_value", None))
    return result[..., 0] if ms.ndim == 2 else result


@dataclass(frozen=True)
class Bands:
    """The bands of an array."""

    values: Array  # (H, W, C), finite where they are not missing
    missing: "Array | None"  # the like, true where there is no data; None: the array is not a masked one

    @classmethod
    def of(cls, array: Any, name: str) -> "Bands":
        """Raises InputError for what is no array, or holds no finite real numbers."""
        if not isinstance(array, np.ndarray):
            raise InputError(f"{name}: {type(array).__name__} is no raster; give an array, a tensor, or two paths")
        if array.ndim not in (2, 3) or 0 in array.shape:
            raise InputError(f"{name}: array of shape {array.shape}; give (H, W) or (H, W, bands)")
        if array.dtype.kind not in "uif":
            raise InputError(f"{name}: dtype {array.dtype}; give integers or floating point")
        values = np.atleast_3d(np.ma.getdata(array))
        missing = np.atleast_3d(np.ma.getmaskarray(array)) if isinstance(array, np.ma.MaskedArray) else None
        if array.dtype.kind == "f" and not (np.isfinite(values) | (False if missing is None else missing)).all():
            raise InputError(
                f"{name}: holds NaN or infinite values; replace them, mask them (np.ma.masked_invalid), or give files"
            )
        return cls(values, missing)

    def plane(self, index: int) -> MaskedPlane:
        """One band, and where it has data."""
        values = self.values[..., index]
        valid: Array = np.ones(values.shape, bool) if self.missing is None else ~self.missing[..., index]
        return MaskedPlane(values, valid)


def _grid(ms: Array, pan: Array) -> Grid:
    try:
        return Grid.of_shapes(ms.shape[:2], pan.shape[:2])
    except InputError as error:
        raise InputError(f"{error}{_axes_hint(ms, 'ms', ms.shape[0], pan.shape[:2])}") from error


def _axes_hint(array: Array, name: str, bands: int, fine: tuple[int, int] | None = None) -> str:
    """What to do about an array that has its bands first, as rasterio reads them."""
    if array.ndim != 3 or array.shape[0] != bands or bands >= min(array.shape[1:]):
        return ""
    if fine is not None:
        try:
            Grid.of_shapes(array.shape[1:], fine)
        except InputError:
            return ""
    return f"; if its bands come first, give np.moveaxis({name}, 0, 2)"
