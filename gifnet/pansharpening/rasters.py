"""Pan-sharpening of georeferenced rasters, window by window, and the subcommand ``gifnet pansharpen``. Extra ``[geo]``.

Nodata pixels (the nodata value, a mask, NaN) have no say in the others: before anything is resampled, they are filled
from valid pixels nearby, and further away with the mean.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution import running as execution
from ..execution.running import Memory, Progress
from ..extras import require
from ..files.atomic import atomic_path
from ..fuser import Fuser
from ..networks.gifnet.plan import Tile
from .arrays import Array, Axis, Fuse, Grid, Model, Window, cast, fuse_with, sharpened, windows

Path_ = str | os.PathLike[str]

BLOCK = 512  # pixels a side of the GeoTIFF's tiles
FILL_DEVIATION = 2.0  # pixels, of the Gaussian by which nodata pixels are filled from valid ones
FILL_REACH = 8  # pixels
FILL_MEAN = 1e-3  # weight of the mean beside them
SLACK = 0.01  # multispectral pixels that a rotation may shift over the whole image


def pansharpen_files(
    ms: Path_,
    pan: Path_,
    out: Path_,
    *,
    nodata: float | None = None,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = None,
    model: Model = BUNDLED,
    device: str = "auto",
    dtype: str = "float32",
) -> None:
    """Pan-sharpen rasters into a tiled GeoTIFF, in memory that does not grow with them. See ``gifnet.pansharpen``.

    Args:
        ms: the multispectral raster: any number of bands, any real dtype, any format that GDAL reads.
        pan: the panchromatic one, of one band. Georeferences place the two on each other (one CRS, no rotation against
            each other); where either has none, they are taken to have the same outer edges.
        out: a ``.tif`` on PAN's grid, with its CRS and transform, and the multispectral bands' dtype, descriptions,
            scales, tags and nodata value. It appears whole or not at all. Beside it, the work takes four bytes a pixel
            of disk space.
        nodata: the value of pixels that have none in ``out``. None: the multispectral nodata value, else PAN's if the
            dtype can hold it, else NaN in floating point. A pixel is nodata where PAN is, or where the multispectral
            pixel that it lies in is, or where there is none. No valid pixel gets this value.
        tile: as for ``gifnet.pansharpen``.
        memory: likewise.
        progress: likewise.
        model: likewise.
        device: likewise.
        dtype: likewise.

    Raises:
        InputError: files that are no rasters, or don't belong together; nodata pixels but no value for them.
        MissingExtraError: rasterio is missing (extra "geo").
    """
    from ..api import load

    rasterio, out = _rasterio(), Path(out)
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{out}: the result is a GeoTIFF; its suffix must be .tif")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist")
    with _opened(ms, pan, nodata) as scene:
        fuse = fuse_with(model if isinstance(model, Fuser) else load(model, device, dtype), tile, memory, progress)
        with tempfile.TemporaryFile(dir=out.parent) as file, atomic_path(out) as temporary:

            def scratch(shape: tuple[int, int]) -> Array:
                _reserve(file, 4 * shape[0] * shape[1], out.parent)
                return np.memmap(file, np.float32, "r+", shape=shape)

            try:
                with rasterio.open(temporary, "w", **scene.profile()) as sink:
                    scene.describe(sink)
                    for index, window, values in scene.sharpen(fuse, scratch):
                        sink.write(values, index + 1, window=_raster_window(window))
            except rasterio.errors.RasterioError as error:
                raise InputError(f"{out}: can't be written ({error.__cause__ or error})") from error


def _reserve(file: Any, size: int, folder: Path) -> None:
    """Make ``file`` that long, in bytes. A full disk shows here: later, it would end the process (SIGBUS)."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except OSError as error:
        raise InputError(f"{folder}: no room for {size} bytes of intermediate results ({error.strerror})") from error


def pansharpen_array(ms: Path_, pan: Path_, fuse: Fuse) -> Array:
    """``pansharpen_files`` into an array (H, W, C) instead of a file."""
    with _opened(ms, pan, None) as scene:
        sharp = np.empty((*scene.pan.shape, scene.ms.count), scene.dtype)
        for index, window, values in scene.sharpen(fuse):
            sharp[(*window, index)] = values
        return sharp


def _rasterio() -> ModuleType:
    for module in ("rasterio.errors", "rasterio.windows"):
        require(module, extra="geo", purpose="reading or writing georeferenced rasters")
    return require("rasterio", extra="geo", purpose="reading or writing georeferenced rasters")


def _raster_window(window: Window) -> Any:
    return _rasterio().windows.Window.from_slices(*window)


@contextmanager
def _opened(ms: Path_, pan: Path_, nodata: float | None) -> "Iterator[Scene]":
    with ExitStack() as files:
        yield Scene.of(files.enter_context(_open(ms)), files.enter_context(_open(pan)), nodata)


