"""Pan-sharpening: every band of a multispectral image takes on the detail of the panchromatic one.

Band by band, with ``M`` the band resampled to PAN's grid (bicubic), ``m``, ``s`` the band's mean and deviation, ``p``,
``t`` those of PAN brought down to the band's resolution, and ``r`` the correlation of the two:

1. The network fuses ``a = (M - m) / (80·s) + 1/2`` with ``b = (PAN - p) / (80·t) + 1/2``: PAN in the band's radiometry.
   At this low contrast the network takes over detail without exaggerating it.
2. Of the fused plane ``F``, only what is finer than the band is used: ``D = F - up(down(F))``.
3. The sharpened band is ``M + r·80·s·D``; where ``r`` is not positive, it is ``M``.

So the radiometry is the band's own, since only what is too fine for its pixels comes from elsewhere; and a band that
PAN says little about takes little from it. ``down`` is a Gaussian whose response at the coarse grid's Nyquist frequency
is 0.3, as sensors have it (Aiazzi et al., 2006, of whose scheme of injection this is one); ``up`` is cubic convolution
(Keys, 1981).

Everything works on windows: a band may be anything with a ``shape`` (H, W) that gives arrays when sliced.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..api import load
from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution.running import Execution, Memory, Progress
from ..fuser import Fuser
from ..networks.gifnet.plan import Tile
from ..regions import Region, Sink, Source

Array: TypeAlias = "np.ndarray[Any, Any]"
Window: TypeAlias = tuple[slice, slice]  # rows, columns
Model: TypeAlias = "str | os.PathLike[str] | Fuser"

CONTRAST = 80.0  # full scale of what the network sees, in deviations of the band
NYQUIST_RESPONSE = 0.3
WINDOW = 512  # pixels a side, of what is worked on at once


Fuse: TypeAlias = Callable[[Source, Sink, int, int], None]  # as Fuser.fuse_regions


class Plane(Protocol):
    """Numbers on a grid, read by the window."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""

    def __getitem__(self, window: Window, /) -> Array: ...


class Target(Protocol):
    """What a window can be assigned to."""

    def __setitem__(self, window: Window, values: Array, /) -> None: ...


def pansharpen(
    ms: Any,
    pan: Any,
    *,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = None,
    model: Model = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "float32",
) -> Any:
    """Give every band of a multispectral image the detail of the panchromatic one. The method: ``gifnet.pansharpen``.

    Args:
        ms: the multispectral image: an array (H, W, C) or (H, W), or a tensor (C, H, W) or (B, C, H, W); any number of
            bands, any integer or floating-point dtype, on any scale (digital numbers, reflectance).
        pan: the panchromatic image of the same extent: an array (H', W') or (H', W', 1), or a tensor (1, H', W') or
            (B, 1, H', W'); dtype and scale may differ from ``ms``'s. The ratio H' / H is 1 or more, and need not be
            whole. Pixels are areas: both images' outer edges coincide, not the centres of their corner pixels.
            ``ms`` and ``pan`` may both be paths of rasters instead (extra ``[geo]``), placed by their georeferences,
            nodata respected as in ``gifnet.geo.pansharpen_files``.
        tile: as for ``gifnet.fuse``.
        memory: likewise, for the network's work.
        progress: likewise; told anew for every band.
        model: as for ``gifnet.fuse``, or a ``Fuser``, which brings its own device and precision.
        device: as for ``gifnet.fuse``.
        dtype: the precision to compute in; float32, since at the low contrast used here shorter ones lose detail.

    Returns:
        The sharpened bands on ``pan``'s grid, in ``ms``'s kind and dtype, (H', W', C), or as ``ms`` is shaped; integers
        are rounded and limited to their dtype. Paths give an array (H', W', C).

    Raises:
        InputError: what is no multispectral or panchromatic image; sizes that don't belong together; NaN.
        MissingExtraError: paths, without rasterio (extra "geo").
    """
    fuse = fuse_with(model if isinstance(model, Fuser) else load(model, device, dtype), tile, memory, progress)
    paths = [isinstance(image, (str, os.PathLike)) for image in (ms, pan)]
    if all(paths):
        from .rasters import pansharpen_array

        return pansharpen_array(ms, pan, fuse)
    if any(paths):
        raise InputError("ms, pan: one is a path, the other is not; give two paths or two arrays")
    return _pansharpen_tensors(ms, pan, fuse) if isinstance(ms, torch.Tensor) else _pansharpen_arrays(ms, pan, fuse)


