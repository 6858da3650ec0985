"""Pan-sharpening: every band of a multispectral image takes on the detail of the panchromatic one.

Band by band, with ``M`` the band resampled to PAN's grid (bicubic), ``m``, ``s`` the band's mean and deviation, ``p``,
``t`` those of PAN brought down to the band's resolution, and ``r`` the correlation of the two:

1. The network fuses ``a = (M - m) / (80·s) + 1/2`` with ``b = (PAN - p) / (80·t) + 1/2``: PAN in the band's radiometry.
   At this low contrast the network takes over detail without exaggerating it.
2. Of the fused plane ``F``, only what is finer than the band is used: ``D = F - up(down(F))``.
3. The sharpened band is ``M + 0.8·r·80·s·D``; where ``r`` is not positive, it is ``M``. Detail agrees less the finer it
   is, and ``r`` was found on coarser detail than ``D`` is: all of ``D`` would be too much (seen under Wald's protocol).

So the radiometry is the band's own, since only what is too fine for its pixels comes from elsewhere; and a band that
PAN says little about takes little from it. ``down`` is a Gaussian whose response at the coarse grid's Nyquist frequency
is 0.3, as sensors have it (Aiazzi et al., 2006, of whose scheme of injection this is one); ``up`` is cubic convolution
(Keys, 1981).

Everything works window by window, on planes as in ``grids``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..execution.form import Sink, Source
from ..regions import Region
from .grids import Array, Grid, Plane, Target, Window, windows

CONTRAST = 80.0  # the network's range 0 to 1, in standard deviations of the band
INJECTED = 0.8  # of the fused plane's detail, beside the correlation
Fuse: TypeAlias = Callable[[Source, Sink, int, int], None]  # a model: Fuser.fuse_regions with its options


def sharpened(
    fuse: Fuse,
    band: Plane,
    pan: Plane,
    grid: Grid,
    valid: Plane | None = None,
    scratch: Callable[[tuple[int, int]], Array] | None = None,
) -> Iterator[tuple[Window, Array]]:
    """Sharpen one band, window by window.

    Args:
        fuse: the model, as ``fuse_with`` gives it.
        band: on the coarse grid, finite everywhere.
        pan: on the fine grid, finite everywhere.
        grid: where they lie.
        valid: on the coarse grid, true where ``band`` and ``pan`` are to count in the statistics; None: everywhere.
        scratch: gives a float32 array of a shape, for the fused plane; it may lie on disk. None: in memory.

    Yields:
        Windows of the fine grid and their values, float64, on the band's scale and unlimited.
    """
    statistics = PairStatistics.of(band, grid.down(pan), grid, valid)
    statistics.check()
    if statistics.correlation <= 0:
        resampled = grid.up(band)
        for window in windows(pan.shape):
            yield window, resampled[window]
        return
    a, b = statistics.normalised(grid.up(band), pan)
    fused = np.empty(pan.shape, np.float32) if scratch is None else scratch(pan.shape)
    _fuse_by_regions(fuse, a, b, fused)
    injected = Injected(grid, band, fused, statistics)
    for window in windows(pan.shape):
        yield window, injected[window]


def _fuse_by_regions(fuse: Fuse, a: Plane, b: Plane, out: Target) -> None:
    """Fuse two planes of one shape, float32 in [0, 1], into ``out``. The model asks for the regions it needs."""

    def source(region: Region) -> Tensor:
        window = (slice(region.top, region.bottom), slice(region.left, region.right))
        return torch.from_numpy(np.stack([a[window], b[window]])[None])

    def sink(region: Region, values: Tensor) -> None:
        out[slice(region.top, region.bottom), slice(region.left, region.right)] = values[0, 0].cpu().numpy()

    fuse(source, sink, *a.shape)


@dataclass(frozen=True)
class Normalised:
    """``(source - mean) / scale + 1/2``, limited to [0, 1], as float32: the form that the network takes."""

    source: Plane
    mean: float
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.source.shape

    def __getitem__(self, window: Window) -> Array:
        values = (self.source[window].astype(np.float64) - self.mean) / self.scale + 0.5
        return values.clip(0, 1).astype(np.float32)


@dataclass(frozen=True)
class PairMoments:
    """What the statistics of a band and PAN follow from, gathered window by window (Chan, Golub and LeVeque, 1979)."""

    count: int
    mean: Array  # (2,)
    products: Array  # (2, 2), sums of products of the differences to the mean

    @classmethod
    def none(cls) -> "PairMoments":
        """Of no pixels."""
        return cls(0, np.zeros(2), np.zeros((2, 2)))

    @classmethod
    def of(cls, band: Plane, pan: Plane, window: Window, valid: Plane | None = None) -> "PairMoments":
        """Of a window of the coarse grid, both planes on it, where ``valid`` is true."""
        pairs = np.stack([band[window], pan[window]]).astype(np.float64).reshape(2, -1)
        if valid is not None:
            pairs = pairs[:, valid[window].ravel() > 0]
        if not pairs.shape[1]:
            return cls.none()
        mean = pairs.mean(axis=1)
        centred = pairs - mean[:, None]
        with np.errstate(over="ignore", invalid="ignore"):  # which makes the correlation NaN
            return cls(pairs.shape[1], mean, centred @ centred.T)

    def merged(self, other: "PairMoments") -> "PairMoments":
        """Of the pixels of both."""
        if not other.count:
            return self
        count, shift = self.count + other.count, other.mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):
            between = np.outer(shift, shift) * (self.count * other.count / count)
            return PairMoments(
                count, self.mean + shift * (other.count / count), self.products + (other.products + between)
            )


@dataclass(frozen=True)
class PairStatistics:
    """Mean, deviation and correlation of a band and of PAN at the band's resolution."""

    band_mean: float
    band_deviation: float
    pan_mean: float
    pan_deviation: float
    correlation: float  # 0 where either is constant

    @classmethod
    def of(cls, band: Plane, pan: Plane, grid: Grid, valid: Plane | None = None) -> "PairStatistics":
        """Gathered by the window where the grids overlap and ``valid`` is true."""
        (top, bottom), (left, right) = grid.rows.overlap(), grid.columns.overlap()
        moments = PairMoments.none()
        for rows, columns in windows((bottom - top, right - left)):
            window = (slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop))
            moments = moments.merged(PairMoments.of(band, pan, window, valid))
        return cls.from_moments(moments)

    @classmethod
    def from_moments(cls, moments: PairMoments) -> "PairStatistics":
        """Of a band and PAN whose moments are gathered."""
        mean, products = moments.mean, moments.products
        band_deviation, pan_deviation = np.sqrt(products.diagonal() / max(moments.count, 1))
        # Rounding alone gives a constant some deviation.
        flat = band_deviation <= 1e-9 * abs(mean[0]) or pan_deviation <= 1e-9 * abs(mean[1])
        correlation = 0.0 if flat else products[0, 1] / np.sqrt(products[0, 0] * products[1, 1])
        return cls(*(float(value) for value in (mean[0], band_deviation, mean[1], pan_deviation, correlation)))

    def check(self) -> None:
        """Raises InputError for values that nothing can be computed of."""
        if not np.isfinite(self.correlation):
            raise InputError(
                "ms, pan: values too large to work with (10^150 or so); are they an undeclared nodata value?"
            )

    def normalised(self, band: Plane, pan: Plane) -> tuple[Normalised, Normalised]:
        """Both, on PAN's grid, as the network takes them."""
        return (
            Normalised(band, self.band_mean, CONTRAST * self.band_deviation),
            Normalised(pan, self.pan_mean, CONTRAST * self.pan_deviation),
        )


class Injected:
    """The sharpened band, by the window: the band, on PAN's grid, and what is finer than it of the fused plane."""

    def __init__(self, grid: Grid, band: Plane, fused: Plane, statistics: PairStatistics) -> None:
        self._resampled, self._fused, self._smooth = grid.up(band), fused, grid.up(grid.down(fused))
        self._gain = INJECTED * statistics.correlation * CONTRAST * statistics.band_deviation
        self.shape = self._resampled.shape

    def __getitem__(self, window: Window) -> Array:
        result: Array = self._resampled[window] + self._gain * (self._fused[window] - self._smooth[window])
        return result
