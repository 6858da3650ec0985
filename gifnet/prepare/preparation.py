"""What can be done to a pair before it is fused, in order: one taken as grey, contrast stretched, resized, aligned.

Each works on ``Picture``s and gives notes, one line each, of what it chose. They are logged at level INFO under
"gifnet", and become part of the EXIF image description of results that carry metadata.
"""

import logging
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import InputError
from ..images.picture import Picture, ReadablePicture
from ..options import declarations as options
from ..options.values import Align, Colour, Motion, Resize, Stretch, StretchLimits
from .alignment import align_pictures
from .alignment.given import Given
from .alignment.search import Limits
from .resize import resized
from .stretch import of_pair, stretched

logger = logging.getLogger("gifnet")
_SEARCH = (options.MAX_SHIFT, options.MAX_ROTATION, options.MAX_SCALE)


@dataclass(frozen=True)
class Preparation:
    """How inputs are read and what is done to them first; see ``gifnet.fuse``."""

    page: int | None = None
    resize: Resize = None
    stretch: StretchLimits | None = None
    align: Motion | Literal[True] | Given | None = None  # True: the motion that suits pairs, or stacks
    limits: Limits = field(default_factory=Limits)  # of the search for an alignment
    colour: Colour = "auto"

    @classmethod
    def checked(
        cls,
        page: int | None = None,
        resize: Resize = None,
        stretch: Stretch = False,
        align: Align = False,
        colour: Colour = "auto",
        max_shift: float = options.MAX_SHIFT.default,
        max_rotation: float = options.MAX_ROTATION.default,
        max_scale: float = options.MAX_SCALE.default,
    ) -> "Preparation":
        """Of the options as users give them. Raises InputError."""
        how = options.ALIGN.check(align)
        chosen = None if how is None else how if how is True or isinstance(how, str) else Given.of(how)
        search = [
            option.check(value) for option, value in zip(_SEARCH, (max_shift, max_rotation, max_scale), strict=True)
        ]
        _check_search(chosen, search)
        return cls(
            options.PAGE.check(page),
            options.RESIZE.check(resize),
            options.STRETCH.check(stretch),
            chosen,
            Limits(*search),
            options.COLOUR.check(colour),
        )

    def describe(self) -> dict[str, Any]:
        """What changes the pictures, for records in JSON; options that are off are left out."""
        given = self.align if isinstance(self.align, Given) else None
        search = () if self.limits == Limits() else (self.limits.shift, self.limits.rotation, self.limits.scale)
        chosen = {
            "resize": self.resize,
            "stretch": self.stretch and self.stretch.describe(),
            "colour": None if self.colour == "auto" else self.colour,
            "align": self.motion(of_stack=False) if given is None else given.matrix.tolist(),
            **dict(zip((option.name for option in _SEARCH), search, strict=False)),
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def motion(self, of_stack: bool) -> Motion | None:
        """What ``align`` says: lenses and sensors of a pair may differ, in a stack focus changes the scale.

        Raises InputError for a given transform of a stack.
        """
        if isinstance(self.align, Given):
            if of_stack:
                raise InputError("align: a transform is for two images; for a stack give True or a motion")
            return None
        return ("similarity" if of_stack else "affine") if self.align is True else self.align

    def pair(self, a: ReadablePicture, b: ReadablePicture) -> tuple[ReadablePicture, ReadablePicture]:
        """The pair after ``colour``, ``stretch``, ``resize`` and ``align``, in this order; with notes of what was done.

        Raises InputError as each of them does.
        """
        if self.colour != "auto":
            a, b = (a, b.as_grey()) if self.colour == "a" else (a.as_grey(), b)
        if self.stretch is None and self.resize is None and self.align is None:
            return a.with_scale(), b.with_scale()
        of_a, of_b = of_pair(self.stretch)
        first, notes = stretched(a, of_a)
        second, more = stretched(b, of_b)
        notes += more
        if self.resize is not None:
            first, second, more = resized(first, second, self.resize)
            notes += more
        if self.align is not None:
            first, second, more = self._aligned(first, second)
            notes += more
        _log(notes)
        return first.noted(notes), second.noted(notes)

    def one(self, x: ReadablePicture, again: bool = False) -> ReadablePicture:
        """The picture after ``stretch``, with a note of it; logged, unless it is read ``again``."""
        if self.stretch is None:
            return x.with_scale()
        if self.stretch.of in ("a", "b"):
            raise InputError(f"stretch: {self.stretch.of!r} is an image of a pair; give 'values' for other images")
        picture, notes = stretched(x, self.stretch)
        _log([] if again else notes)
        return picture.noted(notes)

    def _aligned(self, a: Picture, b: Picture) -> tuple[Picture, Picture, list[str]]:
        """``b`` warped onto ``a``'s grid, and both cropped to the largest rectangle in which ``b`` is defined.

        Raises AlignmentError, and as ``gifnet.align`` does.
        """
        if isinstance(self.align, Given):
            found, how = self.align.between(a, b), "by a given transform"
        else:
            motion = self.motion(of_stack=False)
            assert motion is not None
            found = align_pictures(a, b, motion, self.limits)
            how = f"{motion}, confidence {found.confidence:.2f}"
        left, top, right, bottom = found.overlap
        note = (
            f"{b.short_name}: aligned to {a.short_name} ({how}), "
            f"cropped to columns {left} to {right - 1} and rows {top} to {bottom - 1} of it"
        )
        return a.cropped(found.overlap), found.warp_picture(b).cropped(found.overlap), [note]


def _check_search(align: Motion | Literal[True] | Given | None, search: list[float]) -> None:
    """Raises InputError for limits of a search that does not take place."""
    changed = [option.name for option, value in zip(_SEARCH, search, strict=True) if value != option.default]
    if changed and (align is None or isinstance(align, Given)):
        reason = "goes with align=True or a motion (--align)" if align is None else "is not for a given transform"
        raise InputError(f"{changed[0]}: {reason}")
    if align == "translation" and changed not in ([], ["max_shift"]):
        raise InputError(f"{changed[-1]}: not with align='translation'")


def _log(notes: list[str]) -> None:
    for note in notes:
        logger.info("%s", note)