def fuse_with(fuser: Fuser, tile: Tile, memory: Memory, progress: Progress) -> Fuse:
    """The model, and how it is to run. Raises InputError for options that are none."""
    execution = Execution(tile, memory, progress)
    execution.check()
    return partial(fuser.fuse_regions, execution=execution)


def _pansharpen_tensors(ms: torch.Tensor, pan: Any, fuse: Fuse) -> torch.Tensor:
    if ms.ndim not in (3, 4):
        raise InputError(f"ms: tensor of shape {tuple(ms.shape)}; give (C, H, W) or (B, C, H, W)")
    if not isinstance(pan, torch.Tensor) or pan.shape[:-3] != ms.shape[:-3] or pan.ndim != ms.ndim:
        shape = tuple(pan.shape) if isinstance(pan, torch.Tensor) else type(pan).__name__
        raise InputError(f"ms is a tensor of shape {tuple(ms.shape)} but pan {shape}; give as many dimensions of each")
    if ms.ndim == 4:
        return torch.stack([_pansharpen_tensors(one, its, fuse) for one, its in zip(ms, pan, strict=True)])
    bands, grey = (image.detach().cpu().movedim(0, -1) for image in (ms, pan))
    if ms.dtype is torch.bfloat16:  # numpy has none
        bands = bands.float()
    grey = grey.float() if pan.dtype is torch.bfloat16 else grey
    sharpened = torch.from_numpy(_pansharpen_arrays(bands.numpy(), grey.numpy(), fuse))
    return sharpened.movedim(-1, 0).to(ms.device, ms.dtype)


def _pansharpen_arrays(ms: Any, pan: Any, fuse: Fuse) -> Array:
    bands = check_array(ms, "ms")
    grey = check_array(pan, "pan")
    if grey.shape[2] != 1:
        raise InputError(f"pan: {grey.shape[2]} bands; a panchromatic image has one (is it the multispectral one?)")
    grid = Grid.of_shapes(bands.shape[:2], grey.shape[:2])
    sharp = np.empty((*grey.shape[:2], bands.shape[2]), bands.dtype)
    for index in range(bands.shape[2]):
        for window, values in sharpened(fuse, bands[..., index], grey[..., 0], grid):
            sharp[(*window, index)] = cast(values, bands.dtype)
    return sharp[..., 0] if ms.ndim == 2 else sharp


def check_array(array: Any, name: str) -> Array:
    """The array as (H, W, C). Raises InputError for what is none, or holds no finite real numbers."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: {type(array).__name__} is no raster; give an array, a tensor, or two paths")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(f"{name}: array of shape {array.shape}; give (H, W) or (H, W, bands)")
    if array.dtype.kind not in "uif":
        raise InputError(f"{name}: dtype {array.dtype}; give integers or floating point")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name}: holds NaN or infinite values; replace them, or give files that declare nodata")
    return array if array.ndim == 3 else array[..., None]


def cast(values: Array, dtype: "np.dtype[Any]") -> Array:
    """float64 to ``dtype``: integers rounded, and limited to the dtype's range."""
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.rint(values).clip(limits.min, limits.max).astype(dtype)


# --- grids ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taps:
    """What a stretch of resampled pixels along one axis is computed from."""

    indices: Array  # (pixels, taps) of the source; beyond its ends, the last pixel again
    weights: Array  # likewise; each row's sum is 1


