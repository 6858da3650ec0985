"""What a video is written with: codec, pixel format and quality, by the file's suffix and what is to be written."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .colours import library

DEFAULTS = {  # by suffix: the codec for 8 bits, and for more
    ".mp4": ("libx264", "libx265"),
    ".m4v": ("libx264", "libx265"),
    ".mov": ("libx264", "libx265"),
    ".mkv": ("libx264", "ffv1"),
    ".avi": ("mjpeg", "ffv1"),
    ".webm": ("libvpx-vp9", "libvpx-vp9"),
}
QUALITY: dict[str, dict[str, str]] = {  # near to what can be told from the original
    "libx264": {"crf": "18"},
    "libx265": {"crf": "18", "x265-params": "log-level=none"},
    "libvpx-vp9": {"crf": "22", "b": "0", "row-mt": "1", "cpu-used": "3"},
    "libsvtav1": {"crf": "22"},
    "mjpeg": {"qmin": "2", "qmax": "2"},
    "mpeg4": {"qmin": "2", "qmax": "3"},
    "ffv1": {"level": "3", "slicecrc": "1"},
}
# Preferred pixel formats, for 8 bits and for more; those of sides that are odd numbers have no chroma at half of them.
GREY = ({"ffv1": "gray", "png": "gray"}, {"ffv1": "gray16le"})
COLOUR = ({"ffv1": "bgr0", "png": "rgb24", "mjpeg": "yuvj420p"}, {"ffv1": "gbrp16le"})
EVEN = (("yuv420p", "yuv422p", "yuv444p"), ("yuv420p10le", "yuv422p10le", "yuv444p10le"))
ODD = (("yuv444p", "yuvj444p"), ("yuv444p10le", "yuv444p12le"))


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded."""

    codec: str
    pixel_format: str
    options: dict[str, str] = field(default_factory=dict)


def check_suffix(path: Path) -> Path:
    """The path, if its suffix is one of ``DEFAULTS``. Raises InputError."""
    if path.suffix.lower() not in DEFAULTS:
        raise InputError(f"{path}: videos are written as {', '.join(DEFAULTS)}; give one of these suffixes")
    return path


def check_codec(codec: str) -> Any:
    """The encoder of this name. Raises InputError."""
    av = library()
    try:
        found = av.Codec(codec, "w")
    except (ValueError, av.error.FFmpegError) as error:  # PyAV's error for unknown codecs is a ValueError
        raise InputError(
            f"codec: {codec!r} is no encoder of this PyAV; libx264, libvpx-vp9 or ffv1, perhaps"
        ) from error
    if found.type != "video":
        raise InputError(f"codec: {codec!r} encodes {found.type}, not video")
    return found


def encoding(path: Path, codec: str | None, width: int, height: int, coloured: bool, deep: bool) -> Encoding:
    """For frames of this size, in colour or grey, 8 bits or ``deep``; ``codec`` None: by the suffix.

    Deep frames are rounded where the codec has no more than 8 bits. Raises InputError for a codec that has no pixel
    format for them.
    """
    name = codec or DEFAULTS[path.suffix.lower()][deep]
    known = [kind.name for kind in check_codec(name).video_formats or ()]
    wanted: list[str] = []
    for depth in (True, False) if deep else (False,):
        own = (COLOUR if coloured else GREY)[depth].get(name) or COLOUR[depth].get(name)
        odd = width % 2 or height % 2
        if own is not None and not (odd and own.endswith("420p")):
            wanted.append(own)
        wanted += ODD[depth] if odd else EVEN[depth]
    for pixel_format in wanted:
        if not known or pixel_format in known:
            return Encoding(name, pixel_format, QUALITY.get(name, {}))
    raise InputError(
        f"codec: {name} takes {', '.join(known)}, none of which holds {width}×{height} pixels of such frames; ffv1 in "
        "a .mkv file holds any"
    )
