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
from ..errors import InputError
from ..execution.running import Execution
from ..files.formats import Encoding
from ..files.raster import Raster
from ..files.writing import check_content, check_output
from ..files.writing import write_file as write_image
from ..fuser import Fuser
from ..images.picture import PictureInfo, ReadablePicture
from ..images.reading import Images, Page, images_of
from ..images.reading import read_for_writing as read_image
from ..models import Model, fuser_of
from ..options.declarations import STRENGTH
from ..options.values import (
    Align,
    Colour,
    Compression,
    Device,
    Dtype,
    Memory,
    Name,
    Progress,
    Quality,
    Resize,
    Stretch,
    Tile,
)
from ..prepare.preparation import Preparation
from ..stack.depth import DepthMap

__all__ = ["check_result", "enhance_file", "fuse_files", "read_image", "read_images", "write_image"]

FilePath = str | os.PathLike[str]


def fuse_files(
    a: FilePath | Images,
    b: FilePath | None,
    out: FilePath,
    *more: FilePath,
    page: int | None = None,
    resize: Resize = None,
    stretch: Stretch = False,
    colour: Colour = "auto",
    align: Align = False,
    max_shift: float = 0.25,
    max_rotation: float = 6.0,
    max_scale: float = 1.06,
    depth: Name | None = None,
    quality: Quality = None,
    compression: Compression = None,
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
    In TIFF, bands beside the colours, such as near infrared, are fused where both have them, and else kept.

    Args:
        a: an image file: PNG, TIFF, JPEG, WebP, BMP, or whatever else Pillow reads. 16-bit or floating-point colour
            and alpha need the extra ``[files]``. Or a list of files, or a file of several images (a TIFF, a GIF): a
            stack, with None for ``b``.
        b: another one, of the same height and width.
        out: the file to write; its suffix is the format. It appears whole or not at all, at the end, so it may be
            one of the inputs, which is then replaced.
        more: the further files of a stack; of three or more, only the first two are held while the rest is read.
        page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.
        resize: bring the other image to the size of this one first. ``"a"`` or ``"b"``; bicubic, antialiased. For
            images that show the same: ratios of sides that differ by more than 2 % are refused.
        stretch: map the range between two percentiles to black and white first, each grey input on its own. True (0.1
            and 99.9), two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``, which
            don't flicker in sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a pair only.
            For 14-bit thermal images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units. NaN becomes
            black. Images in colour are left alone.
        colour: whose colours the result has, of two images: ``"auto"`` is by evidence, ``"a"`` or ``"b"`` takes the
            other one as grey. So does a thermal image in false colours (a palette) give its brightness only.
        align: warp the other images onto the first one's grid first, and crop all to the largest rectangle that all
            show. True (``"affine"`` for two images, ``"similarity"`` for a stack), or a motion: ``"translation"``,
            ``"similarity"``, ``"affine"`` or ``"homography"``. Or a transform that is known, of two images of a fixed
            rig: what ``gifnet.align`` gives, a 3×3 matrix from ``a``'s pixels to ``b``'s, or the JSON file that
            ``gifnet align`` writes. Needs the extra ``[align]``; no batches of several.
        max_shift: how far alignment searches, as a part of each side. From 0 to 0.5.
        max_rotation: how far alignment searches, in degrees either way. From 0 to 45; not with ``"translation"``.
        max_scale: how far alignment searches, as a factor either way, once both images have one size. From 1 to 2; not
            with ``"translation"``.
        depth: a file for the depth map of a focus stack: PNG or TIFF of 16 bits. It says which image each pixel is
            sharpest in, 0 for the first, 65535 for the last; smooth where nothing is.
        quality: of JPEG and WebP, from 1 to 100; 95 by default. ``"lossless"`` for WebP.
        compression: of PNG from 0 (none) to 9 (smallest); of TIFF ``"deflate"`` (default), ``"lzw"`` or ``"none"``.
            Pixels stay the same.
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
    preparation = Preparation.checked(page, resize, stretch, align, colour, max_shift, max_rotation, max_scale)
    execution, encoding = Execution.checked(tile, memory, progress), Encoding.checked(quality, compression)
    path = check_output(out)  # before the work, not after it
    encoding.check(path.suffix)
    depth_path = None if depth is None else _depth_output(depth, path)
    images = images_of(a, b, more)
    fuser = fuser_of(model, device, dtype)
    first, second = read_images([_file(image) for image in images[:2]], preparation, execution, fuser)
    check_result(path, first, second)
    depth_map = None if depth_path is None else DepthMap()
    fused = fuser.fuse_images((first, second, *images[2:]), preparation, execution, depth=depth_map)
    levels = None if depth_map is None else Raster(depth_map.levels())
    write_image(_raster(fused), path, encoding)
    if levels is not None and depth_path is not None:
        write_image(levels, depth_path, encoding)
    return path


def enhance_file(
    x: FilePath,
    out: FilePath,
    strength: float = 1.0,
    *,
    page: int | None = None,
    stretch: Stretch = False,
    quality: Quality = None,
    compression: Compression = None,
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
            and 99.9), two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``, which
            don't flicker in sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a pair only.
            For 14-bit thermal images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units. NaN becomes
            black. Images in colour are left alone.
        quality: of JPEG and WebP, from 1 to 100; 95 by default. ``"lossless"`` for WebP.
        compression: of PNG from 0 (none) to 9 (smallest); of TIFF ``"deflate"`` (default), ``"lzw"`` or ``"none"``.
            Pixels stay the same.
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
    encoding = Encoding.checked(quality, compression)
    path = check_output(out)
    encoding.check(path.suffix)
    fuser = fuser_of(model, device, dtype)
    (picture,) = read_images((x,), preparation, execution, fuser)
    check_result(path, picture)
    return write_image(_raster(fuser.enhance_image(picture, strength, preparation, execution)), path, encoding)


def read_images(
    paths: Sequence[FilePath | Page], preparation: Preparation, execution: Execution, fuser: Fuser
) -> list[ReadablePicture]:
    """Read files, if what they hold fits into the memory there is. Raises InputError."""
    fuser.check_memory(execution, preparation.page, {_name(path): path for path in paths})
    return [read_image(path, preparation.page) for path in paths]


def check_result(path: Path, *pictures: PictureInfo) -> None:
    """Raises InputError if the file can't hold the result of these: alpha, depth (an extra is missing), size."""
    result = pictures[0].fused_with(*pictures[1:])
    channels = 3 if any(picture.coloured for picture in pictures) else 1
    channels += any(picture.layout.transparent for picture in pictures)
    height, width = result.layout.sides
    check_content(path, (height, width, channels), np.dtype(str(result.dtype).removeprefix("torch.")))


def _name(path: FilePath | Page) -> str:
    """For messages, and different for each page."""
    if isinstance(path, Page) and path.band is not None:
        return f"band {path.band}" if isinstance(path.source, bytes) else f"{_name(path.source)}, band {path.band}"
    if isinstance(path, Page):
        return f"page {path.number}" if isinstance(path.source, bytes) else f"{_name(path.source)}, page {path.number}"
    return os.fsdecode(path)


def _file(image: Any) -> FilePath | Page:
    if not isinstance(image, (str, os.PathLike, Page)):
        raise InputError(f"{type(image).__name__}: is no path of an image file; gifnet.fuse takes other images")
    return image


def _depth_output(depth: FilePath, out: Path) -> Path:
    """The path, if a depth map can be written there. Raises InputError."""
    path = check_output(depth)
    if path.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise InputError(f"{path}: a depth map has 16 bits, which {path.suffix} has not; give .png or .tif")
    if path.resolve() == out.resolve():
        raise InputError(f"depth: {path} is the output; give the depth map another name")
    return path


def _raster(result: Any) -> Raster:
    assert isinstance(result, Raster), f"a Fuser gave {type(result).__name__} for pictures of files"
    return result