@dataclass(frozen=True)
class Axis:
    """One axis of two grids: the centre of fine pixel ``j`` lies at ``step·j + offset`` in coarse pixels' numbers."""

    fine: int  # pixels
    coarse: int
    step: float  # coarse pixels per fine one, at most 1
    offset: float

    @property
    def reach(self) -> int:
        """How many fine pixels to either side ``down`` looks."""
        return int(np.ceil(4 * self.deviation + 0.5))

    @property
    def deviation(self) -> float:
        """Of the Gaussian of ``down``, in fine pixels."""
        return float(np.sqrt(-2 * np.log(NYQUIST_RESPONSE)) / np.pi / self.step)

    def up(self, start: int, stop: int) -> Taps:
        """Fine pixels ``start`` to ``stop - 1`` by cubic convolution of coarse ones (Keys, 1981, a = -1/2)."""
        centres = np.arange(start, stop) * self.step + self.offset
        indices = np.floor(centres).astype(int)[:, None] + np.arange(-1, 3)
        near = np.abs(indices - centres[:, None])
        inner = (1.5 * near - 2.5) * near**2 + 1
        outer = ((2.5 - 0.5 * near) * near - 4) * near + 2
        return Taps(indices.clip(0, self.coarse - 1), np.where(near < 1, inner, outer))

    def down(self, start: int, stop: int) -> Taps:
        """Coarse pixels ``start`` to ``stop - 1`` by a Gaussian over fine ones."""
        centres = (np.arange(start, stop) - self.offset) / self.step
        indices = np.rint(centres).astype(int)[:, None] + np.arange(-self.reach, self.reach + 1)
        distances = (indices - centres[:, None]) / self.deviation
        weights = np.where(np.abs(distances) <= 4, np.exp(-0.5 * distances**2), 0)
        return Taps(indices.clip(0, self.fine - 1), weights / weights.sum(axis=1, keepdims=True))

    def nearest(self, start: int, stop: int) -> Taps:
        """Fine pixels ``start`` to ``stop - 1``: the coarse pixel that each lies in."""
        indices = np.rint(np.arange(start, stop) * self.step + self.offset).astype(int)[:, None]
        return Taps(indices.clip(0, self.coarse - 1), np.ones(indices.shape))

    def overlap(self) -> tuple[int, int]:
        """The first coarse pixel whose centre lies within the fine grid, and the one after the last."""
        first = int(np.ceil(self.offset - 0.5 * self.step))
        last = int(np.floor(self.offset + (self.fine - 0.5) * self.step))
        return max(0, first), min(self.coarse, last + 1)


@dataclass(frozen=True)
class Grid:
    """A multispectral image's grid (coarse) and PAN's (fine)."""

    rows: Axis
    columns: Axis

    @classmethod
    def of_shapes(cls, ms: Sequence[int], pan: Sequence[int]) -> "Grid":
        """The grids of images (H, W) with the same outer edges. Raises InputError for shapes that can't have them."""
        steps = [coarse / fine for coarse, fine in zip(ms, pan, strict=True)]
        if max(steps) > 1:
            raise InputError(
                f"pan is {pan[1]}×{pan[0]} pixels and ms {ms[1]}×{ms[0]}: pan must be the finer (swapped?)"
            )
        if abs(pan[0] * ms[1] - pan[1] * ms[0]) > max(pan):  # more than a multispectral pixel
            raise InputError(
                f"pan is {pan[1]}×{pan[0]} pixels and ms {ms[1]}×{ms[0]}, ratios of {1 / steps[1]:.3g} and "
                f"{1 / steps[0]:.3g}: they can't be of one extent; crop them to it"
            )
        axes = [
            Axis(fine, coarse, coarse / fine, 0.5 * coarse / fine - 0.5) for coarse, fine in zip(ms, pan, strict=True)
        ]
        return cls(*axes)

    def up(self, coarse: Plane) -> "Resampled":
        """A plane of the coarse grid on the fine one."""
        return Resampled(coarse, self.rows.up, self.columns.up, (self.rows.fine, self.columns.fine))

    def down(self, fine: Plane) -> "Resampled":
        """A plane of the fine grid on the coarse one."""
        return Resampled(fine, self.rows.down, self.columns.down, (self.rows.coarse, self.columns.coarse))

    def nearest(self, coarse: Plane) -> "Resampled":
        """A plane of the coarse grid on the fine one, without interpolation."""
        return Resampled(coarse, self.rows.nearest, self.columns.nearest, (self.rows.fine, self.columns.fine))


@dataclass(frozen=True)
class Resampled:
    """A plane on another grid, computed when read, and the same in whatever windows it is read."""

    source: Plane
    rows: Callable[[int, int], Taps]
    columns: Callable[[int, int], Taps]
    shape: tuple[int, int]

    def __getitem__(self, window: Window) -> Array:
        rows = self.rows(*window[0].indices(self.shape[0])[:2])
        columns = self.columns(*window[1].indices(self.shape[1])[:2])
        top, left = int(rows.indices.min()), int(columns.indices.min())
        values = self.source[top : int(rows.indices.max()) + 1, left : int(columns.indices.max()) + 1]
        values = _weighted(values.astype(np.float64), rows.indices - top, rows.weights)
        return _weighted(values.T, columns.indices - left, columns.weights).T


