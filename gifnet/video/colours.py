"""Frames of PyAV to arrays and back: which matrix, which range, how many bits.

FFmpeg's swscale converts, and is told both matrix and range; left to itself it takes every video for BT.601. Where a
file doesn't say, what players take for granted is taken: BT.709 from 720 lines, BT.601 below; limited range for YUV,
full range for RGB and grey.
"""

from typing import Any, TypeAlias

import numpy as np

from ..extras import require

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"  # (H, W) or (H, W, 3), uint8 or uint16
Frame: TypeAlias = Any  # av.VideoFrame

LIMITED, FULL = 1, 2  # AVColorRange
BT709 = 1  # AVColorSpace, AVColorPrimaries and AVColorTransferCharacteristic alike
BT601 = 5  # AVColorSpace
HD_LINES = 720  # from which on BT.709 is taken for granted
# swscale's flags (libswscale/swscale.h): bicubic, full chroma in and out, rounded rather than cut.
ACCURATE = 0x4 | 0x2000 | 0x4000 | 0x40000
SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # its numbers of matrices, by AVColorSpace


def library() -> Any:
    """PyAV. Raises MissingExtraError."""
    return require("av", extra="video", purpose="reading and writing videos")


def pixels_of(frame: Frame) -> Array:
    """A decoded frame as R, G, B (H, W, 3), or grey (H, W), upright; uint8, or uint16 over the whole range if deeper.

    Alpha is not kept.
    """
    deep = max(component.bits for component in frame.format.components) > 8
    name: str = frame.format.name
    if name.startswith(("gray", "mono")):
        pixels = _grey(frame, "gray16le" if deep else "gray")
    elif frame.format.is_rgb or name == "pal8":
        pixels = frame.reformat(format="rgb48le" if deep else "rgb24").to_ndarray()
    else:
        matrix = _matrix(frame)
        full = frame.color_range == FULL or name.startswith("yuvj")
        pixels = _converted(frame, "rgb48le" if deep else "rgb24", matrix, FULL if full else LIMITED, FULL).to_ndarray()
    turns = round(frame.rotation / 90) % 4  # counterclockwise, as np.rot90 turns
    return np.ascontiguousarray(np.rot90(pixels, turns))


def frame_of(pixels: Array, pixel_format: str) -> Frame:
    """A frame to encode, of R, G, B or grey as ``pixels_of`` gives them; its matrix and range are tagged.

    YUV is BT.709 in limited range, but BT.601 in full range for the formats called yuvj, as JPEG has it; grey and RGB
    have the full range.
    """
    av = library()
    deep = pixels.dtype == np.uint16
    if pixel_format.startswith("gray"):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray16le" if deep else "gray")
        frame = frame if frame.format.name == pixel_format else frame.reformat(format=pixel_format)
        frame.color_range = FULL
        return frame
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(colour), format="rgb48le" if deep else "rgb24")
    if av.VideoFormat(pixel_format).is_rgb:
        return frame if frame.format.name == pixel_format else frame.reformat(format=pixel_format)
    colourspace, full = tags(pixel_format)
    frame = _converted(frame, pixel_format, SWSCALE[colourspace], FULL, FULL if full else LIMITED)
    frame.colorspace, frame.color_range = colourspace, FULL if full else LIMITED
    return frame


def tags(pixel_format: str) -> tuple[int, bool]:
    """The AVColorSpace that ``frame_of`` writes YUV of this format with, and whether in full range."""
    return (BT601, True) if pixel_format.startswith("yuvj") else (BT709, False)


def _matrix(frame: Frame) -> int:
    return SWSCALE.get(int(frame.colorspace)) or SWSCALE[BT709 if frame.height >= HD_LINES else BT601]


def _converted(frame: Frame, pixel_format: str, matrix: int, source_range: int, result_range: int) -> Frame:
    return frame.reformat(
        format=pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=source_range,
        dst_color_range=result_range,
        interpolation=ACCURATE,
    )


def _grey(frame: Frame, pixel_format: str) -> Array:
    limited = frame.color_range == LIMITED
    frame = frame if frame.format.name == pixel_format else frame.reformat(format=pixel_format)
    grey: Array = frame.to_ndarray()
    if not limited:
        return grey
    top = 255 if grey.dtype == np.uint8 else 65535
    unit = (grey.astype(np.float32) * (255 / top) - 16) / 219
    return np.asarray((unit.clip(0, 1) * top).round().astype(grey.dtype))
