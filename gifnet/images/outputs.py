"""What may be written into while inputs are still read."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .lazy import ArrayLike, LazyPicture
from .levels import LEVELS
from .picture import ReadablePicture

_IN_NUMPY = (*LEVELS, torch.float16, torch.float32, torch.float64)  # dtypes of images that it has


def check_out(out: Any, pictures: Sequence[ReadablePicture]) -> None:
    """Raises InputError for an ``out`` that results can't be written into, whatever their shape; None is none.

    Results are written region by region while the inputs of others are still read, so the two must not share memory
    or a file. Small arrays in memory are copied when they are read, and may be their own ``out``.
    """
    if isinstance(out, Tensor) and out.device.type == "cpu" and out.layout == torch.strided and out.dtype in _IN_NUMPY:
        out = out.detach().numpy()
    if not isinstance(out, ArrayLike):
        return  # None, or what does not fit either
    try:
        np.dtype(out.dtype)
    except TypeError as error:
        raise InputError(
            f"out: {type(out).__name__} of {out.dtype}; give a NumPy array, such as tensor.numpy() of one on the CPU"
        ) from error
    if isinstance(out, np.ndarray) and any(
        step == 0 and size > 1 for step, size in zip(out.strides, out.shape, strict=True)
    ):
        raise InputError("out: several of its elements are one place in memory; give an array of its own, by np.empty")
    for picture in pictures:
        if isinstance(picture, LazyPicture) and _overlap(out, picture.array):
            raise InputError(
                f"out: shares memory or a file with {picture.name}, which is still read while results are written; "
                "give another one"
            )


def _overlap(out: Any, array: Any) -> bool:
    if out is array:
        return True
    if isinstance(out, np.ndarray) and isinstance(array, np.ndarray):
        return np.shares_memory(out, array) or _share_file(out, array)
    if hasattr(out, "id") and hasattr(array, "id"):  # of h5py: equal are those of one place in one file
        return bool(out.id == array.id)
    places = [_zarr_place(each) for each in (out, array)]
    return places[0] is not None and places[0] == places[1]


def _share_file(out: "np.ndarray[Any, Any]", array: "np.ndarray[Any, Any]") -> bool:
    """Whether two mappings show the same bytes of one file."""
    spans = [_span(each) for each in (out, array)]
    if spans[0] is None or spans[1] is None:
        return False
    (one, start, end), (other, other_start, other_end) = spans[0], spans[1]
    try:
        return os.path.samefile(one, other) and start < other_end and other_start < end
    except OSError:
        return False


def _span(array: "np.ndarray[Any, Any]") -> tuple[str, int, int] | None:
    """The file and the range of its bytes that a mapping, or a view of one, shows."""
    base: Any = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    if not isinstance(base, np.memmap) or base.filename is None:
        return None
    begin = base.__array_interface__["data"][0] - base.offset  # where the file's first byte would be
    first = array.__array_interface__["data"][0] - begin
    reaches = [step * (size - 1) for step, size in zip(array.strides, array.shape, strict=True)]
    low, high = sum(min(reach, 0) for reach in reaches), sum(max(reach, 0) for reach in reaches)
    return str(base.filename), first + low, first + high + array.itemsize


def _zarr_place(array: Any) -> tuple[str, str] | None:
    store, path = getattr(array, "store", None), getattr(array, "path", None)
    return None if store is None or path is None else (repr(store), str(path))
