"""The formats that gifnet reads, and those that it writes with what each of them can hold.

Reading goes by a file's content, and only to decoders of this list: nobody expects a ``.png`` to start a program, as
EPS content in it would (Ghostscript). Suffixes only tell which files of a folder are images.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from ..errors import InputError
from ..options.declarations import COMPRESSION, QUALITY
from ..options.values import Compression, Quality

# Pillow's names, and the suffixes that files have. Other formats of Pillow's start programs, are read by plug-ins,
# hold other files of any format, or are no still pixels.
READABLE = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".mpo",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "GIF": (".gif",),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "AVIF": (".avif", ".avifs"),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "PCX": (".pcx",),
    "DCX": (".dcx",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras",),
    "DDS": (".dds",),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "ICO": (".ico",),
    "CUR": (".cur",),
    "ICNS": (".icns",),
    "IM": (".im",),
    "MSP": (".msp",),
    "XBM": (".xbm",),
    "XPM": (".xpm",),
    "BLP": (".blp",),
    "FTEX": (".ftc", ".ftu"),
    "GBR": (".gbr",),
    "PCD": (".pcd",),
    "PIXAR": (".pxr",),
}
_CAMERA_RAWS = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf",
    ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
_OWN = frozenset({".npy", ".heic", ".heif", ".hif", ".dcm", ".exr", ".hdr"})  # read without Pillow
# Developed, or refused with what can be done about it; passed over where a readable image of the same name is there.
RAW_OR_REFUSED = frozenset((*_CAMERA_RAWS, ".eps", ".fit", ".fits", ".jxl"))


def readable_suffixes() -> frozenset[str]:
    """Of the formats that this Pillow reads, in lower case."""
    Image.init()
    formats = ("JPEG" if name == "MPO" else name for name in READABLE)
    found = zip(READABLE.values(), formats, strict=True)
    return _OWN | {suffix for suffixes, name in found if name in Image.OPEN for suffix in suffixes}


def formats_to_open() -> tuple[str, ...]:
    """For ``Image.open``."""
    Image.init()
    return tuple(name for name in READABLE if name in Image.OPEN)


@dataclass(frozen=True)
class Format:
    """What a format that gifnet writes can hold, and how Pillow writes it."""

    name: str  # Pillow's
    deepest: "np.dtype[Any]"
    alpha: bool
    longest: int  # pixels a side
    options: dict[str, Any]


PNG = Format("PNG", np.dtype(np.uint16), True, 2**31 - 1, {})
JPEG = Format("JPEG", np.dtype(np.uint8), False, 65500, {"quality": 95, "subsampling": 0})
TIFF = Format("TIFF", np.dtype(np.float32), True, 2**31 - 1, {"compression": "tiff_deflate"})
WEBP = Format("WEBP", np.dtype(np.uint8), True, 16383, {"quality": 95})
BMP = Format("BMP", np.dtype(np.uint8), False, 2**31 - 1, {})
WRITABLE = {
    ".png": PNG, ".jpg": JPEG, ".jpeg": JPEG, ".tif": TIFF, ".tiff": TIFF, ".webp": WEBP, ".bmp": BMP
}  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """How a format is to be written, where that can be chosen; None is the format's own way."""

    quality: int | Literal["lossless"] | None = None
    compression: int | Literal["deflate", "lzw", "none"] | None = None

    @classmethod
    def checked(cls, quality: Quality, compression: Compression) -> "Encoding":
        """Of the options as users give them. Raises InputError."""
        return cls(QUALITY.check(quality), COMPRESSION.check(compression))

    def check(self, suffix: str) -> None:
        """Raises InputError for what the format of a suffix has no use for."""
        kind = WRITABLE[suffix.lower()]
        fitting = {"lossless": ("WEBP",), int: ("JPEG", "WEBP")}
        if self.quality is not None and kind.name not in fitting[self.quality if self.quality == "lossless" else int]:
            raise InputError(f"quality: {self.quality!r} is not for {suffix}; {_WHICH}")
        if self.compression is not None and kind.name != ("PNG" if isinstance(self.compression, int) else "TIFF"):
            raise InputError(f"compression: {self.compression!r} is not for {suffix}; {_WHICH}")

    def options(self, kind: Format) -> dict[str, Any]:
        """What Pillow is told; of what is chosen, that which the format has a use for."""
        chosen = dict(kind.options)
        if isinstance(self.quality, int) and "quality" in chosen:
            chosen["quality"] = self.quality
        if self.quality == "lossless" and kind is WEBP:
            chosen = {"lossless": True}
        if isinstance(self.compression, int) and kind is PNG:
            chosen["compress_level"] = self.compression
        if isinstance(self.compression, str) and kind is TIFF:
            chosen["compression"] = {"deflate": "tiff_deflate", "lzw": "tiff_lzw", "none": "raw"}[self.compression]
        return chosen

    def describe(self) -> dict[str, Any]:
        """What is chosen, for records."""
        return {name: value for name, value in vars(self).items() if value is not None}


DEFAULT = Encoding()
_WHICH = (
    "quality is for JPEG and WebP ('lossless' for WebP only), compression for PNG (0 to 9) and TIFF ('deflate', 'lzw' "
    "or 'none')"
)


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """The path, if its suffix names a format that gifnet writes. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path}: unknown image suffix {path.suffix!r}; use {', '.join(WRITABLE)}")
    return path
