"""Pan-sharpening of georeferenced rasters, window by window. Extra ``[geo]``."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution.running import Execution
from ..models import Model
from ..options.declarations import NODATA
from ..options.values import Device, Dtype, Memory, Progress, Tile
from .datasets import RasterName, open_raster, rasterio_module
from .grids import Array, windows
from .method import Fuse
from .model import fuse_with
from .output import check_output, output_raster, scratch_beside, write
from .scene import Scene


def pansharpen_files(
    ms: RasterName | Sequence[RasterName],
    pan: RasterName,
    out: str | os.PathLike[str],
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
        ms: the multispectral raster, of any number of bands and any real dtype, or several of one dtype, whose bands
            follow each other in the order given. Any name that GDAL opens (``/vsizip/f.zip/f.tif``,
            ``NETCDF:"f.nc":x``); formats that refer to other files, such as VRT, only if the name says so (``.vrt``).
            An alpha band is a mask.
        pan: the panchromatic one, of one band (and alpha). Transforms place it on ``ms`` (one CRS, no rotation against
            each other); where either has none, they are taken to have the same outer edges.
        out: a ``.tif`` on PAN's grid, with its CRS, transform, RPCs and ground control points (else those of ``ms``, on
            PAN's grid), and the multispectral bands' dtype, descriptions, scales, tags and nodata value. It has an
            alpha band if ``ms`` has one, and a mask if pixels have no data and there is no nodata value. It appears
            whole or not at all. Beside it, the work takes four bytes a pixel of disk space.
        nodata: the value of pixels without data in ``out``, and in rasters that don't say which have none. None: the
            multispectral nodata value, else PAN's if the dtype can hold it, else NaN in floating point. A pixel is
            nodata where PAN is, or where the multispectral pixel that it lies in is, or where there is none. No valid
            pixel gets this value.
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
        InputError: files that are no rasters, or don't belong together; PAN beyond ``ms``, but no nodata value for it;
            no room for the result. Before any work.
        MissingExtraError: rasterio is missing (extra "geo").
    """
    execution, nodata = Execution.checked(tile, memory, progress), NODATA.check(nodata)
    rasterio_module()
    path = check_output(out)
    with (
        _opened(ms, pan, nodata) as scene,
        scratch_beside(path, scene) as scratch,
        output_raster(path, scene) as sink,
    ):
        write(scene, fuse_with(model, device, dtype, execution), sink, scratch)


def pansharpen_array(ms: RasterName | Sequence[RasterName], pan: RasterName, fuse: Fuse) -> Array:
    """``pansharpen_files`` into an array (H, W, C), masked if the file would have an alpha band or a mask."""
    with _opened(ms, pan, None) as scene:
        sharp = np.empty((*scene.shape, len(scene.bands)), scene.dtype)
        for index, window, values in scene.sharpen(fuse):
            sharp[(*window, index)] = values
        if not (scene.has_alpha or scene.needs_mask):
            return sharp
        missing = np.empty(sharp.shape, bool)
        for window in windows(scene.shape):
            missing[window] = ~scene.mask(window)[..., None]
        return np.ma.MaskedArray(sharp, missing)


def names_of(ms: Any) -> list[RasterName] | None:
    """One or several names of rasters as a list; None: something else."""
    if isinstance(ms, (str, os.PathLike)):
        return [ms]
    if isinstance(ms, (list, tuple)) and ms and all(isinstance(one, (str, os.PathLike)) for one in ms):
        return list(ms)
    return None


@contextmanager
def _opened(ms: RasterName | Sequence[RasterName], pan: RasterName, nodata: float | None) -> "Iterator[Scene]":
    names = names_of(ms)
    if names is None:
        kinds = [type(one).__name__ for one in ms] if isinstance(ms, (list, tuple)) else type(ms).__name__
        raise InputError(f"ms: {kinds}; give a path, or a list of paths")
    with ExitStack() as rasters:
        opened = [rasters.enter_context(open_raster(name)) for name in names]
        yield Scene.of(opened, rasters.enter_context(open_raster(pan)), nodata)
