"""What can be done to a pair before it is fused, in order: stretching contrast, resizing one to the other, aligning.

Each works on ``Picture``s and gives notes, one line each, of what it chose. They are logged at level INFO under
"gifnet", and become part of the EXIF image description of results that carry metadata.
"""

import logging
from typing import Any, TypeAlias

from ..errors import InputError
from ..images.picture import Picture, ReadablePicture
from .alignment import MOTIONS, Motion, align_pictures
from .resize import Resize, resized
from .stretch import Stretch, stretch_percentiles, stretched

logger = logging.getLogger("gifnet")
Align: TypeAlias = bool | Motion
OPTIONS = ("resize", "stretch", "align")


def prepare(
    a: ReadablePicture,
    b: ReadablePicture,
    resize: Resize = None,
    stretch: Stretch = False,
    align: Align = False,
) -> tuple[ReadablePicture, ReadablePicture]:
    """The pair after ``stretch``, ``resize`` and ``align``, in this order; both with notes of what was done.

    Raises InputError for an option that is none, and as each of them does.
    """
    percentiles, motion = stretch_percentiles(stretch), align_motion(align)
    if resize not in (None, "a", "b"):
        raise InputError(f"resize: {resize!r}; give 'a' or 'b', the image whose size both are to have")
    if percentiles is None and resize is None and motion is None:
        return a, b
    first, notes = stretched(a.load(), percentiles)
    second, more = stretched(b.load(), percentiles)
    notes += more
    if resize is not None:
        first, second, more = resized(first, second, resize)
        notes += more
    if motion is not None:
        first, second, more = aligned(first, second, motion)
        notes += more
    _log(notes)
    return first.noted(notes), second.noted(notes)


def prepare_one(x: ReadablePicture, stretch: Stretch = False) -> ReadablePicture:
    """The picture after ``stretch``, with a note of it. Raises InputError for an option that is none."""
    percentiles = stretch_percentiles(stretch)
    if percentiles is None:
        return x
    picture, notes = stretched(x.load(), percentiles)
    _log(notes)
    return picture.noted(notes)


def _log(notes: list[str]) -> None:
    for note in notes:
        logger.info("%s", note)


def describe(resize: Resize = None, stretch: Stretch = False, align: Align = False) -> dict[str, Any]:
    """The options in one form each, for records in JSON; those that are off are left out."""
    percentiles, motion = stretch_percentiles(stretch), align_motion(align)
    chosen = {"resize": resize, "stretch": percentiles and list(percentiles), "align": motion}
    return {name: value for name, value in chosen.items() if value is not None}


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
        f"{b.short_name}: aligned to {a.short_name} ({motion}, confidence {found.confidence:.2f}), "
        f"cropped to columns {left} to {right - 1} and rows {top} to {bottom - 1} of it"
    )
    return a.cropped(found.overlap), found.warp_picture(b).cropped(found.overlap), [note]
