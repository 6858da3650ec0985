"""The formats that gifnet writes, and what each of them can hold."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError


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


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """The path, if its suffix names a format that gifnet writes. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path}: unknown image suffix {path.suffix!r}; use {', '.join(WRITABLE)}")
    return path
