"""Images of linear light without an upper end: OpenEXR (the extra ``[exr]``) and Radiance HDR (``[files]``).

Colour is encoded by sRGB's curve, which goes on above 1, as other files are. Where values exceed 1, ``stretch`` says
what becomes white.
"""

from typing import BinaryIO

import numpy as np

from ..errors import InputError
from ..extras import require
from .limits import check_pixels, check_whole
from .raster import Array, Raster


def read_exr(file: BinaryIO, name: str) -> Raster:
    """(H, W, C) float32, of the first part: R, G, B (and A, unless it is 1 throughout), or one channel as it is."""
    openexr = require("OpenEXR", "exr", f"{name}: OpenEXR")
    check_whole(file, name)
    with openexr.File(file, header_only=True) as header:
        low, high = header.header()["dataWindow"]
        check_pixels(int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1, name)
    file.seek(0)
    with openexr.File(file, separate_channels=True) as opened:
        if not opened.parts:
            raise InputError(f"{name}: damaged; the OpenEXR's pixels can't be decoded")
        channels = {key: np.array(channel.pixels, np.float32) for key, channel in opened.channels().items()}
    planes = [channels[key] for key in "RGB" if key in channels]
    if len(planes) < 3:
        if "Y" not in channels and len(channels) != 1:
            raise InputError(f"{name}: OpenEXR of the channels {', '.join(channels)}; R, G and B, or one are read")
        return Raster(channels.get("Y", next(iter(channels.values())))[..., None])
    if len({plane.shape for plane in planes}) > 1:
        raise InputError(f"{name}: OpenEXR of channels of different sizes; save them at full size")
    alpha = channels.get("A")
    colour: Array = np.stack(planes, axis=-1)
    if alpha is None or bool((alpha == 1).all()):
        return Raster(encoded(colour))
    colour = colour / np.maximum(alpha, 1e-6)[..., None]  # it comes multiplied by alpha
    return Raster(np.concatenate([encoded(colour), alpha[..., None].clip(0, 1)], axis=-1))


def read_hdr(file: BinaryIO, name: str) -> Raster:
    """(H, W, 3) float32."""
    imagecodecs = require("imagecodecs", "files", f"{name}: Radiance HDR")
    check_whole(file, name)
    content = file.read()
    check_pixels(*_hdr_size(content, name), name)
    return Raster(encoded(np.asarray(imagecodecs.rgbe_decode(content), np.float32)))


def encoded(light: Array) -> Array:
    """Linear light by sRGB's curve; NaN stays, and what is below 0 is 0."""
    light = np.maximum(light, 0)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def _hdr_size(content: bytes, name: str) -> tuple[int, int]:
    """Width and height: ``-Y 600 +X 800`` after an empty line."""
    line = content.partition(b"\n\n")[2].partition(b"\n")[0].split()
    if len(line) != 4 or line[0] != b"-Y" or line[2] != b"+X":
        raise InputError(f"{name}: Radiance HDR that is turned or damaged; save it upright")
    return int(line[3]), int(line[1])
