"""An image as the fusion sees it: what is known of it, and its pixels where they are in memory.

Three types, so that a type checker knows which pictures have pixels:

- ``PictureInfo``: name, layout, dtype, metadata and the way back to the caller's kind; no pixels, and no way to them.
- ``ReadablePicture``: that, and pixels that can be read, by regions or all of them (``load``).
- ``Picture``: loaded. Only this one has ``pixels``. What is read later is a ``lazy.LazyPicture``.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from ..errors import InputError
from ..files.bands import BandLabel
from ..files.metadata import NO_METADATA, Metadata
from ..files.nodata import Missing
from ..regions import Region
from . import colour
from .levels import FLOATS, LEVELS, ScaleError, normalise

_FILE_DTYPES = (torch.uint8, torch.uint16, torch.float32)  # from the shallowest to the deepest
Info = TypeVar("Info", bound="PictureInfo")


@dataclass(frozen=True)
class Layout:
    """How many images a picture holds, their sides in pixels and their planes."""

    count: int
    height: int
    width: int
    coloured: bool  # three channels
    transparent: bool  # a plane of alpha

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def channels(self) -> int:
        """Of colour and alpha together, as files have them: 1 to 4."""
        return (3 if self.coloured else 1) + self.transparent


@dataclass(frozen=True, kw_only=True)
class PictureInfo:
    """What is known of an image without its pixels, and the way back to the kind it came as."""

    layout: Layout
    name: str  # the file or argument, for messages
    packer: "Packer"  # the way back
    dtype: torch.dtype  # of the result
    metadata: Metadata = NO_METADATA
    file: bool = False  # read from a file, or the bytes of one
    planar: bool = False  # of a kind whose channels come first, as tensors' do
    chromatic: bool = False  # of pictures let go: whether any pixel was not grey
    label: BandLabel | None = None  # of a further band

    @property
    def size(self) -> str:
        """Width × height, for messages."""
        return f"{self.layout.width}×{self.layout.height}"

    @property
    def short_name(self) -> str:
        """The name without folders: notes go into files, and folders are private."""
        return os.path.basename(self.name)

    @property
    def coloured(self) -> bool:
        return self.layout.coloured

    def shows_colour(self) -> bool:
        """Whether any pixel is not grey: files of grey images often have three channels."""
        return self.chromatic

    def pack(self, pixels: Tensor, alpha: Tensor | None) -> Any:
        """Pixels (B, 1 or 3, H, W) and alpha in the caller's kind, at this picture's depth, with its metadata."""
        return self.packer(pixels, alpha, self.dtype, self.metadata)

    def noted(self: Info, notes: Sequence[str]) -> Info:
        """With what was done to it in the results' metadata."""
        text = "; ".join(notes).encode("ascii", "replace").decode()
        return replace(self, metadata=self.metadata.noting(f"gifnet: {text}")) if notes else self

    def info(self) -> "PictureInfo":
        """All this, without the pixels."""
        return self

    def fused_with(self, *others: "PictureInfo") -> "PictureInfo":
        """The one to pack the fusion of all: of files the deepest decides; the metadata are of the first in colour."""
        every = (self, *others)
        metadata, dtype = self.metadata, self.dtype
        if any(picture.metadata != metadata for picture in others):  # else, colour needn't be looked for
            metadata = next((picture.metadata for picture in every if picture.shows_colour()), metadata)
            geo = next((picture.metadata.geo for picture in every if picture.metadata.geo), b"")  # all have one grid
            metadata = replace(metadata, geo=geo)
        missing = [picture.metadata.missing for picture in every if picture.metadata.missing is not None]
        if missing:
            metadata = replace(metadata, missing=reduce(Missing.joined, missing))
        if self.file:
            dtype = max({picture.dtype for picture in every if picture.file}, key=_FILE_DTYPES.index)
        return replace(self.info(), dtype=dtype, metadata=metadata)


Packer: TypeAlias = Callable[[Tensor, Tensor | None, torch.dtype, Metadata], Any]


