"""Aligning two images of one scene that were taken by differing sensors.

Brightness has no common meaning between, say, infrared and visible light, but the orientation of edges has. So each
image is described by its gradient's orientation, as the complex harmonics ``|g|·e^{2iθ}`` and ``|g|·e^{4iθ}``: even
harmonics do not tell dark-to-bright from bright-to-dark. Divided by the gradient's root mean square around each pixel,
faint edges count as strong ones do. The transform is the one that maximises the correlation of these descriptions: a
search over rotations and scales with Fourier correlation for the shift (Fitch et al., *Orientation correlation*, BMVC
2002, there with ``e^{iθ}``), then ascent of the enhanced correlation coefficient (Evangelidis and Psarakis, TPAMI
2008), coarse to fine.
"""

from operator import itemgetter

from ...errors import AlignmentError
from ...execution.context import in_plain_context
from ...images.picture import Picture, ReadablePicture
from ...images.reading import ImageLike, read
from ...options import declarations as options
from ...options.values import DEFAULT_PERCENTILES, Motion, StretchLimits
from ..stretch import stretched
from .confidence import confidence_of
from .description import Source
from .refinement import refined, without_shear
from .resampling import Array
from .search import Limits, search
from .transform import Alignment, overlap_of

MIN_CONFIDENCE = options.MIN_CONFIDENCE.default
SEARCH_SIDE, SIDES = 160, (320, 640, 1280)  # pixels of the longer side at which to search, then to refine


@in_plain_context
def align(
    a: ImageLike,
    b: ImageLike,
    *,
    page: int | None = None,
    motion: Motion = "affine",
    max_shift: float = 0.25,
    max_rotation: float = 6.0,
    max_scale: float = 1.06,
    min_confidence: float = 0.2,
) -> Alignment:
    """Estimate the transform between two images of one scene, of the same sensor or of differing ones.

    Args:
        a: an image as ``gifnet.fuse`` takes it, or of values on any scale: the grid to align to. Transparent pixels
            don't count.
        b: an image of the same kinds, of any size; it is taken to show about what ``a`` shows, larger or smaller.
        page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.
        motion: what may lie between the images: ``"translation"``, ``"similarity"`` (and rotation, scale), ``"affine"``
            or ``"homography"``.
        max_shift: how far alignment searches, as a part of each side. From 0 to 0.5.
        max_rotation: how far alignment searches, in degrees either way. From 0 to 45; not with ``"translation"``.
        max_scale: how far alignment searches, as a factor either way, once both images have one size. From 1 to 2; not
            with ``"translation"``.
        min_confidence: refuse what is below it, from 0 to 1.

    Returns:
        The transform, how sure it is, and where both images are defined. The confidence is the share of the image's
        regions in which edges match better at the transform than at any of 24 wrong shifts; 0.05 to 0.15 for unrelated
        images.

    Raises:
        AlignmentError: the images have too little structure in common.
        InputError: whatever is wrong with an image or argument.
        MissingExtraError: OpenCV is missing (extra "align").
    """
    limits = Limits(
        options.MAX_SHIFT.check(max_shift), options.MAX_ROTATION.check(max_rotation), options.MAX_SCALE.check(max_scale)
    )
    motion, min_confidence = options.MOTION.check(motion), options.MIN_CONFIDENCE.check(min_confidence)
    page = options.PAGE.check(page)
    first, second = (to_align(read(image, name, page)) for name, image in (("a", a), ("b", b)))
    return align_pictures(first, second, motion, limits, min_confidence)


def to_align(picture: ReadablePicture) -> Picture:
    """With its pixels; those of values on a scale of their own, which alignment needs none for, by percentiles."""
    given = picture.as_given()
    return given if isinstance(given, Picture) else stretched(given, StretchLimits(*DEFAULT_PERCENTILES))[0]


def align_pictures(
    a: Picture,
    b: Picture,
    motion: Motion = "affine",
    limits: Limits | None = None,
    min_confidence: float = MIN_CONFIDENCE,
) -> Alignment:
    """As ``align``, of images already read."""
    limits = limits or Limits()
    first, second = Source.of(a), Source.of(b)
    matrix, confidence = estimated(first, second, motion, limits)
    if confidence < min_confidence:
        raise AlignmentError(
            f"{a.name} and {b.name}: no alignment to be trusted (confidence {confidence:.2f}, "
            f"{min_confidence:.2f} is needed); do they show one scene, with edges in common, and no further apart "
            f"than {limits}?"
        )
    if motion == "similarity":
        matrix = without_shear(matrix, first.size)
    overlap = overlap_of(matrix, first.size, second.size)
    return Alignment(matrix, confidence, overlap, motion, first.size, second.size)


def estimated(a: Source, b: Source, motion: Motion, limits: Limits) -> tuple[Array, float]:
    """The matrix from ``a``'s pixels to ``b``'s, and how far it is to be trusted."""
    longest = min(max(a.size), max(b.size))  # so that both can be brought to one size without enlarging
    starts = search(a, b, min(SEARCH_SIDE, longest), motion, limits)
    sides = sorted({min(side, longest) for side in SIDES})
    # Which of them is right shows where there is more detail.
    matrix = max((refined(a, b, sides[0], start, motion) for start in starts), key=itemgetter(0))[1]
    for side in sides[1:]:
        matrix = refined(a, b, side, matrix, motion)[1]
    return matrix, confidence_of(a, b, min(SIDES[0], longest), matrix)
