"""Pan-sharpening of georeferenced rasters, window by window. Extra ``[geo]``."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution.running import Execution
from ..files.atomic import atomic_path
from ..models import Model
from ..options.declarations import NODATA
from ..options.values import Device, Dtype, Memory, Progress, Tile
from .bands import raster_window, rasterio_module
from .grids import Array
from .method import Fuse
from .model import fuse_with
from .scene import Scene

Path_ = str | os.PathLike[str]


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
    device: Device = "auto",
    dtype: Dtype = "float32",
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
        tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the whole
            image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
        progress: True: a progress bar on stderr; a function of the steps done and their number, which may end the work
            with an exception; False: neither; None: a bar on a terminal, after two seconds. It begins anew with every
            band.
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"float32"``, ``"float16"`` or ``"bfloat16"``. At the low contrast of this
            work, the shorter ones lose detail.

    Raises:
        InputError: files that are no rasters, or don't belong together; nodata pixels but no value for them.
        MissingExtraError: rasterio is missing (extra "geo").
    """
    execution, nodata = Execution.checked(tile, memory, progress), NODATA.check(nodata)
    rasterio, out = rasterio_module(), Path(out)
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{out}: the result is a GeoTIFF; its suffix must be .tif")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist")
    with _opened(ms, pan, nodata) as scene:
        fuse = fuse_with(model, device, dtype, execution)
        with tempfile.TemporaryFile(dir=out.parent) as file, atomic_path(out) as temporary:

            def scratch(shape: tuple[int, int]) -> Array:
                _reserve(file, 4 * shape[0] * shape[1], out.parent)
                return np.memmap(file, np.float32, "r+", shape=shape)

            try:
                with rasterio.open(temporary, "w", **scene.profile()) as sink:
                    scene.describe(sink)
                    for index, window, values in scene.sharpen(fuse, scratch):
                        sink.write(values, index + 1, window=raster_window(window))
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


@contextmanager
def _opened(ms: Path_, pan: Path_, nodata: float | None) -> "Iterator[Scene]":
    with ExitStack() as files:
        yield Scene.of(files.enter_context(_open(ms)), files.enter_context(_open(pan)), nodata)


@contextmanager
def _open(path: Path_) -> Iterator[Any]:
    rasterio, name = rasterio_module(), os.fspath(path)
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
