"""Pictures of numpy arrays (H×W or H×W×C)."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..files.metadata import Metadata
from .levels import ACCEPTED_DTYPES, joined, quantise
from .picture import Picture, UnscaledPicture, picture_of, result_dtype


def from_array(array: "np.ndarray[Any, Any]", name: str) -> Picture | UnscaledPicture:
    check_array_shape(array.shape, name)
    dtype = array_dtype(array.dtype, name)
    like = array.dtype if result_dtype(dtype) == dtype else np.dtype(np.uint16)
    planes = planes_of(array if array.ndim == 3 else array[..., None])
    packer = partial(pack_array, like=like, flat=array.ndim == 2)
    return picture_of(planes, 1 if planes.shape[1] == 1 else 3, name=name, packer=packer, dtype=result_dtype(dtype))


def array_dtype(dtype: "np.dtype[Any]", name: str) -> torch.dtype:
    """The torch dtype of an array's. Raises InputError where there is none."""
    try:
        return torch.from_numpy(np.empty(0, dtype.newbyteorder("="))).dtype
    except TypeError as error:
        raise InputError(f"{name}: dtype {dtype}; {ACCEPTED_DTYPES}") from error


def planes_of(array: "np.ndarray[Any, Any]") -> Tensor:
    """(H, W, C) to (1, C, H, W), values as they are, each plane in one piece."""
    # A copy, for ascontiguousarray leaves the negative strides of a single pixel, which torch refuses.
    planes = np.array(array.transpose(2, 0, 1), dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(planes)[None]


def check_array_shape(shape: tuple[int, ...], name: str) -> None:
    """Raises InputError for what is no (H, W) or (H, W, 1, 3 or 4)."""
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        hint = ""
        if len(shape) == 3 and shape[0] < min(shape[1:]):
            hint = "; it looks like C×H×W: transpose it, by array.transpose(1, 2, 0)"
        raise InputError(f"{name}: array of shape {shape}; give H×W, H×W×1 (grey), H×W×3 (RGB) or H×W×4 (RGBA){hint}")
    if 0 in shape:
        raise InputError(f"{name}: empty array of shape {shape}")


def pack_array(
    pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, _: Metadata, like: "np.dtype[Any]", flat: bool
) -> "np.ndarray[Any, Any]":
    packed = interleaved(joined(pixels, alpha), dtype).astype(like, copy=False)
    return packed[..., 0] if flat and packed.shape[2] == 1 else packed


def interleaved(planes: Tensor, dtype: torch.dtype) -> "np.ndarray[Any, Any]":
    """(1, C, H, W) float32 to an (H, W, C) array, a pixel's values side by side."""
    return torch.stack(quantise(planes, dtype)[0].unbind(), dim=-1).cpu().numpy()
