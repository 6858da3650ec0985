"""Fusing and enhancing image files into files, with their depth, alpha and metadata.

Three steps that may run in different threads: ``read_image``, then ``Fuser.fuse`` or ``Fuser.enhance`` of what it
gives, then ``write_image`` of what these give.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..api import load
from ..checkpoints.hub import BUNDLED
from ..files.raster import Raster
from ..files.writing import check_content, check_output
from ..files.writing import write_file as write_image
from ..images.picture import PictureInfo
from ..images.reading import read_for_writing as read_image

__all__ = ["check_result", "enhance_file", "fuse_files", "read_image", "write_image"]

FilePath = str | os.PathLike[str]


def fuse_files(
    a: FilePath,
    b: FilePath,
    out: FilePath,
    *more: FilePath,
    page: int | None = None,
    model: FilePath = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    **options: Any,
) -> Path:
    """Fuse two aligned image files of one scene, or a stack of more, into another file.

    Depth is kept: 16 bits a channel in give 16 bits out, floating point gives floating point, and of two depths the
    greater one decides (uint8 < uint16 < float32; floating point of any width counts as float32). Where the format of
    ``out`` holds less (JPEG, WebP and BMP 8 bits, PNG 16), pixels are rounded to what it holds. Alpha is kept, and
    the EXIF data and ICC profile of the first input in colour (of ``a``, if both are grey), with the orientation
    applied and reset, wherever the format has a place for them (BMP has none, WebP and JPEG up to 64 KB of EXIF).

    Args:
        a: an image file: PNG, TIFF, JPEG, WebP, BMP, or whatever else Pillow reads. 16-bit or floating-point colour
            and alpha need the extra ``[files]``.
        b: likewise, of the same height and width.
        out: the file to write; its suffix is the format. It appears whole or not at all, at the end, so it may be
            one of the inputs, which is then replaced.
        more: the further files of a stack; of three or more, only the first two are held while the rest is read.
        page: which image of an input that holds several (0 is the first); without it, such a file is refused.
        model: as ``name_or_path`` of ``load``.
        device: as for ``load``.
        dtype: as for ``load``.
        options: as for ``fuse``.

    Returns:
        The path written.

    Raises:
        InputError: as for ``fuse``, and an output that can't be written or can't hold the result.
        CheckpointError: see ``load``.
    """
    path = check_output(out)  # before the work, not after it
    fuser = load(model, device, dtype)
    first, second = read_image(a, page), read_image(b, page)
    check_result(path, first, second)
    return write_image(_raster(fuser.fuse(first, second, *more, page=page, **options)), path)


def enhance_file(
    x: FilePath,
    out: FilePath,
    strength: float = 1.0,
    *,
    page: int | None = None,
    model: FilePath = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    **options: Any,
) -> Path:
    """Enhance one image file into another; depth, alpha, metadata and arguments as for ``fuse_files``.

    Args:
        x: an image file.
        out: the file to write; it may be ``x``.
        strength: from 0 (``x`` as it is) to 1 (the network's result).
        page: as for ``fuse_files``.
        model: as ``name_or_path`` of ``load``.
        device: as for ``load``.
        dtype: as for ``load``.
        options: as for ``enhance``.

    Returns:
        The path written.

    Raises:
        InputError, CheckpointError: as for ``fuse_files`` and ``enhance``.
    """
    path = check_output(out)
    fuser = load(model, device, dtype)
    picture = read_image(x, page)
    check_result(path, picture)
    return write_image(_raster(fuser.enhance(picture, strength, **options)), path)


def check_result(path: Path, *pictures: PictureInfo) -> None:
    """Raises InputError if the file can't hold the result of these: alpha, depth (an extra is missing), size."""
    result = pictures[0].fused_with(*pictures[1:])
    channels = 3 if any(picture.coloured for picture in pictures) else 1
    channels += any(picture.layout.transparent for picture in pictures)
    height, width = result.layout.sides
    check_content(path, (height, width, channels), np.dtype(str(result.dtype).removeprefix("torch.")))


def _raster(result: Any) -> Raster:
    assert isinstance(result, Raster), f"a Fuser gave {type(result).__name__} for pictures of files"
    return result
