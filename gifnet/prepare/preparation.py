"""What can be done to a pair before it is fused, in order: stretching contrast, resizing one to the other, aligning.

Each works on ``Picture``s and gives notes, one line each, of what it chose. They are logged at level INFO under
"gifnet", and become part of the EXIF image description of results that carry metadata.
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal

from ..images.picture import Picture, ReadablePicture
from ..options.declarations import ALIGN, PAGE, RESIZE, STRETCH
from ..options.values import Align, Motion, Percentiles, Resize, Stretch
from .alignment import align_pictures
from .resize import resized
from .stretch import stretched

logger = logging.getLogger("gifnet")


@dataclass(frozen=True)
class Preparation:
    """How inputs are read and what is done to them first: ``page``, ``resize``, ``stretch`` and ``align``."""

    page: int | None = None
    resize: Resize = None
    stretch: Percentiles | None = None
    align: Motion | Literal[True] | None = None  # True: the motion that suits pairs, or stacks

    @classmethod
    def checked(
        cls, page: int | None = None, resize: Resize = None, stretch: Stretch = False, align: Align = False
    ) -> "Preparation":
        """Of the options as users give them. Raises InputError."""
        return cls(PAGE.check(page), RESIZE.check(resize), STRETCH.check(stretch), ALIGN.check(align))

    def describe(self) -> dict[str, Any]:
        """What changes the pictures, for records in JSON; options that are off are left out."""
        chosen = {
            "resize": self.resize,
            "stretch": self.stretch and list(self.stretch),
            "align": self.motion(of_stack=False),
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def motion(self, of_stack: bool) -> Motion | None:
        """What ``align`` says: lenses and sensors of a pair may differ, in a stack focus changes the scale."""
        return ("similarity" if of_stack else "affine") if self.align is True else self.align

    def pair(self, a: ReadablePicture, b: ReadablePicture) -> tuple[ReadablePicture, ReadablePicture]:
        """The pair after ``stretch``, ``resize`` and ``align``, in this order; both with notes of what was done.

        Raises InputError as each of them does.
        """
        if not self.describe():
            a.check_scale()
            b.check_scale()
            return a, b
        first, notes = stretched(a, self.stretch)
        second, more = stretched(b, self.stretch)
        notes += more
        if self.resize is not None:
            first, second, more = resized(first, second, self.resize)
            notes += more
        motion = self.motion(of_stack=False)
        if motion is not None:
            first, second, more = aligned(first, second, motion)
            notes += more
        _log(notes)
        return first.noted(notes), second.noted(notes)

    def one(self, x: ReadablePicture, again: bool = False) -> ReadablePicture:
        """The picture after ``stretch``, with a note of it; logged, unless it is read ``again``."""
        if self.stretch is None:
            x.check_scale()
            return x
        picture, notes = stretched(x, self.stretch)
        _log([] if again else notes)
        return picture.noted(notes)


def _log(notes: list[str]) -> None:
    for note in notes:
        logger.info("%s", note)


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
