"""What can be done to a pair before it is fused: stretching contrast, resizing one to the other, aligning.

Each works on ``Picture``s and gives notes, one line each, of what it chose. They are logged at level INFO under
"gifnet", and become part of the EXIF image description of results that carry metadata.
"""

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import InputError
from ..images.reading import LEVELS, Picture
from .alignment import MOTIONS, Motion, align_pictures

logger = logging.getLogger("gifnet")

Resize: TypeAlias = Literal["a", "b"] | None
Stretch: TypeAlias = bool | Sequence[float]
Align: TypeAlias = bool | Motion

OPTIONS = ("resize", "stretch", "align")
DEFAULT_PERCENTILES = (0.1, 99.9)
ASPECT_TOLERANCE = 0.02  # of width / height, between images said to show the same


def prepare(
    a: Picture, b: Picture, resize: Resize = None, stretch: Stretch = False, align: Align = False
) -> tuple[Picture, Picture]:
    """The pair after ``stretch``, ``resize`` and ``align``, in this order; both with notes of what was done.

    Raises InputError for an option that is none, and as each of them does.
    """
    percentiles, motion = stretch_percentiles(stretch), align_motion(align)
    if resize not in (None, "a", "b"):
        raise InputError(f"resize: {resize!r}; give 'a' or 'b', the image whose size both are to have")
    a, notes = stretched(a, percentiles)
    b, more = stretched(b, percentiles)
    notes += more
    if resize is not None:
        a, b, more = resized(a, b, resize)
        notes += more
    if motion is not None:
        a, b, more = aligned(a, b, motion)
        notes += more
    _log(notes)
    return a.noted(notes), b.noted(notes)


def prepare_one(x: Picture, stretch: Stretch = False) -> Picture:
    """The picture after ``stretch``, with a note of it. Raises InputError for an option that is none."""
    x, notes = stretched(x, stretch_percentiles(stretch))
    _log(notes)
    return x.noted(notes)


def _log(notes: list[str]) -> None:
    for note in notes:
        logger.info("%s", note)


def _short(picture: Picture) -> str:
    return os.path.basename(picture.name)  # notes go into files, and folders are private


def describe(resize: Resize = None, stretch: Stretch = False, align: Align = False) -> dict[str, Any]:
    """The options in one form each, for records in JSON; those that are off are left out."""
    percentiles, motion = stretch_percentiles(stretch), align_motion(align)
    chosen = {"resize": resize, "stretch": percentiles and list(percentiles), "align": motion}
    return {name: value for name, value in chosen.items() if value is not None}


# --- contrast ---------------------------------------------------------------------------------------


def stretch_percentiles(stretch: Stretch) -> tuple[float, float] | None:
    """What the option ``stretch`` says: two percentiles, or None for off. Raises InputError."""
    if stretch is False or stretch is None:
        return None
    if stretch is True:
        return DEFAULT_PERCENTILES
    try:
        low, high = (float(limit) for limit in stretch)
    except (TypeError, ValueError) as error:
        raise InputError(f"stretch: {stretch!r}; give True, or two percentiles such as (1, 99)") from error
    if not 0 <= low < high <= 100:
        raise InputError(f"stretch: {low:g} to {high:g}; give two percentiles from 0 to 100, the lower one first")
    return low, high


def stretched(picture: Picture, percentiles: tuple[float, float] | None) -> tuple[Picture, list[str]]:
    """A grey picture with its range between two percentiles mapped to [0, 1], and clipped there.

    Each image of a batch is mapped on its own; transparent pixels don't count. Grey is what has one channel or three
    equal ones. A coloured picture is left alone: its brightness is right as it was taken, and channels stretched apart
    would change its hues. So is an image that is the same everywhere.
    """
    pixels = picture.pixels
    if percentiles is None or (picture.coloured and not bool((pixels == pixels[:, :1]).all())):
        return picture, []
    levels = LEVELS.get(picture.dtype, 1.0)
    images, notes = [], []
    for index, image in enumerate(pixels):
        low, high = _limits(image, None if picture.alpha is None else picture.alpha[index], percentiles)
        images.append(((image - low) / (high - low)).clamp(0, 1) if high > low else image)
        between = "{:g} to {:g} %".format(*percentiles)
        notes.append(f"{_short(picture)}: stretched from {low * levels:.6g} to {high * levels:.6g} ({between})")
    return replace(picture, pixels=torch.stack(images)), notes


