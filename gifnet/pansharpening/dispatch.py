"""``gifnet.pansharpen``: arrays, tensors or paths."""

import os
from typing import Any

import torch

from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution.memory import Memory
from ..execution.plan import Tile
from ..execution.progress import Progress
from .arrays import pansharpen_arrays, pansharpen_tensors
from .model import Model, fuse_with
from .rasters import pansharpen_array


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
    """Give every band of a multispectral image the detail of the panchromatic one. See ``pansharpening.method``.

    Args:
        ms: the multispectral image: an array (H, W, C) or (H, W), or a tensor (C, H, W) or (B, C, H, W); any number of
            bands, any integer or floating-point dtype, on any scale (digital numbers, reflectance).
        pan: the panchromatic image of the same extent: an array (H', W') or (H', W', 1), or a tensor (1, H', W') or
            (B, 1, H', W'); dtype and scale may differ from ``ms``'s. The ratio H' / H is 1 or more, and need not be
            whole. Pixels are areas: both images' outer edges coincide, not the centres of their corner pixels.
            ``ms`` and ``pan`` may both be paths of rasters instead (extra ``[geo]``), placed by their georeferences,
            nodata respected as in ``gifnet.pansharpening.rasters.pansharpen_files``.
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
        ImportError: paths, without rasterio.
    """
    fuse = fuse_with(model, device, dtype, tile, memory, progress)
    paths = [isinstance(image, (str, os.PathLike)) for image in (ms, pan)]
    if all(paths):
        return pansharpen_array(ms, pan, fuse)
    if any(paths):
        raise InputError("ms, pan: one is a path, the other is not; give two paths or two arrays")
    return pansharpen_tensors(ms, pan, fuse) if isinstance(ms, torch.Tensor) else pansharpen_arrays(ms, pan, fuse)