class ReadablePicture(PictureInfo, ABC):
    """An image whose pixels are in memory or can be read."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where its pixels are."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """What its planes take in memory."""

    @abstractmethod
    def region(self, index: int, region: Region) -> tuple[Tensor, Tensor | None]:
        """Pixels (1, 1 or 3, h, w) and alpha of a part of the image number ``index``."""

    @abstractmethod
    def load(self) -> "Picture":
        """With its pixels in memory. Raises InputError where its values have no scale."""

    @abstractmethod
    def as_given(self) -> "Picture | UnscaledPicture":
        """With its values in memory, whether they have a scale or not."""

    @property
    def further(self) -> "tuple[Picture, ...]":
        """Its bands beside colours and alpha, each a grey picture."""
        return ()

    def with_scale(self) -> "ReadablePicture":
        """Itself, or where its values come with a window, a picture of that.

        Raises InputError where it is known that they have no scale.
        """
        return self

    @abstractmethod
    def shows_colour(self) -> bool: ...

    @abstractmethod
    def as_grey(self) -> "ReadablePicture":
        """Its luminance only."""

    def info(self) -> PictureInfo:
        return self._info(self.shows_colour())

    def _info(self, chromatic: bool) -> PictureInfo:
        return PictureInfo(
            layout=self.layout,
            name=self.name,
            packer=self.packer,
            dtype=self.dtype,
            metadata=self.metadata,
            file=self.file,
            planar=self.planar,
            chromatic=chromatic,
        )


@dataclass(frozen=True, kw_only=True)
class Picture(ReadablePicture):
    """An image whose pixels are in memory."""

    layout: Layout = field(init=False)  # as the pixels have it
    pixels: Tensor  # (B, 1 or 3, H, W) float32 in [0, 1], grey or R, G, B
    alpha: Tensor | None = None  # (B, 1, H, W), as pixels
    bands: "tuple[Picture, ...]" = ()  # beside colours and alpha, as a TIFF has them; grey

    def __post_init__(self) -> None:
        count, channels, height, width = self.pixels.shape
        object.__setattr__(self, "layout", Layout(count, height, width, channels == 3, self.alpha is not None))

    @property
    def device(self) -> torch.device:
        return self.pixels.device

    @property
    def nbytes(self) -> int:
        planes = self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)
        return planes + sum(band.nbytes for band in self.bands)

    @property
    def further(self) -> "tuple[Picture, ...]":
        return self.bands

    def region(self, index: int, region: Region) -> tuple[Tensor, Tensor | None]:
        part = (
            slice(index, index + 1),
            slice(None),
            slice(region.top, region.bottom),
            slice(region.left, region.right),
        )
        return self.pixels[part], None if self.alpha is None else self.alpha[part]

    def load(self) -> "Picture":
        return self

    def as_given(self) -> "Picture":
        return self

    def shows_colour(self) -> bool:
        return self.coloured and colour.shows(self.pixels)

    def as_grey(self) -> "Picture":
        return replace(self, pixels=colour.luma_of(self.pixels)) if self.coloured else self

    def cropped(self, box: tuple[int, int, int, int]) -> "Picture":
        """Its part from left, top to right, bottom (exclusive)."""
        left, top, right, bottom = box
        alpha = None if self.alpha is None else self.alpha[..., top:bottom, left:right]
        pixels, metadata = self.pixels[..., top:bottom, left:right], self.metadata.resampled()
        bands = tuple(band.cropped(box) for band in self.bands)
        return replace(self, pixels=pixels, alpha=alpha, metadata=metadata, bands=bands)

    def resampled(self, resample: Callable[[Tensor], Tensor]) -> "Picture":
        """With its planes (B, C, H, W) resampled; colours are weighted by alpha, if there is one."""
        metadata = self.metadata.resampled()
        if self.bands:
            bands = tuple(band.resampled(resample) for band in self.bands)
            return replace(replace(self, bands=()).resampled(resample), bands=bands)
        if self.alpha is None:
            return replace(self, pixels=resample(self.pixels).clamp(0, 1), metadata=metadata)
        both = resample(torch.cat([self.pixels * self.alpha, self.alpha], dim=1))
        alpha = both[:, -1:].clamp(0, 1)
        pixels = (both[:, :-1] / alpha.clamp(min=1e-4)).clamp(0, 1)
        return replace(self, pixels=pixels, alpha=alpha, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class UnscaledPicture(ReadablePicture):
    """An image whose values are numbers on a scale of their own: Kelvin, °C, Hounsfield units, radiance.

    It has no pixels until ``prepare.stretch`` says what black and white are.
    """

    layout: Layout = field(init=False)
    values: Tensor  # (B, 1 or 3, H, W) floating point, NaN where there are none
    alpha: Tensor | None = None  # (B, 1, H, W) in [0, 1]; where it is 0, values are NaN
    problem: str  # why they are no pixels
    window: tuple[float, float] | None = None  # what the file says is black and white, in place of a problem
    inverted: bool = False  # low values are white

    def __post_init__(self) -> None:
        count, channels, height, width = self.values.shape
        object.__setattr__(self, "layout", Layout(count, height, width, channels == 3, self.alpha is not None))

    @property
    def device(self) -> torch.device:
        return self.values.device

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def region(self, index: int, region: Region) -> tuple[Tensor, Tensor | None]:
        raise InputError(self.problem)

    def load(self) -> Picture:
        if self.window is None:
            raise InputError(self.problem)
        return self.scaled(torch.stack([self.mapped(image, *self.window) for image in self.values]))

    def as_given(self) -> "UnscaledPicture":
        return self

    def with_scale(self) -> Picture:
        return self.load()

    def mapped(self, values: Tensor, low: float, high: float) -> Tensor:
        """float32 in [0, 1]: of its values, those from ``low`` to ``high``; 0 where there are none."""
        span = high - low if high > low else 1.0
        levels = ((values - low) / span).nan_to_num(torch.nan, 1.0, 0.0).clamp(0, 1)
        return (1 - levels if self.inverted else levels).nan_to_num(0.0).float()

    def shows_colour(self) -> bool:
        return self.coloured and colour.shows(self.values.nan_to_num())

    def as_grey(self) -> "UnscaledPicture":
        return replace(self, values=colour.luminance(self.values)) if self.coloured else self

    def scaled(self, pixels: Tensor) -> Picture:
        """With pixels (B, 1 or 3, H, W) in [0, 1] in place of its values."""
        return Picture(
            pixels=pixels,
            alpha=self.alpha,
            name=self.name,
            packer=self.packer,
            dtype=self.dtype,
            metadata=self.metadata,
            file=self.file,
            planar=self.planar,
        )


def picture_of(
    planes: Tensor,
    colours: int,
    *,
    name: str,
    packer: Packer,
    dtype: torch.dtype,
    metadata: Metadata = NO_METADATA,
    file: bool = False,
    planar: bool = False,
) -> Picture | UnscaledPicture:
    """A picture of planes (B, C, H, W) of any real dtype: ``colours`` of them, 1 or 3, the next one, if any, alpha.

    Raises InputError for what are no numbers, and for alpha that has no scale.
    """
    known: dict[str, Any] = {
        "name": name, "packer": packer, "dtype": dtype, "metadata": metadata, "file": file, "planar": planar
    }  # fmt: skip
    try:
        whole = normalise(planes, name)
    except ScaleError as error:
        if planes.shape[1] > colours and not planes.is_floating_point():
            raise  # what would alpha of these mean?
        values = planes[:, :colours].detach().to(torch.float64 if planes.dtype.itemsize > 3 else torch.float32)
        clear = _alpha(planes[:, colours:], name) if planes.shape[1] > colours else None
        if clear is not None:
            values = values.masked_fill(clear == 0, torch.nan)
        return UnscaledPicture(values=values, alpha=clear, problem=str(error), **known)
    alpha = whole[:, colours:] if whole.shape[1] > colours else None
    return Picture(pixels=whole[:, :colours], alpha=alpha, **known)


def _alpha(plane: Tensor, name: str) -> Tensor:
    """Beside values that have no scale; it must have one."""
    try:
        return normalise(plane, name)
    except ScaleError as error:
        raise InputError(
            f"{name}: alpha outside [0, 1]; scale colours and alpha yourself (levels: divide by 255 or 65535)"
        ) from error


def result_dtype(dtype: torch.dtype) -> torch.dtype:
    """Of a result for an image of this dtype: the same, but for integers without a full scale of their own, uint16."""
    return dtype if dtype in LEVELS or dtype in FLOATS else torch.uint16


_OF_PAIRS = "give resize='a' or 'b' if they show the same, align=True if not quite, or crop one to the other"
OF_STACKS = (
    "use align=True, or bring each to the first one's grid before: gifnet align FIRST IMAGE -o ALIGNED, or "
    "gifnet.align(a, b).warp(b)"
)


def check_alike(a: PictureInfo, b: PictureInfo, advice: str = _OF_PAIRS) -> None:
    """Raises InputError where two pictures differ in size or number."""
    if a.layout.sides != b.layout.sides:
        raise InputError(
            f"{a.name} is {a.size} pixels but {b.name} is {b.size}; fusion needs aligned images of one size: {advice}"
        )
    if a.layout.count != b.layout.count:
        raise InputError(
            f"{a.name} holds {a.layout.count} images but {b.name} holds {b.layout.count}; give as many of each"
        )