def _weighted(values: Array, indices: Array, weights: Array) -> Array:
    """Rows of ``values``, summed by taps; tap by tap, so that the result does not depend on the window."""
    total = np.zeros((len(indices), values.shape[1]))
    for index, weight in zip(indices.T, weights.T, strict=True):
        total += values[index] * weight[:, None]
    return total


@dataclass(frozen=True)
class Normalised:
    """``(source - mean) / scale + 1/2``, limited to [0, 1], float32: what the network takes."""

    source: Plane
    mean: float
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """That of the source."""
        return self.source.shape

    def __getitem__(self, window: Window) -> Array:
        values = (self.source[window].astype(np.float64) - self.mean) / self.scale + 0.5
        return values.clip(0, 1).astype(np.float32)


def windows(shape: tuple[int, int], size: int = WINDOW) -> Iterator[Window]:
    """Windows of at most ``size`` pixels a side that cover a plane, row by row."""
    for top in range(0, shape[0], size):
        for left in range(0, shape[1], size):
            yield slice(top, min(top + size, shape[0])), slice(left, min(left + size, shape[1]))


# --- the method -----------------------------------------------------------------------------------


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
    resampled = grid.up(band)
    if statistics.correlation <= 0:
        for window in windows(pan.shape):
            yield window, resampled[window]
        return
    a = Normalised(resampled, statistics.band_mean, CONTRAST * statistics.band_deviation)
    b = Normalised(pan, statistics.pan_mean, CONTRAST * statistics.pan_deviation)
    fused = np.empty(pan.shape, np.float32) if scratch is None else scratch(pan.shape)
    _fuse_lazily(fuse, a, b, fused)
    smooth = grid.up(grid.down(fused))
    gain = statistics.correlation * CONTRAST * statistics.band_deviation
    for window in windows(pan.shape):
        yield window, resampled[window] + gain * (fused[window] - smooth[window])


def _fuse_lazily(fuse: Fuse, a: Plane, b: Plane, out: Target) -> None:
    """Fuse two planes of float32 in [0, 1] and of one shape, read by the window, into ``out``."""

    def source(region: Region) -> Tensor:
        window = (slice(region.top, region.bottom), slice(region.left, region.right))
        return torch.from_numpy(np.stack([a[window], b[window]])[None])

    def sink(region: Region, values: Tensor) -> None:
        out[slice(region.top, region.bottom), slice(region.left, region.right)] = values[0, 0].cpu().numpy()

    fuse(source, sink, *a.shape)


@dataclass(frozen=True)
class PairStatistics:
    """Of a band and of PAN at the band's resolution."""

    band_mean: float
    band_deviation: float
    pan_mean: float
    pan_deviation: float
    correlation: float  # 0 where either is constant

    @classmethod
    def of(cls, band: Plane, pan: Plane, grid: Grid, valid: Plane | None = None) -> "PairStatistics":
        """Gathered by the window (Chan, Golub and LeVeque, 1979) where the grids overlap and ``valid`` is true."""
        (top, bottom), (left, right) = grid.rows.overlap(), grid.columns.overlap()
        count, mean, moments = 0, np.zeros(2), np.zeros((2, 2))
        for rows, columns in windows((bottom - top, right - left)):
            window = (slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop))
            pairs = np.stack([band[window], pan[window]]).astype(np.float64).reshape(2, -1)
            if valid is not None:
                pairs = pairs[:, valid[window].ravel() > 0]
            if pairs.shape[1]:
                added, own = pairs.shape[1], pairs.mean(axis=1)
                centred, shift = pairs - own[:, None], own - mean
                moments += centred @ centred.T + np.outer(shift, shift) * (count * added / (count + added))
                mean += shift * (added / (count + added))
                count += added
        band_deviation, pan_deviation = np.sqrt(moments.diagonal() / max(count, 1))
        # Rounding alone gives a constant some deviation.
        flat = band_deviation <= 1e-9 * abs(mean[0]) or pan_deviation <= 1e-9 * abs(mean[1])
        correlation = 0.0 if flat else moments[0, 1] / np.sqrt(moments[0, 0] * moments[1, 1])
        return cls(*(float(value) for value in (mean[0], band_deviation, mean[1], pan_deviation, correlation)))