@contextmanager
def _open(path: Path_) -> Iterator[Any]:
    import warnings

    rasterio, name = _rasterio(), os.fspath(path)
    if not os.path.exists(name):
        raise InputError(f"{name}: no such file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)  # handled by Scene
        try:
            dataset = rasterio.open(name)
        except rasterio.errors.RasterioError as error:
            raise InputError(f"{name}: can't be read as a raster ({error})") from error
    with dataset:
        if any(np.dtype(dtype).kind not in "uif" for dtype in dataset.dtypes):
            raise InputError(
                f"{name}: bands of {', '.join(sorted(set(dataset.dtypes)))}; give integers or floating point"
            )
        yield dataset


@contextmanager
def _reading(dataset: Any) -> Iterator[None]:
    rasterio = _rasterio()
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
            values: Array = self.dataset.read(self.index, window=_raster_window(window)).astype(np.float64)
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
            mask: Array = dataset.read_masks(index, window=_raster_window(window)) > 0
        return mask & np.isfinite(self.band[window]) if np.dtype(dataset.dtypes[index - 1]).kind == "f" else mask


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


@dataclass(frozen=True)
class Scene:
    """A multispectral raster and its panchromatic one, checked and placed on each other."""

    ms: Any
    pan: Any
    grid: Grid
    transform: Any  # of PAN's grid
    crs: Any
    nodata: float | None

    @classmethod
    def of(cls, ms: Any, pan: Any, nodata: float | None) -> "Scene":
        """Of open datasets. Raises InputError, naming the file, where they can't be sharpened."""
        interpretation = {colour.name for colour in ms.colorinterp}
        if interpretation & {"alpha", "palette"}:
            kind = "an alpha band" if "alpha" in interpretation else "a palette"
            raise InputError(f"{ms.name}: has {kind}; give spectral bands, and a nodata value for pixels without data")
        if len(set(ms.dtypes)) > 1:
            raise InputError(f"{ms.name}: bands of {', '.join(sorted(set(ms.dtypes)))}; give one dtype for all")
        if pan.count != 1:
            raise InputError(
                f"{pan.name}: {pan.count} bands; a panchromatic raster has one (is it the multispectral one?)"
            )
        located = [dataset.crs is not None or not dataset.transform.is_identity for dataset in (ms, pan)]
        grid = _georeferenced(ms, pan) if all(located) else Grid.of_shapes(ms.shape, pan.shape)
        transform, crs = pan.transform, pan.crs
        if located == [True, False]:
            pixel = np.diag([ms.width / pan.width, ms.height / pan.height, 1])
            transform, crs = type(ms.transform)(*(_matrix(ms.transform) @ pixel)[:2].ravel()), ms.crs
        return cls(ms, pan, grid, transform, crs, _nodata(ms, pan, nodata))

    @property
    def dtype(self) -> "np.dtype[Any]":
        """That of all multispectral bands, and of the result."""
        dtype: np.dtype[Any] = np.dtype(self.ms.dtypes[0])
        return dtype

    def profile(self) -> dict[str, Any]:
        """How rasterio is to open the result."""
        return {
            "driver": "GTiff", "width": self.pan.width, "height": self.pan.height, "count": self.ms.count,
            "dtype": self.dtype, "crs": self.crs, "transform": self.transform, "nodata": self.nodata,
            "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "band", "bigtiff": "if_safer",
            "compress": "deflate", "predictor": 3 if self.dtype.kind == "f" else 2,
        }  # fmt: skip

    def describe(self, sink: Any) -> None:
        """Copy what the multispectral raster says of its bands."""
        sink.descriptions, sink.scales, sink.offsets = self.ms.descriptions, self.ms.scales, self.ms.offsets
        sink.colorinterp = self.ms.colorinterp
        for index in range(self.ms.count + 1):  # 0: the file's own
            tags = {key: value for key, value in self.ms.tags(index).items() if not key.startswith("STATISTICS_")}
            sink.update_tags(index, **{key: value for key, value in tags.items() if key != "AREA_OR_POINT"})

    def sharpen(
        self, fuse: Fuse, scratch: Callable[[tuple[int, int]], Array] | None = None
    ) -> Iterator[tuple[int, Window, Array]]:
        """Band numbers (from 0), windows of PAN's grid, and their sharpened values in the result's dtype.

        Raises InputError where pixels have no data, and there is no nodata value.
        """
        pan = Band(self.pan, 1)
        pan_valid = Validity(pan)
        pan_filled = Filled.of(pan, pan_valid)
        for index in range(self.ms.count):
            band = Band(self.ms, index + 1)
            valid = Validity(band)
            both = Both(valid, self.grid.down(pan_valid))
            covered = self.grid.nearest(valid)
            filled = Filled.of(band, valid)
            for window, values in sharpened(fuse, filled, pan_filled, self.grid, both, scratch):
                mask = (covered[window] > 0) & pan_valid[window] & self._inside(window)
                yield index, window, self._packed(values, mask)

    def _inside(self, window: Window) -> Array:
        """Where fine pixels lie in the multispectral raster, or within half of one of its pixels."""
        rows, columns = (
            np.arange(part.start, part.stop) * axis.step + axis.offset
            for part, axis in zip(window, (self.grid.rows, self.grid.columns), strict=True)
        )
        inside = [(c >= -1) & (c <= axis.coarse) for c, axis in ((rows, self.grid.rows), (columns, self.grid.columns))]
        return inside[0][:, None] & inside[1]

    def _packed(self, values: Array, mask: Array) -> Array:
        """In the result's dtype, nodata where ``mask`` is false, and no such value elsewhere."""
        packed = cast(values, self.dtype)
        if self.nodata is not None and np.isfinite(self.nodata):
            value = np.asarray(self.nodata).astype(self.dtype)
            packed[packed == value] = _neighbour(value)
        if not mask.all():
            if self.nodata is None:
                raise InputError(
                    f"{self.ms.name}, {self.pan.name}: some pixels have no data, or lie beyond the multispectral "
                    "raster, and there is no nodata value to mark them; give one (nodata=, --nodata), or crop"
                )
            packed[~mask] = self.nodata
        return packed


@dataclass(frozen=True)
class Both:
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


def _neighbour(value: Array) -> Any:
    """The next value of its dtype: above it, unless there is none."""
    if value.dtype.kind == "f":
        return np.nextafter(value, np.asarray(np.inf, value.dtype))
    return value - 1 if value == np.iinfo(value.dtype).max else value + 1


def _matrix(transform: Any) -> Array:
    """An affine transform as a 3×3 matrix."""
    return np.array([[transform.a, transform.b, transform.c], [transform.d, transform.e, transform.f], [0, 0, 1]])


def _georeferenced(ms: Any, pan: Any) -> Grid:
    """The grids, placed by their transforms. Raises InputError for different CRS, rotation, and no overlap."""
    if ms.crs is not None and pan.crs is not None and ms.crs != pan.crs:
        raise InputError(
            f"{ms.name} is in {ms.crs.to_string()} but {pan.name} in {pan.crs.to_string()}; "
            "reproject the multispectral raster first (gdalwarp, rio warp)"
        )
    to_ms = np.linalg.inv(_matrix(ms.transform)) @ _matrix(pan.transform)  # PAN's pixel corners to multispectral ones
    (across, skew_x, left), (skew_y, down, top) = (tuple(float(x) for x in row) for row in to_ms[:2])
    if max(abs(skew_x) * pan.height, abs(skew_y) * pan.width) > SLACK or min(across, down) <= 0:
        raise InputError(f"{pan.name} is rotated or mirrored against {ms.name}; warp one to the other's axes first")
    if max(across, down) > 1 + 1e-9:
        raise InputError(f"{pan.name}: its pixels are larger than those of {ms.name}; PAN must be the finer (swapped?)")
    rows = Axis(pan.height, ms.height, down, 0.5 * down + top - 0.5)
    columns = Axis(pan.width, ms.width, across, 0.5 * across + left - 0.5)
    for first, end in (rows.overlap(), columns.overlap()):
        if end <= first:
            raise InputError(f"{ms.name} and {pan.name} don't overlap, by their georeferences")
    return Grid(rows, columns)


def _nodata(ms: Any, pan: Any, nodata: float | None) -> float | None:
    """The result's nodata value. Raises InputError for one that the dtype can't hold."""
    dtype = np.dtype(ms.dtypes[0])

    def fits(value: float) -> bool:
        if dtype.kind == "f":
            return True
        return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max

    if nodata is not None and not fits(nodata):
        raise InputError(f"nodata: {nodata:g} is no value of {dtype}, the dtype of {ms.name}")
    for value in (nodata, ms.nodata, pan.nodata):
        if value is not None and fits(value):
            return float(value)
    return float("nan") if dtype.kind == "f" else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``gifnet pansharpen``."""
    parser.add_argument("ms", metavar="MS", help="the multispectral raster, of any number of bands")
    parser.add_argument("pan", metavar="PAN", help="the panchromatic raster of the same scene")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.tif", help="a tiled GeoTIFF on PAN's grid")
    parser.add_argument("--nodata", type=float, help="value of pixels without data (default: that of MS, else PAN)")
    parser.add_argument(
        "--model", default=BUNDLED, help="'gifnet' (bundled, default), a .safetensors file, or org/name[@revision]"
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--dtype", default="float32", help="float32 (default), float16 or bfloat16, which lose detail")
    execution.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run ``gifnet pansharpen``; returns the exit status. Raises as ``pansharpen_files``."""
    named = {name: getattr(args, name) for name in ("nodata", "model", "device", "dtype")}
    pansharpen_files(args.ms, args.pan, args.output, **named, **execution.chosen(args))
    return 0
