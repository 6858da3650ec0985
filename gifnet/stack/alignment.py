"""Aligning a stack: every image to the one before it, and by the chain of these transforms to the first.

Focus changes the scale of an image (breathing), by some 15 % from one end of a stack to the other, and what is sharp in
one image may be gone in another. Neighbours have the most in common. What errors add up along the chain moves images
that are far apart in the stack, not those between which a pixel is chosen. An image that does not go with the one
before it, as where the order is any, is tried with the first.

The transform is estimated as for pairs, then refined in linear light (``description.SameSensor``).
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from ..errors import AlignmentError
from ..images.picture import Picture
from ..options.values import Motion
from ..prepare.alignment import MIN_CONFIDENCE
from ..prepare.alignment.description import SameSensor, Source
from ..prepare.alignment.estimate import estimated
from ..prepare.alignment.refinement import refined, without_shear
from ..prepare.alignment.resampling import Array
from ..prepare.alignment.search import Limits
from ..prepare.alignment.transform import Alignment, Box, covered, largest_box

logger = logging.getLogger("gifnet")
FINEST = 2048  # pixels of the longer side at which transforms are refined last
FAR_SCALE = 1.2  # at least, between any two of a stack, where neighbours are looked for no further than pairs are
SMALLEST_SHARE = 0.1  # of the first image, that all must have in common


@dataclass(frozen=True, eq=False)
class _Image:
    """What is kept of an image to align others to it: reduced, as the two kinds of source."""

    name: str
    short_name: str  # for notes
    size: tuple[int, int]  # width, height as it was
    orientations: Source
    gradients: SameSensor
    reduction: Array  # (3, 3), from its pixels to the reduced ones
    matrix: Array  # (3, 3), from the first image's pixels to its own

    @classmethod
    def of(cls, picture: Picture) -> "_Image":
        orientations, gradients = Source.of(picture), SameSensor.of(picture)
        side = min(FINEST, max(orientations.size))
        reduced, reduction = orientations.at(side)
        size = orientations.size
        return cls(picture.name, picture.short_name, size, reduced, gradients.at(side)[0], reduction, np.eye(3))

    def to(self, other: "_Image", motion: Motion, limits: Limits) -> tuple[Array, float]:
        """The matrix from its pixels to the other's, and how far it is to be trusted."""
        matrix, confidence = estimated(self.orientations, other.orientations, motion, limits)
        side = min(max(self.orientations.size), max(other.orientations.size))
        matrix = refined(self.gradients, other.gradients, side, matrix, motion)[1]
        matrix = np.linalg.inv(other.reduction) @ matrix @ self.reduction
        return (without_shear(matrix, self.size) if motion == "similarity" else matrix), confidence


@dataclass(frozen=True, eq=False)
class StackAlignment:
    """Where what all images show of the first one lies in each of them."""

    alignments: tuple[Alignment, ...]  # to a grid of the box's size; the first is not used, for it is only cropped
    box: Box  # left, top, right, bottom (exclusive), of the first image
    note: str

    def apply(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """The same pictures once more, each on the first one's grid, cropped to what all show."""
        alignments: Iterator[Alignment | None] = chain([None], self.alignments[1:])
        for picture in pictures:  # zip and enumerate would hold each until the next is read
            alignment = next(alignments)
            placed = picture.cropped(self.box) if alignment is None else alignment.warp_picture(picture)
            del picture
            yield placed.noted([self.note])
            del placed


def align_stack(pictures: Iterable[Picture], motion: Motion, limits: Limits | None = None) -> StackAlignment:
    """Estimate how the images of a stack lie on the first. Of each, only what is reduced is kept, for the next.

    Raises:
        AlignmentError: an image that can't be aligned, by name, or one that leaves too little that all show.
        InputError: batches, and sides that can't be aligned.
    """
    limits = limits or Limits()
    first = previous = None
    placed: list[tuple[Array, float]] = []
    box: Box = (0, 0, 0, 0)
    for picture in pictures:
        image, confidence = _Image.of(picture), 1.0
        del picture  # before the next is read
        if first is None or previous is None:
            first = image
            left, right = covered(image.matrix, first.size, image.size)
        else:
            image, confidence = _placed(image, previous, first, motion, limits)
            own_left, own_right = covered(image.matrix, first.size, image.size)
            left, right = np.maximum(left, own_left), np.minimum(right, own_right)
        box = largest_box(left, right)
        if (box[2] - box[0]) * (box[3] - box[1]) < SMALLEST_SHARE * first.size[0] * first.size[1]:
            raise AlignmentError(
                f"{image.name}: leaves less than {SMALLEST_SHARE:.0%} of {first.name} that all images show; "
                "leave it out, or put an image from the middle of the stack first"
            )
        placed.append((image.matrix, confidence))
        previous = image
    assert first is not None
    return _finished(first, placed, box, motion)


def _placed(image: _Image, previous: _Image, first: _Image, motion: Motion, near: Limits) -> tuple[_Image, float]:
    """The image with its matrix, and how far that is to be trusted. Raises AlignmentError."""
    best, far = 0.0, replace(near, scale=max(near.scale, FAR_SCALE))
    for other, limits in ((previous, near), (first, far), (previous, far)):
        matrix, confidence = other.to(image, motion, limits)
        if confidence >= MIN_CONFIDENCE:
            logger.info(
                "%s: aligned to %s (%s, confidence %.2f)", image.short_name, other.short_name, motion, confidence
            )
            return replace(image, matrix=matrix @ other.matrix), confidence
        best = max(best, confidence)
    others = first.name if first is previous else f"{previous.name} or {first.name}"
    raise AlignmentError(
        f"{image.name}: no alignment to {others} to be trusted (confidence {best:.2f}, {MIN_CONFIDENCE:.2f} is "
        f"needed); does it show the same scene, with edges in common, and no further apart than {far}? "
        "If not, leave it out"
    )


def _finished(first: _Image, placed: list[tuple[Array, float]], box: Box, motion: Motion) -> StackAlignment:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    corner = np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]])
    alignments = [
        Alignment(matrix @ corner, confidence, (0, 0, width, height), motion, (width, height))
        for matrix, confidence in placed
    ]
    note = (
        f"{len(placed)} images aligned to {first.short_name} ({motion}, confidence from "
        f"{min(confidence for _, confidence in placed):.2f}), cropped to columns {left} to {right - 1} and rows {top} "
        f"to {bottom - 1} of it"
    )
    logger.info("%s", note)
    return StackAlignment(tuple(alignments), box, note)
