"""Multispectral rasters and their panchromatic one, checked and placed on each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np

from ..errors import InputError
from .bands import Band, Opacity, Validity, alpha_of, check_alpha, spectral_bands
from .datasets import is_local, listed
from .dtypes import cast, holds, neighbour
from .filling import MaskedPlane, ValidOnPan, sharpened_where_valid
from .georeference import Georeference, grid_of
from .grids import Array, Grid, Window
from .method import Fuse


@dataclass(frozen=True)
class Placed:
    """A multispectral band, and where it lies on PAN's grid."""

    band: Band
    grid: Grid

    def valid(self, pan: MaskedPlane) -> ValidOnPan:
        """On PAN's grid: where both have data."""
        return ValidOnPan(self.band.masked.valid, pan.valid, self.grid)


@dataclass(frozen=True)
class Scene:
    """Multispectral rasters and their panchromatic one, checked and placed on each other."""

    ms: list[Any]  # datasets, in the order of the result's bands
    bands: list[Placed]  # their bands but alpha
    pan: Band
    georeference: Georeference
    nodata: float | None  # the value that marks pixels without data in the result

    @classmethod
    def of(cls, ms: Sequence[Any], pan: Any, nodata: float | None) -> "Scene":
        """Of open datasets. Raises InputError, naming the file, where they can't be sharpened."""
        grids = [grid_of(dataset, pan) for dataset in ms]
        bands = [
            Placed(band, grid)
            for dataset, grid in zip(ms, grids, strict=True)
            for band in _multispectral(dataset, nodata)
        ]
        dtypes = [str(placed.band.dtype) for placed in bands]
        if len(set(dtypes)) > 1:
            names = ", ".join(dataset.name for dataset in ms)
            raise InputError(f"{names}: bands of {listed(dtypes)}; give one dtype for all")
        grey = _panchromatic(pan, nodata)
        value = _nodata([*(placed.band for placed in bands), grey], nodata)
        scene = cls(list(ms), bands, grey, Georeference.of(ms[0], pan, grids[0]), value)
        scene._check_marks()
        return scene

    @property
    def shape(self) -> tuple[int, int]:
        """Of the result: PAN's."""
        return self.pan.shape

    @property
    def dtype(self) -> "np.dtype[Any]":
        """That of all multispectral bands, and of the result."""
        return self.bands[0].band.dtype

    @property
    def descriptions(self) -> list[str | None]:
        """Of the bands; of several files, those without one have their file's name."""

        def description(band: Band) -> str | None:
            own: str | None = band.dataset.descriptions[band.index - 1]
            name = band.dataset.name
            return own or (None if len(self.ms) == 1 else PurePath(name).stem if is_local(name) else name)

        return [description(placed.band) for placed in self.bands]

    @property
    def has_alpha(self) -> bool:
        """Whether a multispectral raster has an alpha band, and so the result."""
        return any(alpha_of(dataset) is not None for dataset in self.ms)

    @cached_property
    def needs_mask(self) -> bool:
        """Whether pixels have no data, and no value, nor an alpha band, marks them in the result."""
        if self.nodata is not None or self.has_alpha:
            return False
        bands = [self.pan, *(placed.band for placed in self.bands)]
        return not all(Validity(band).everywhere for band in bands)

    @cached_property
    def _pan(self) -> MaskedPlane:
        return self.pan.masked

    def sharpen(
        self, fuse: Fuse, scratch: Callable[[tuple[int, int]], Array] | None = None
    ) -> Iterator[tuple[int, Window, Array]]:
        """Band numbers (from 0), windows of PAN's grid, and their sharpened values in the result's dtype."""
        for index, placed in enumerate(self.bands):
            parts = sharpened_where_valid(fuse, placed.band.masked, self._pan, placed.grid, scratch)
            for window, values, mask in parts:
                yield index, window, self._packed(values, mask)

    def mask(self, window: Window) -> Array:
        """Where all bands of the result have data."""
        masks = [placed.valid(self._pan)[window] for placed in self.bands]
        result: Array = np.logical_and.reduce(masks)
        return result

    def alpha(self, window: Window) -> Array:
        """The result's alpha band: that of the multispectral pixels (of several files, the least), 0 without data."""
        opacities = [
            placed.grid.nearest(Opacity(placed.band.dataset, index))[window]
            for placed in self.bands
            if (index := alpha_of(placed.band.dataset)) is not None
        ]
        return np.where(self.mask(window), np.minimum.reduce(opacities), 0).astype(self.dtype)

    def _packed(self, values: Array, mask: Array) -> Array:
        """In the result's dtype, nodata where ``mask`` is false, and no such value elsewhere."""
        packed = cast(values, self.dtype)
        if self.nodata is not None and np.isfinite(self.nodata):
            value = np.asarray(self.nodata).astype(self.dtype)
            packed[packed == value] = neighbour(value)
        packed[~mask] = 0 if self.nodata is None else self.nodata
        return packed

    def _check_marks(self) -> None:
        """Raises InputError where PAN reaches beyond a multispectral raster, and nothing in the result can say so."""
        if self.nodata is not None or self.has_alpha or self.needs_mask:
            return
        for placed in self.bands:
            axes = (placed.grid.rows, placed.grid.columns)
            if not all(axis.covered(0, axis.fine).all() for axis in axes):
                raise InputError(
                    f"{placed.band.dataset.name}, {self.pan.dataset.name}: some pixels of the latter lie beyond the "
                    "multispectral raster, and there is no nodata value to mark them; give one (nodata=, --nodata), or "
                    "crop"
                )


def _multispectral(dataset: Any, nodata: float | None) -> list[Band]:
    if "palette" in {colour.name for colour in dataset.colorinterp}:
        raise InputError(
            f"{dataset.name}: has a palette; give spectral bands, and a nodata value for pixels without data"
        )
    bands = spectral_bands(dataset, nodata)
    if not bands:
        raise InputError(f"{dataset.name}: has an alpha band alone; give spectral bands")
    check_alpha(dataset)
    return bands


def _panchromatic(dataset: Any, nodata: float | None) -> Band:
    bands = spectral_bands(dataset, nodata)
    if len(bands) != 1:
        raise InputError(
            f"{dataset.name}: {len(bands)} bands; a panchromatic raster has one (is it the multispectral one?)"
        )
    check_alpha(dataset)
    return bands[0]


def _nodata(bands: Sequence[Band], nodata: float | None) -> float | None:
    """The result's nodata value. Raises InputError for one that the first band's dtype can't hold."""
    dtype = bands[0].dtype
    if nodata is not None and not holds(dtype, nodata):
        raise InputError(f"nodata: {nodata:g} is no value of {dtype}, the dtype of {bands[0].dataset.name}")
    for value in (nodata, *(band.nodata for band in bands)):
        if value is not None and holds(dtype, value):
            return float(value)
    return float("nan") if dtype.kind == "f" else None
