"""``gifnet.pansharpen``: arrays, tensors, paths, Dask arrays and DataArrays."""

import os
from typing import Any

import torch

from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution.context import in_plain_context
from ..execution.running import Execution
from ..models import Model, fuser_of
from ..options.values import Device, Dtype, Memory, Progress, Tile
from .arrays import pansharpen_arrays, pansharpen_tensors
from .lazily import is_for_dask, pansharpen_lazily
from .model import fuse_with
from .rasters import names_of, pansharpen_array


@in_plain_context
def pansharpen(
    ms: Any,
    pan: Any,
    *,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> Any:
    """Give every band of a multispectral image the detail of the panchromatic one. See ``pansharpening.method``.

    Args:
        ms: the multispectral image: an array (H, W, C) or (H, W), or a tensor (C, H, W) or (B, C, H, W); any number of
            bands, any integer or floating-point dtype, on any scale (digital numbers, reflectance).
        pan: the panchromatic image of the same extent: an array (H', W') or (H', W', 1), or a tensor (1, H', W') or
            (B, 1, H', W'); dtype and scale may differ from ``ms``'s. The ratio H' / H is 1 or more, and need not be
            whole. Pixels are areas: both images' outer edges coincide, not the centres of their corner pixels.
            Masked arrays (``numpy.ma``): masked pixels have no data. ``ms`` and ``pan`` may both be paths of rasters
            instead (extra ``[geo]``), ``ms`` also a list of them, as in
            ``gifnet.pansharpening.rasters.pansharpen_files``. Dask arrays, of which the result is a lazy one, or two
            ``xarray.DataArray``, which keep coordinates, CRS and nodata (extra ``[dask]``, docs/cluster.md).
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

    Returns:
        The sharpened bands on ``pan``'s grid, in ``ms``'s kind and dtype, (H', W', C), or as ``ms`` is shaped; integers
        are rounded, and everything is limited to the dtype's range (values are computed in float64, exact up to
        2⁵³). Of masked arrays, a masked array: masked where ``pan`` is, or the pixel of ``ms`` that it lies in. Paths
        give an array (H', W', C), masked if the rasters have an alpha band or a mask but no nodata value.

    Raises:
        InputError: what is no multispectral or panchromatic image; sizes that don't belong together; NaN.
        MissingExtraError: paths, without rasterio (extra "geo").
    """
    execution = Execution.checked(tile, memory, progress)
    if is_for_dask(ms, pan):
        return pansharpen_lazily(ms, pan, fuser_of(model, device, dtype), execution)
    fuse = fuse_with(model, device, dtype, execution)
    names = names_of(ms)
    if names is not None and isinstance(pan, (str, os.PathLike)):
        return pansharpen_array(names, pan, fuse)
    if names is not None or isinstance(pan, (str, os.PathLike)):
        raise InputError("ms, pan: one is a path, the other is not; give two paths or two arrays")
    return pansharpen_tensors(ms, pan, fuse) if isinstance(ms, torch.Tensor) else pansharpen_arrays(ms, pan, fuse)
