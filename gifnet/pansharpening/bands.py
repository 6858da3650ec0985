"""Bands of rasters, read by the window: their values, and where they have data.

A pixel has no data where the band has its nodata value, where a mask of the raster (in the file, or beside it as
``.msk``) or its alpha band is 0, and where it is NaN or infinite.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .datasets import raster_errors, rasterio_module, without_warnings
from .dtypes import holds
from .filling import MaskedPlane
from .grids import Array, Window, windows


def raster_window(window: Window) -> Any:
    """As rasterio takes it."""
    return rasterio_module().windows.Window.from_slices(*window)


@contextmanager
def _reading(dataset: Any) -> Iterator[None]:
    try:
        with without_warnings():
            yield
    except raster_errors() as error:
        cause = error.__cause__ or error  # GDAL's own words
        raise InputError(f"{dataset.name}: can't be read ({cause}); the file is damaged or incomplete") from error


@dataclass(frozen=True)
class Band:
    """One band of a raster, float64, read by the window.

    ``fill`` is the value of its pixels without data if the raster does not say itself which these are.
    """

    dataset: Any
    index: int  # from 1
    fill: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.dataset.height, self.dataset.width

    @property
    def dtype(self) -> "np.dtype[Any]":
        """That of the file."""
        dtype: np.dtype[Any] = np.dtype(self.dataset.dtypes[self.index - 1])
        return dtype

    @property
    def nodata(self) -> float | None:
        """The raster's own nodata value."""
        value: float | None = self.dataset.nodatavals[self.index - 1]
        return value

    @property
    def marked(self) -> bool:
        """Whether the raster says itself which pixels have no data."""
        with without_warnings():
            masks = self.dataset.mask_flag_enums[self.index - 1]
        everything = rasterio_module().enums.MaskFlags.all_valid
        return self.nodata is not None or alpha_of(self.dataset) is not None or everything not in masks

    @property
    def masked(self) -> MaskedPlane:
        """Its values, and where they are valid."""
        return MaskedPlane(self, Validity(self))

    def read(self, window: Window) -> Array:
        """In the file's dtype."""
        with _reading(self.dataset):
            values: Array = self.dataset.read(self.index, window=raster_window(window))
        return values

    def __getitem__(self, window: Window) -> Array:
        return self.read(window).astype(np.float64)


@dataclass(frozen=True)
class Validity:
    """Where a band has data, true or false, read by the window."""

    band: Band

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.band.shape

    @property
    def everywhere(self) -> bool:
        """Whether all of it has data."""
        band = self.band
        if not (band.marked or band.dtype.kind == "f" or band.fill is not None):
            return True
        return all(self[window].all() for window in windows(self.shape))

    def __getitem__(self, window: Window) -> Array:
        band, dataset = self.band, self.band.dataset
        alpha = alpha_of(dataset)
        with _reading(dataset):
            mask: Array = dataset.read_masks(band.index, window=raster_window(window)) > 0
            if alpha is not None:
                mask &= dataset.read(alpha, window=raster_window(window)) > 0
        value = band.nodata if band.fill is None else band.fill  # where there is a mask too, GDAL looks at that alone
        if band.dtype.kind == "f":
            mask &= np.isfinite(band.read(window))
        if value is not None and holds(band.dtype, value):
            mask &= band.read(window) != value
        return mask


@dataclass(frozen=True)
class Opacity:
    """A raster's alpha band, read by the window; it is a mask, and no data."""

    dataset: Any
    index: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.dataset.height, self.dataset.width

    def __getitem__(self, window: Window) -> Array:
        return Band(self.dataset, self.index).read(window)


def alpha_of(dataset: Any) -> int | None:
    """The number of a raster's alpha band, from 1. None: it has none."""
    names = [colour.name for colour in dataset.colorinterp]
    return names.index("alpha") + 1 if "alpha" in names else None


def spectral_bands(dataset: Any, fill: float | None = None) -> list[Band]:
    """All bands but alpha, with ``fill`` where the raster says nothing of pixels without data."""
    alpha = alpha_of(dataset)
    bands = [Band(dataset, index) for index in range(1, dataset.count + 1) if index != alpha]
    return [band if band.marked else Band(dataset, band.index, fill) for band in bands]


def check_alpha(dataset: Any) -> None:
    """Raises InputError for an alpha band that is none. GDAL calls the fourth of four bands of 8 bits so by default."""
    index = alpha_of(dataset)
    if index is None:
        return
    alpha = Band(dataset, index)
    opaque = max(float(alpha.read(window).max()) for window in windows(alpha.shape))
    between = 0
    for window in windows(alpha.shape):
        values = alpha.read(window)
        between += int(((values > 0) & (values < opaque)).sum())
    if between > alpha.shape[0] * alpha.shape[1] / 2:
        raise InputError(
            f"{dataset.name}: band {index} is declared as alpha, but varies like an image; if it is a spectral band, "
            f"declare it so: rio edit-info --colorinterp {index}=undefined, gdal_edit.py -colorinterp_{index} undefined"
        )
