"""Fusing and enhancing image files into files, with their depth, alpha and metadata.

Three steps that may run in different threads: ``read_image``, then ``Fuser.fuse`` or ``Fuser.enhance`` of what it
gives, then ``write_image`` of what these give.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints.hub import BUNDLED
from ..execution.running import Execution
from ..files.raster import Raster
from ..files.writing import check_content, check_output
from ..files.writing import write_file as write_image
from ..fuser import Fuser
from ..images.picture import PictureInfo, ReadablePicture
from ..images.reading import read_for_writing as read_image
from ..models import Model, fuser_of
from ..options.declarations import STRENGTH
from ..options.values import Align, Device, Dtype, Memory, Progress, Resize, Stretch, Tile
from ..prepare.preparation import Preparation

__all__ = ["check_result", "enhance_file", "fuse_files", "read_image", "read_images", "write_image"]

FilePath = str | os.PathLike[str]


def fuse_files(
    a: FilePath,
    b: FilePath,
    out: FilePath,
    *more: FilePath,
    page: int | None = None,
    resize: Resize = None,
    stretch: Stretch = False,
    align: Align = False,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
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
        b: another one, of the same height and width.
        out: the file to write; its suffix is the format. It appears whole or not at all, at the end, so it may be
            one of the inputs, which is then replaced.
        more: the further files of a stack; of three or more, only the first two are held while the rest is read.
        page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.
        resize: bring the other image to the size of this one first. ``"a"`` or ``"b"``; bicubic, antialiased. For
            images that show the same: ratios of sides that differ by more than 2 % are refused.
        stretch: map the range between two percentiles to black and white first, each grey input on its own. True (0.1
            and 99.9), or two percentiles such as ``(1, 99)``. For 14-bit thermal images in 16-bit files and the like.
            Images in colour are left alone.
        align: warp the other images onto the first one's grid first, and crop all to the largest rectangle that all
            show. True (``"affine"`` for two images, ``"similarity"`` for a stack), or a motion: ``"translation"``,
            ``"similarity"``, ``"affine"`` or ``"homography"``. Needs the extra ``[align]``; no batches of several.
        tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the whole
            image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
        progress: True: a progress bar on stderr; a function of the steps done and their number, which may end the work
            with an exception; False: neither; None: a bar on a terminal, after two seconds.
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Returns:
        The path written.

    Raises:
        InputError: whatever ``fuse`` refuses, and an output that can't be written or can't hold the result.
        AlignmentError: the images could not be aligned with confidence.
        CheckpointError: see ``load``.
    """
    preparation = Preparation.checked(page, resize, stretch, align)
    execution = Execution.checked(tile, memory, progress)
    path = check_output(out)  # before the work, not after it
    fuser = fuser_of(model, device, dtype)
    first, second = read_images((a, b), preparation, execution, fuser)
    check_result(path, first, second)
    return write_image(_raster(fuser.fuse_images((first, second, *more), preparation, execution)), path)


def enhance_file(
    x: FilePath,
    out: FilePath,
    strength: float = 1.0,
    *,
    page: int | None = None,
    stretch: Stretch = False,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> Path:
    """Enhance one image file into another, with its depth, alpha and metadata, as ``fuse_files`` keeps them.

    Args:
        x: an image file: PNG, TIFF, JPEG, WebP, BMP, or whatever else Pillow reads. 16-bit or floating-point colour
            and alpha need the extra ``[files]``.
        out: the file to write; its suffix is the format. It appears whole or not at all, at the end, so it may be
            ``x``, which is then replaced.
        strength: from 0 (the image as it is) to 1 (the network's result). Between them, a blend of luminances.
        page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.
        stretch: map the range between two percentiles to black and white first, each grey input on its own. True (0.1
            and 99.9), or two percentiles such as ``(1, 99)``. For 14-bit thermal images in 16-bit files and the like.
            Images in colour are left alone.
        tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the whole
            image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
        progress: True: a progress bar on stderr; a function of the steps done and their number, which may end the work
            with an exception; False: neither; None: a bar on a terminal, after two seconds.
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Returns:
        The path written.

    Raises:
        InputError: whatever ``enhance`` refuses, and an output that can't be written or can't hold the result.
        CheckpointError: see ``load``.
    """
    strength = STRENGTH.check(strength)
    preparation, execution = Preparation.checked(page, stretch=stretch), Execution.checked(tile, memory, progress)
    path = check_output(out)
    fuser = fuser_of(model, device, dtype)
    (picture,) = read_images((x,), preparation, execution, fuser)
    check_result(path, picture)
    return write_image(_raster(fuser.enhance_image(picture, strength, preparation, execution)), path)


def read_images(
    paths: Sequence[FilePath], preparation: Preparation, execution: Execution, fuser: Fuser
) -> list[ReadablePicture]:
    """Read files, if what they hold fits into the memory there is. Raises InputError."""
    fuser.check_memory(execution, preparation.page, {os.fsdecode(path): path for path in paths})
    return [read_image(path, preparation.page) for path in paths]


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
