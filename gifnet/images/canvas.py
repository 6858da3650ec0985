"""Where a result goes by regions: into an array, the caller's or a new one, or into planes in memory."""

from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..regions import Region
from .arrays import interleaved
from .lazy import ArrayLike, LazyPicture, release
from .levels import joined
from .outputs import check_out
from .picture import PictureInfo, ReadablePicture


@dataclass(frozen=True)
class Order:
    """How an array's axes follow each other: (B, C, H, W), (H, W, C) or others of this kind."""

    batched: bool  # the first axis is the image's number
    planar: bool  # channels come before rows and columns, else after them
    flat: bool = False  # there is no axis of channels

    def shape(self, count: int, height: int, width: int, channels: int) -> tuple[int, ...]:
        image = (height, width) if self.flat else (height, width, channels)
        image = (channels, height, width) if self.planar else image
        return (count, *image) if self.batched else image

    def place(self, index: int, region: Region) -> tuple[int | slice, ...]:
        """Where a region of the image number ``index`` lies."""
        area: tuple[int | slice, ...] = slice(region.top, region.bottom), slice(region.left, region.right)
        area = (slice(None), *area) if self.planar else area
        return (index, *area) if self.batched else area

    def arranged(self, values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Values (h, w, C) in this order."""
        return values[..., 0] if self.flat else values.transpose(2, 0, 1) if self.planar else values


def orders(count: int, channels: int, planar: bool) -> list[Order]:
    """Those that ``out`` may have: the result's own first, which decides where a shape would fit several."""
    single = [Order(batched=False, planar=False)] if count == 1 else []
    if channels == 1:
        single += [Order(batched=False, planar=False, flat=True)] if count == 1 else []
    if not planar:
        return single
    batch = [Order(batched=True, planar=True), Order(batched=True, planar=False)]
    batch += [Order(batched=True, planar=False, flat=True)] if channels == 1 else []
    return [*([Order(batched=False, planar=True)] if count == 1 else []), *batch, *single]


class ArrayCanvas:
    """An array of integers or floating point, in any of the orders of axes that the result's kind goes with."""

    def __init__(self, given: Any, order: Order, dtype: torch.dtype) -> None:
        self.given, self.order, self.dtype = given, order, dtype
        self.array = given.detach().numpy() if isinstance(given, Tensor) else given

    @classmethod
    def like(cls, picture: PictureInfo, result: PictureInfo, channels: int, out: Any = None) -> "ArrayCanvas":
        """For ``result``, a fusion of ``picture``, in ``out`` or in a new array.

        Raises InputError if ``out`` does not fit.
        """
        size = (picture.layout.count, *picture.layout.sides, channels)
        try:
            like = torch.empty(0, dtype=result.dtype).numpy().dtype
        except TypeError as error:
            raise InputError(f"out: NumPy has no {result.dtype}; leave it, or give float32 images") from error
        if isinstance(picture, LazyPicture):
            like = np.dtype(picture.array.dtype)
        if out is None:
            flat = channels == 1 and isinstance(picture, LazyPicture) and len(picture.array.shape) == 2
            order = Order(batched=False, planar=False, flat=flat)
            return cls(np.empty(order.shape(*size), like), order, result.dtype)
        allowed = orders(size[0], channels, picture.planar)
        shape = allowed[0].shape(*size)
        if not hasattr(out, "__setitem__") or not isinstance(out, (ArrayLike, Tensor)):
            raise InputError(f"out: {type(out).__name__} is no array; give one of shape {shape} and dtype {like}")
        fitting = [order for order in allowed if order.shape(*size) == tuple(out.shape)]
        dtype = out.detach().numpy().dtype if isinstance(out, Tensor) else np.dtype(out.dtype)
        if not fitting or dtype != like:
            raise InputError(f"out: {tuple(out.shape)} {out.dtype}; the result is {shape} {like}")
        if isinstance(out, np.ndarray) and not out.flags.writeable:
            raise InputError("out: is read-only; open it for writing, a numpy.memmap with mode 'r+'")
        return cls(out, fitting[0], result.dtype)

    @property
    def nbytes(self) -> int:
        return 0  # the caller's own memory, or a file

    def write(self, index: int, region: Region, pixels: Tensor, alpha: Tensor | None) -> None:
        """Write pixels (1, 1 or 3, h, w) in [0, 1] and alpha where they belong."""
        values = interleaved(joined(pixels, alpha), self.dtype).astype(self.array.dtype, copy=False)
        self.array[self.order.place(index, region)] = self.order.arranged(values)
        release(self.array)

    def result(self) -> Any:
        return self.given


class TensorCanvas:
    """Planes in memory, which are packed in the end."""

    def __init__(self, picture: PictureInfo, coloured: bool, transparent: bool, device: torch.device) -> None:
        count, (height, width) = picture.layout.count, picture.layout.sides
        self._picture = picture
        empty = partial(torch.empty, dtype=torch.float32, device=device)
        self._pixels = empty((count, 3 if coloured else 1, height, width))
        self._alpha = empty((count, 1, height, width)) if transparent else None

    @property
    def nbytes(self) -> int:
        return self._pixels.nbytes + (0 if self._alpha is None else self._alpha.nbytes)

    def write(self, index: int, region: Region, pixels: Tensor, alpha: Tensor | None) -> None:
        """Write pixels (1, 1 or 3, h, w) in [0, 1] and alpha where they belong."""
        for whole, part in ((self._pixels, pixels), (self._alpha, alpha)):
            if whole is not None and part is not None:
                whole[index : index + 1, :, region.top : region.bottom, region.left : region.right] = part

    def result(self) -> Any:
        return self._picture.pack(self._pixels, self._alpha)


Canvas: TypeAlias = ArrayCanvas | TensorCanvas


def canvas_for(result: PictureInfo, pictures: tuple[ReadablePicture, ...], out: Any) -> Canvas:
    """Where the result of pictures goes: into ``out``, if it is given, else into what the first one's kind needs.

    Raises InputError for an ``out`` that results can't be written into.
    """
    first = pictures[0]
    coloured = any(picture.layout.coloured for picture in pictures)
    transparent = any(picture.layout.transparent for picture in pictures)
    if out is None and not isinstance(first, LazyPicture):
        return TensorCanvas(result, coloured, transparent, first.device)
    check_out(out, pictures)
    return ArrayCanvas.like(first, result, 4 if transparent else 3 if coloured else 1, out)
