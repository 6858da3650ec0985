"""What is done to the frames of two videos before they are fused: found once, or following slowly, so nothing flickers.

A rig is fixed: what lies between the two views is the same in every frame.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import AlignmentError, InputError
from ..images.picture import Picture, ReadablePicture
from ..images.reading import ImageLike, read
from ..options.values import Motion, StretchLimits
from ..prepare.alignment import align_pictures
from ..prepare.alignment.given import Given
from ..prepare.alignment.transform import Alignment, corners
from ..prepare.preparation import Preparation
from ..prepare.resize import resized
from ..prepare.stretch import limits_of, of_pair, stretched_between

FOLLOWED = 0.04  # of each frame, in the limits of stretching: at 25 frames a second, two thirds of a change in a second
SAMPLES = 5  # frames that an alignment is found from


class Limits:
    """What is black and white in the frames of one video: the percentiles of the frames so far, or given values."""

    def __init__(self, asked: StretchLimits | None) -> None:
        self._asked = asked
        self._known: tuple[float, float] | None = None

    def stretched(self, picture: ReadablePicture) -> Picture:
        """The next frame with its range mapped; frames in colour are left alone."""
        given = picture.as_given()
        limits = None if self._asked is None else limits_of(given, self._asked)
        if limits is None:
            return given.load()
        if self._known is not None:
            low, high = (old + FOLLOWED * (new - old) for old, new in zip(self._known, limits, strict=True))
            limits = low, high
        self._known = limits
        return stretched_between(given, *limits)


class Rig:
    """Prepares pairs of frames, in the order of their times.

    The options are those of ``Preparation``, checked; ``align`` takes ``find`` first. ``even``: sizes are to be even
    numbers, where a crop is made anyway, for most codecs want them.
    """

    def __init__(self, preparation: Preparation, even: bool = False) -> None:
        self._preparation, self._even = preparation, even
        stretch = preparation.stretch
        self._limits = None if stretch is None else tuple(map(Limits, of_pair(stretch)))
        self._found: Alignment | None = None

    @property
    def aligns(self) -> bool:
        """Whether an alignment has to be found first."""
        return self._preparation.align is not None and self._found is None

    def find(self, samples: Sequence[tuple[ImageLike, ImageLike]]) -> None:
        """Find the alignment from some pairs: the one that the others are nearest to.

        Raises AlignmentError where less than half of them can be aligned with confidence.
        """
        alone = Rig(replace(self._preparation, align=None))  # its limits are those of the samples
        if isinstance(self._preparation.align, Given):
            self._found = self._preparation.align.between(*alone.prepare(*samples[0]))
            return
        motion = self._preparation.motion(of_stack=False)
        assert motion is not None
        self._found = typical([alone.prepare(a, b) for a, b in samples], motion)

    def prepare(self, a: ImageLike, b: ImageLike) -> tuple[Picture, Picture]:
        """The next two frames, stretched, resized and aligned as the options say. Raises InputError."""
        first, second = read(a, "a"), read(b, "b")
        if self._limits is not None:
            first, second = self._limits[0].stretched(first), self._limits[1].stretched(second)
        pair = first.load(), second.load()
        if self._preparation.resize is not None:
            pair = resized(*pair, self._preparation.resize)[:2]
        if self._found is not None:
            left, top, right, bottom = self._found.overlap
            if self._even:
                right, bottom = right - (right - left) % 2, bottom - (bottom - top) % 2
            box = left, top, right, bottom
            pair = pair[0].cropped(box), self._found.warp_picture(pair[1]).cropped(box)
        return pair


def typical(pairs: Sequence[tuple[Picture, Picture]], motion: Motion) -> Alignment:
    """The alignment of several pairs of one rig: that whose corners are nearest to the median ones.

    Raises AlignmentError where less than half of the pairs can be aligned with confidence.
    """
    found: list[Alignment] = []
    problem: AlignmentError | None = None
    for a, b in pairs:
        try:
            found.append(align_pictures(a, b, motion))
        except AlignmentError as error:  # noqa: PERF203  # a handful of frames
            problem = error
    if 2 * len(found) < len(pairs) or not found:
        raise AlignmentError(f"{len(found)} of {len(pairs)} frames can be aligned; {problem}") from problem
    places = np.stack([corners(one.matrix, one.size) for one in found])
    distances = np.abs(places - np.median(places, axis=0)).sum(axis=(1, 2))
    return found[int(distances.argmin())]


def check_size(pixels: Any, first: tuple[int, ...], name: str) -> None:
    """Raises InputError for a frame whose size is another than the first one's."""
    if pixels.shape[:2] != first[:2]:
        raise InputError(
            f"{name}: a frame is {pixels.shape[1]}×{pixels.shape[0]} pixels, and the first one was "
            f"{first[1]}×{first[0]}; videos are of one size throughout"
        )
