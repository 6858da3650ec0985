"""Bands of georeferenced rasters, read by the window: their values, where they are valid, and filled where not.

Nodata pixels (the nodata value, a mask, NaN) have no say in the others: before anything is resampled, they are filled
from valid pixels nearby, and further away with the mean.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError
from ..extras import require
from .grids import Array, Window, windows

FILL_DEVIATION = 2.0  # pixels, of the Gaussian by which nodata pixels are filled from valid ones
FILL_REACH = 8  # pixels
FILL_MEAN = 1e-3  # weight of the mean beside them


def rasterio_module() -> ModuleType:
    """rasterio, with its modules of errors and windows. Raises MissingExtraError."""
    for module in ("rasterio.errors", "rasterio.windows"):
        require(module, extra="geo", purpose="reading or writing georeferenced rasters")
    return require("rasterio", extra="geo", purpose="reading or writing georeferenced rasters")


def raster_window(window: Window) -> Any:
    return rasterio_module().windows.Window.from_slices(*window)


@contextmanager
def _reading(dataset: Any) -> Iterator[None]:
    rasterio = rasterio_module()
    try:
        yield
    except rasterio.errors.RasterioError as error:
        cause = error.__cause__ or error  # GDAL's own words
        raise InputError(f"{dataset.name}: can't be read ({cause}); the file is damaged or incomplete") from error


@dataclass(frozen=True)
class Band:
    """One band of a raster, float64, read by the window."""

    dataset: Any
    index: int  # from 1

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.dataset.height, self.dataset.width

    def __getitem__(self, window: Window) -> Array:
        with _reading(self.dataset):
            values: Array = self.dataset.read(self.index, window=raster_window(window)).astype(np.float64)
        return values


@dataclass(frozen=True)
class Validity:
    """Where a band has data, true or false, read by the window."""

    band: Band

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.band.shape

    def __getitem__(self, window: Window) -> Array:
        dataset, index = self.band.dataset, self.band.index
        with _reading(dataset):
            mask: Array = dataset.read_masks(index, window=raster_window(window)) > 0
        return mask & np.isfinite(self.band[window]) if np.dtype(dataset.dtypes[index - 1]).kind == "f" else mask


@dataclass(frozen=True)
class ValidInBoth:
    """On the multispectral grid: where it has data, and PAN for the most part."""

    valid: Validity
    pan_share: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.valid.shape

    def __getitem__(self, window: Window) -> Array:
        result: Array = self.valid[window] & (self.pan_share[window] > 0.5)
        return result


@dataclass(frozen=True)
class Filled:
    """A band whose nodata pixels are filled: from valid ones near them, further away by ``mean``."""

    band: Band
    valid: Validity
    mean: float

    @classmethod
    def of(cls, band: Band, valid: Validity) -> "Filled | Band":
        """With the mean of what is valid, 0 where nothing is; the band itself where everything is."""
        total, count = 0.0, 0
        for window in windows(band.shape):
            mask = valid[window]
            total, count = total + float(band[window][mask].sum()), count + int(mask.sum())
        return band if count == band.shape[0] * band.shape[1] else cls(band, valid, total / max(count, 1))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.band.shape

    def __getitem__(self, window: Window) -> Array:
        (top, bottom), (left, right) = (part.indices(side)[:2] for part, side in zip(window, self.shape, strict=True))
        inner = self.valid[top:bottom, left:right]
        if inner.all():
            return self.band[window]
        margins = [
            slice(max(0, top - FILL_REACH), bottom + FILL_REACH),
            slice(max(0, left - FILL_REACH), right + FILL_REACH),
        ]
        wide = (slice(margins[0].start, min(margins[0].stop, self.shape[0])),
                slice(margins[1].start, min(margins[1].stop, self.shape[1])))  # fmt: skip
        mask = self.valid[wide]
        offsets = np.where(mask, self.band[wide] - self.mean, 0)
        near = _blurred(offsets) / (_blurred(mask.astype(np.float64)) + FILL_MEAN)
        rows = slice(top - wide[0].start, bottom - wide[0].start)
        columns = slice(left - wide[1].start, right - wide[1].start)
        return np.where(mask, offsets, near)[rows, columns] + self.mean


def _blurred(plane: Array) -> Array:
    """A Gaussian blur, zeros beyond the edges; tap by tap, so that the result does not depend on the window."""
    taps = np.exp(-0.5 * (np.arange(-FILL_REACH, FILL_REACH + 1) / FILL_DEVIATION) ** 2)
    taps /= taps.sum()
    for _ in range(2):
        padded = np.pad(plane, ((FILL_REACH, FILL_REACH), (0, 0)))
        plane = sum(tap * padded[i : i + len(plane)] for i, tap in enumerate(taps)).T
    return plane
