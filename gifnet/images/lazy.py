"""Arrays that are read and written by regions, so that images may be larger than memory.

``numpy.memmap``, and whatever else has a shape, a dtype and slices, such as datasets of h5py and zarr. Large arrays in
memory go the same way, which saves their floating-point copies.
"""

import mmap
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..regions import Region
from . import colour
from .arrays import array_dtype, check_array_shape, from_array, pack_array, planes_of
from .levels import ScaleError, dtype_error, normalise
from .picture import Layout, Picture, PictureInfo, ReadablePicture, UnscaledPicture, result_dtype

STRIP = 64  # rows that are searched for colour at once
LARGE = 1 << 23  # values of an array in memory from which it is read by regions


@runtime_checkable
class ArrayLike(Protocol):
    """What a lazily read image needs."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __getitem__(self, key: Any, /) -> Any: ...


class ChunkedArray(ArrayLike, Protocol):
    """An array of h5py, zarr, Dask or xarray; by its chunks, type checkers tell it from one of NumPy."""

    @property
    def chunks(self) -> Any: ...


def is_lazy(source: object) -> TypeGuard[ArrayLike]:
    """Whether an image is read by regions."""
    if isinstance(source, np.ndarray):
        return isinstance(source, np.memmap) or source.size >= LARGE
    return not isinstance(source, (torch.Tensor, bytes, str)) and isinstance(source, ArrayLike)


@dataclass(frozen=True, kw_only=True)
class LazyPicture(ReadablePicture):
    """An array (H, W) or (H, W, C) that is not read until it is needed."""

    array: Any = field(repr=False)
    grey: bool = False  # only its luminance counts
    problem: str = ""  # why its values have no scale, where its dtype tells

    @classmethod
    def of(cls, array: ArrayLike, name: str) -> "LazyPicture":
        """Raises InputError for a shape or dtype that is no image's; values are checked as they are read."""
        check_array_shape(tuple(array.shape), name)
        dtype = np.dtype(array.dtype)
        torch_dtype = array_dtype(dtype, name)
        problem = "" if result_dtype(torch_dtype) == torch_dtype else dtype_error(torch_dtype, name)
        if isinstance(problem, InputError) and not isinstance(problem, ScaleError):
            raise problem
        height, width, channels = (*array.shape, 1)[:3]
        layout = Layout(1, height, width, coloured=channels > 1, transparent=channels == 4)
        packer = partial(pack_array, like=dtype, flat=len(array.shape) == 2)
        return cls(layout=layout, name=name, packer=packer, dtype=torch_dtype, array=array, problem=str(problem))

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def nbytes(self) -> int:
        return 0  # the caller's own memory, or a file

    def region(self, index: int, region: Region) -> tuple[Tensor, Tensor | None]:
        values = np.asarray(self.array[region.top : region.bottom, region.left : region.right])
        whole = normalise(planes_of(values if values.ndim == 3 else values[..., None]), self.name)  # a copy
        release(self.array)
        pixels, alpha = (whole[:, :3], whole[:, 3:]) if whole.shape[1] == 4 else (whole, None)
        return colour.luma_of(pixels) if self.grey else pixels, alpha

    def load(self) -> Picture:
        pixels, alpha = self.region(0, Region(0, self.layout.height, 0, self.layout.width))
        return Picture(
            pixels=pixels,
            alpha=alpha,
            name=self.name,
            packer=self.packer,
            dtype=self.dtype,
            metadata=self.metadata,
            file=self.file,
        )

    def as_given(self) -> Picture | UnscaledPicture:
        given = from_array(np.asarray(self.array[: self.layout.height]), self.name)
        return given.as_grey() if self.grey else given

    def as_grey(self) -> "LazyPicture":
        return replace(self, grey=True, layout=replace(self.layout, coloured=False))

    def with_scale(self) -> "LazyPicture":
        if self.problem:
            raise InputError(self.problem)
        return self

    def info(self) -> PictureInfo:
        return self._info(chromatic=False)  # to know would take reading all of it, for metadata that it has not

    def shows_colour(self) -> bool:
        height, width = self.layout.sides
        strips = (Region(top, min(top + STRIP, height), 0, width) for top in range(0, height, STRIP))
        return self.coloured and any(colour.shows(self.region(0, strip)[0]) for strip in strips)


def release(array: Any) -> None:
    """Let go of the pages of a memory-mapped file that were touched, or they would fill the memory one by one.

    They stay in the file. Not of copy-on-write mappings, whose changes are nowhere else.
    """
    pages = getattr(array, "_mmap", None)
    if isinstance(pages, mmap.mmap) and array.mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