def _limits(image: Tensor, alpha: Tensor | None, percentiles: tuple[float, float]) -> tuple[float, float]:
    values = image[0] if alpha is None else image[0][alpha[0] > 0]
    if not values.numel():
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(values.cpu().numpy(), percentiles))
    if low == high:  # all but a few pixels are of one value: those few are what there is to see
        low, high = float(values.min()), float(values.max())
    return low, high


# --- size -------------------------------------------------------------------------------------------


def resized(a: Picture, b: Picture, to: Literal["a", "b"]) -> tuple[Picture, Picture, list[str]]:
    """The pair at the size of one of them, the other one resampled (bicubic, antialiased).

    Raises InputError if the ratios of their sides differ by more than 2 %: then they don't show the same.
    """
    kept, other = (a, b) if to == "a" else (b, a)
    (height, width), (other_height, other_width) = kept.pixels.shape[-2:], other.pixels.shape[-2:]
    if (height, width) == (other_height, other_width):
        return a, b, []
    ratio = (width / height) / (other_width / other_height)
    if not 1 - ASPECT_TOLERANCE <= ratio <= 1 + ASPECT_TOLERANCE:
        raise InputError(
            f"{other.name} is {other.size} pixels and {kept.name} is {kept.size}: resizing would change the ratio of "
            f"its sides by {abs(ratio - 1):.0%}; crop one to what both show, or use align=True"
        )

    def resample(planes: Tensor) -> Tensor:
        return interpolate(planes, (height, width), mode="bicubic", align_corners=False, antialias=True)

    note = f"{_short(other)}: resized from {other.size} to {kept.size} pixels"
    other = other.resampled(resample)
    return (kept, other, [note]) if to == "a" else (other, kept, [note])


# --- alignment --------------------------------------------------------------------------------------


def align_motion(align: Align) -> Motion | None:
    """What the option ``align`` says: a motion, or None for off. Raises InputError."""
    if align is False or align is None:
        return None
    if align is True:
        return "affine"
    if align not in MOTIONS:
        raise InputError(f"align: {align!r}; give True or a motion: {', '.join(map(repr, MOTIONS))}")
    return align


def aligned(a: Picture, b: Picture, motion: Motion) -> tuple[Picture, Picture, list[str]]:
    """``b`` warped onto ``a``'s grid, and both cropped to the largest rectangle in which ``b`` is defined.

    Raises AlignmentError, and as ``gifnet.align`` does.
    """
    found = align_pictures(a, b, motion)
    left, top, right, bottom = found.overlap
    note = (
        f"{_short(b)}: aligned to {_short(a)} ({motion}, confidence {found.confidence:.2f}), "
        f"cropped to columns {left} to {right - 1} and rows {top} to {bottom - 1} of it"
    )
    return a.cropped(found.overlap), found.warp_picture(b).cropped(found.overlap), [note]


# --- the command line -------------------------------------------------------------------------------


def add_stretch_argument(command: argparse.ArgumentParser) -> None:
    """``--stretch``."""
    command.add_argument(
        "--stretch",
        type=_percentiles,
        default=False,
        metavar="LOW,HIGH",
        help="map grey inputs' range between these percentiles, such as 1,99, to black and white",
    )


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What ``gifnet fuse`` can do to a pair beforehand."""
    add_stretch_argument(command)
    command.add_argument("--resize", choices=("a", "b"), help="bring both to the size of A or of B")
    command.add_argument(
        "--align",
        nargs="?",
        const=True,
        default=False,
        type=_motion,
        metavar="MOTION",
        help=f"align B to A first: --align (affine) or --align=MOTION, one of {', '.join(MOTIONS)}",
    )


def chosen(args: argparse.Namespace) -> dict[str, Any]:
    """The parsed options of this module that the command has, as ``Fuser.fuse`` and ``Fuser.enhance`` take them."""
    return {name: getattr(args, name) for name in OPTIONS if hasattr(args, name)}


def _percentiles(text: str) -> tuple[float, float] | None:
    try:
        return stretch_percentiles([float(part) for part in text.split(",")])
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; give two percentiles such as 1,99") from error


def _motion(text: str) -> Motion:
    for motion in MOTIONS:
        if text == motion:
            return motion
    raise argparse.ArgumentTypeError(f"{text!r} is no motion; write --align alone at the end, or --align=affine")
