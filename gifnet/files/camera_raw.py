"""Camera raws, developed by rawpy (LibRaw): the extra ``[raw]``."""

from typing import BinaryIO

import numpy as np

from ..extras import require
from .limits import check_pixels, check_whole
from .raster import Raster

SRGB = (2.4, 12.92)  # gamma and slope of its curve


def read(file: BinaryIO, name: str) -> Raster:
    """(H, W, 3) uint16: sRGB with the camera's white balance, upright.

    Saturation is white and nothing is brightened, so that frames of one exposure look alike. Raises MissingExtraError.
    """
    rawpy = require("rawpy", "raw", f"{name}: a camera raw")
    check_whole(file, name)
    with rawpy.imread(file) as raw:
        check_pixels(raw.sizes.width, raw.sizes.height, name)
        developed = raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16, gamma=SRGB)
    array = np.asarray(developed, np.uint16)
    return Raster(array if array.ndim == 3 else array[..., None])
