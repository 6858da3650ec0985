"""Aligning two images of one scene that were taken by differing sensors; and the subcommand ``gifnet align``.

Brightness has no common meaning between, say, infrared and visible light, but the orientation of edges has. So each
image is described by its gradient's orientation, as the complex harmonics ``|g|·e^{2iθ}`` and ``|g|·e^{4iθ}``: even
harmonics do not tell dark-to-bright from bright-to-dark. Divided by the gradient's root mean square around each pixel,
faint edges count as strong ones do. The transform is the one that maximises the correlation of these descriptions: a
search over rotations and scales with Fourier correlation for the shift (Fitch et al., *Orientation correlation*, BMVC
2002, there with ``e^{iθ}``), then ascent of the enhanced correlation coefficient (Evangelidis and Psarakis, TPAMI
2008), coarse to fine.
"""

import argparse
import itertools
import json
import math
import sys
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from ..errors import AlignmentError, InputError
from ..extras import require
from ..files.reading import check_output, write_file
from ..images.reading import ImageLike, Picture, read, read_for_writing

Motion: TypeAlias = Literal["translation", "similarity", "affine", "homography"]
MOTIONS: tuple[Motion, ...] = get_args(Motion)
MIN_CONFIDENCE = 0.2
MIN_SIDE = 32  # pixels; smaller images hold too little to tell a match from chance

_Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
_Box: TypeAlias = tuple[int, int, int, int]

_SEARCH_SIDE, _SIDES = 160, (320, 640, 1280)  # pixels of the longer side at which to search, then to refine
_STILLNESS = 1.5  # correlation that a motion by the image's side costs, and by a part of it, that squared
_PARAMETERS = {"translation": 2, "similarity": 4, "affine": 6, "homography": 8}


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where ``a``'s pixels lie in ``b``, as ``gifnet.align`` estimates it."""

    matrix: _Array  # (3, 3) float64: (x, y, 1) of a pixel's centre in a to b's; x to the right, y down, (0, 0) top left
    confidence: float  # 0 to 1, the share of the image's regions that agree
    overlap: _Box  # left, top, right, bottom (exclusive) in a: the largest rectangle in which b is defined
    motion: Motion
    size: tuple[int, int]  # width, height of a

    def warp(self, b: ImageLike) -> Any:
        """``b``, an image as ``gifnet.fuse`` takes it, resampled (bicubic) onto ``a``'s grid; its kind and dtype kept.

        What ``b`` does not show is 0, and transparent if ``b`` has alpha.
        """
        warped = self.warp_picture(read(b, "b"))
        return warped.pack(warped.pixels, warped.alpha)

    def warp_picture(self, picture: Picture) -> Picture:
        """As ``warp``, before the way back to the caller's kind."""
        if len(picture.pixels) != 1:
            raise InputError(f"{picture.name}: a batch of {len(picture.pixels)} images; warp one at a time")
        return picture.resampled(self._warp_planes)

    def _warp_planes(self, planes: Tensor) -> Tensor:
        """(1, C, H, W) onto ``a``'s grid."""
        cv2 = _opencv()
        image = np.ascontiguousarray(planes[0].permute(1, 2, 0).cpu().numpy())
        shrink = math.sqrt(abs(np.linalg.det(self.matrix[:2, :2])))
        if shrink > 1.2:  # finer than the grid it goes to: without a blur first, it would alias
            image = cv2.GaussianBlur(image, (0, 0), 0.5 * math.sqrt(shrink**2 - 1))
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        warped = cv2.warpPerspective(image, self.matrix, self.size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        first, last = _covered(self.matrix, self.size, (planes.shape[-1], planes.shape[-2]))
        column = np.arange(self.size[0])
        warped[(column < first[:, None]) | (column > last[:, None])] = 0
        return torch.from_numpy(warped.reshape(*self.size[::-1], -1)).permute(2, 0, 1)[None].to(planes.device)

    def summary(self) -> str:
        """Matrix, confidence and overlap as text."""
        rows = "\n".join(" ".join(f"{value:12.6g}" for value in row) for row in self.matrix)
        left, top, right, bottom = self.overlap
        return f"{rows}\nconfidence {self.confidence:.2f}\noverlap {left},{top} to {right},{bottom} ({self.motion})"

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "motion": self.motion,
            "matrix": self.matrix.tolist(),
            "confidence": self.confidence,
            "overlap": list(self.overlap),
        }


def align(
    a: ImageLike,
    b: ImageLike,
    *,
    motion: Motion = "affine",
    max_shift: float = 0.25,
    max_rotation: float = 6.0,
    max_scale: float = 1.06,
    min_confidence: float = MIN_CONFIDENCE,
) -> Alignment:
    """Estimate the transform between two images of one scene, of the same sensor or of differing ones.

    Args:
        a: an image as ``gifnet.fuse`` takes it: the grid to align to. Transparent pixels don't count.
        b: likewise, of any size; it is taken to show about what ``a`` shows, larger or smaller.
        motion: ``"translation"``, ``"similarity"`` (and rotation, scale), ``"affine"`` or ``"homography"``.
        max_shift: how far to search, as a part of each side.
        max_rotation: how far to search, in degrees either way; not with ``"translation"``.
        max_scale: how far to search, as a factor either way, once both images have been brought to one size; not with
            ``"translation"``.
        min_confidence: refuse what is below it.

    Returns:
        The transform, how sure it is, and where both images are defined. The confidence is the share of the image's
        regions in which edges match better at the transform than at any of 24 wrong shifts; 0.05 to 0.15 for unrelated
        images.

    Raises:
        AlignmentError: the images have too little structure in common.
        InputError: whatever is wrong with an image or argument.
        MissingExtraError: OpenCV is missing (extra "align").
    """
    limits = _Limits(max_shift, max_rotation, max_scale)
    return align_pictures(read(a, "a"), read(b, "b"), motion, limits, min_confidence)


@dataclass(frozen=True)
class _Limits:
    """How far to search; see ``align``."""

    shift: float = 0.25
    rotation: float = 6.0
    scale: float = 1.06

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 0.5:
            raise InputError(f"max_shift: {self.shift} is outside 0 to 0.5 (half of each side)")
        if not 0 <= self.rotation <= 45:
            raise InputError(f"max_rotation: {self.rotation} is outside 0 to 45 degrees")
        if not 1 <= self.scale <= 2:
            raise InputError(f"max_scale: {self.scale} is outside 1 to 2")

    def starts(self, motion: Motion) -> list[tuple[float, float]]:
        """Rotations in radians and scales, close enough for the ascent to find what lies between them."""
        if motion == "translation":
            return [(0.0, 1.0)]
        turns, zooms = math.ceil(self.rotation / 1.5), math.ceil(math.log(self.scale) / 0.03)
        rotations = np.deg2rad(np.linspace(-self.rotation, self.rotation, 2 * turns + 1))
        scales = np.exp(np.linspace(-math.log(self.scale), math.log(self.scale), 2 * zooms + 1))
        return list(itertools.product(rotations.tolist(), scales.tolist()))


def align_pictures(
    a: Picture,
    b: Picture,
    motion: Motion = "affine",
    limits: _Limits | None = None,
    min_confidence: float = MIN_CONFIDENCE,
) -> Alignment:
    """As ``align``, of images already read."""
    if motion not in MOTIONS:
        raise InputError(f"motion: {motion!r}; use {', '.join(map(repr, MOTIONS))}")
    if not 0 <= min_confidence <= 1:
        raise InputError(f"min_confidence: {min_confidence} is outside 0 to 1")
    limits = limits or _Limits()
    first, second = _Source.of(a), _Source.of(b)
    longest = min(max(first.size), max(second.size))  # so that both can be brought to one size without enlarging
    starts = _search(first, second, min(_SEARCH_SIDE, longest), motion, limits)
    sides = sorted({min(side, longest) for side in _SIDES})
    # Which of them is right shows where there is more detail.
    matrix = max((_refined(first, second, sides[0], start, motion) for start in starts), key=itemgetter(0))[1]
    for side in sides[1:]:
        matrix = _refined(first, second, side, matrix, motion)[1]
    confidence = _confidence(first, second, min(_SIDES[0], longest), matrix)
    if confidence < min_confidence:
        raise AlignmentError(
            f"{a.name} and {b.name}: no alignment to be trusted (confidence {confidence:.2f}, "
            f"{min_confidence:.2f} is needed); do they show one scene, with edges in common, and no further apart "
            f"than {limits.shift:.0%} of a side, {limits.rotation:g}° and a factor of {limits.scale:g}?"
        )
    if motion == "similarity":
        matrix = _without_shear(matrix, first.size)
    overlap = _overlap(matrix, first.size, second.size)
    return Alignment(matrix, confidence, overlap, motion, first.size)


# --- description ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Source:
    """An image to describe at several resolutions."""

    image: _Array  # (H, W, 1 or 3) float32, its range stretched to about [0, 1]
    valid: _Array  # (H, W) float32: 1, or 0 where transparent

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[0]

    @classmethod
    def of(cls, picture: Picture) -> "_Source":
        if len(picture.pixels) != 1:
            raise InputError(f"{picture.name}: a batch of {len(picture.pixels)} images; align one pair at a time")
        if min(picture.pixels.shape[-2:]) < MIN_SIDE or max(picture.pixels.shape[-2:]) >= 2**15:
            raise InputError(
                f"{picture.name}: {picture.size} pixels; sides of {MIN_SIDE} to {2**15 - 1} can be aligned"
            )
        image = np.ascontiguousarray(picture.pixels[0].permute(1, 2, 0).cpu().numpy())
        shape = image.shape[:2]
        valid = np.ones(shape, np.float32) if picture.alpha is None else picture.alpha[0, 0].cpu().numpy()
        valid = (valid > 0.5).astype(np.float32)
        seen = image[valid > 0]
        low, high = np.percentile(seen, (0.5, 99.5)) if seen.size else (0, 0)
        if high <= low:
            low, high = (seen.min(), seen.max()) if seen.size else (0, 0)
        if high <= low:
            raise AlignmentError(f"{picture.name}: has no edges to align by, it is the same everywhere")
        return cls(((image - low) / (high - low)).clip(-0.5, 1.5).astype(np.float32), valid)

    def at(self, side: int) -> tuple["_Source", _Array]:
        """Reduced to ``side`` pixels on the longer side; and the matrix from its pixels to the reduced ones."""
        cv2 = _opencv()
        width, height = self.size
        factor = side / max(width, height)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        x, y = size[0] / width, size[1] / height
        matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
        if size == self.size:
            return self, matrix
        image = cv2.resize(self.image, size, interpolation=cv2.INTER_AREA)
        valid = cv2.resize(self.valid, size, interpolation=cv2.INTER_AREA)
        return _Source(image.reshape(*size[::-1], -1), (valid > 0.99).astype(np.float32)), matrix

    def warped(self, matrix: _Array, size: tuple[int, int]) -> "_Source":
        """Seen through ``matrix`` (from the new pixels to this image's)."""
        image = _warp(self.image, matrix, size, replicate=True).reshape(*size[::-1], -1)
        return _Source(image, (_warp(self.valid, matrix, size) > 0.99).astype(np.float32))

    def described(self) -> "_Edges":
        """Orientation harmonics, locally normalised."""
        cv2 = _opencv()
        energy: Any = 0
        harmonics: Any = [0, 0]
        for channel in np.moveaxis(self.image, -1, 0):
            smooth = cv2.GaussianBlur(np.ascontiguousarray(channel), (0, 0), 1.0)
            x = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
            y = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
            length = np.hypot(x, y)
            turn = ((x + 1j * y) / np.maximum(length, 1e-9)) ** 2
            energy = energy + length**2
            harmonics = [harmonics[0] + length * turn, harmonics[1] + length * turn**2]
        # What is next to nothing, or to transparent pixels, has an edge only because of that.
        valid = cv2.erode(self.valid, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE)

        def around(plane: _Array) -> _Array:
            blurred: _Array = cv2.GaussianBlur(plane, (0, 0), 8.0, borderType=cv2.BORDER_CONSTANT)
            return blurred

        noise = 0.004 * math.sqrt(self.image.shape[2])  # of the range and pixel: no edge, and not to be amplified
        scale = valid / (np.sqrt(around(energy * valid) / (around(valid) + 1e-6)) + noise)
        planes = [part * scale for harmonic in harmonics for part in (harmonic.real, harmonic.imag)]
        values = cv2.GaussianBlur(np.stack(planes, axis=-1).astype(np.float32), (0, 0), 1.5)
        return _Edges(values, valid)


@dataclass(frozen=True, eq=False)
class _Edges:
    """Real and imaginary parts of both harmonics, about zero mean."""

    values: _Array  # (H, W, 4) float32
    valid: _Array  # (H, W) float32, 0 or 1

    @property
    def size(self) -> tuple[int, int]:
        return self.values.shape[1], self.values.shape[0]

    def warped(self, matrix: _Array) -> "_Edges":
        valid = (_warp(self.valid, matrix, self.size) > 0.99).astype(np.float32)
        return _Edges(_warp(self.values, matrix, self.size), valid)


def _warp(planes: _Array, matrix: _Array, size: tuple[int, int], replicate: bool = False) -> _Array:
    cv2 = _opencv()
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: _Array = cv2.warpPerspective(planes, matrix, size, flags=flags, borderMode=border)
    return warped


# --- search -----------------------------------------------------------------------------------------


def _search(a: _Source, b: _Source, side: int, motion: Motion, limits: _Limits) -> list[_Array]:
    """The best of all shifts, and of rotations and scales on a grid, refined at this resolution: up to four."""
    (small_a, to_a), (small_b, to_b) = a.at(side), b.at(side)
    first = small_a.described()
    centre = (np.array(small_b.size) - 1) / 2
    spread = (first.size[0] ** 2 + first.size[1] ** 2) / 12  # mean squared distance from the centre, in pixels
    found: list[tuple[float, _Array]] = []
    for rotation, scale in limits.starts(motion):
        turned = scale * np.array([[math.cos(rotation), -math.sin(rotation)], [math.sin(rotation), math.cos(rotation)]])
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = turned, centre - turned @ centre
        surface, x, y = _correlation(first, small_b.warped(matrix, small_b.size).described())
        # Of two nearly as good, the smaller motion is the likelier.
        offset = (small_b.size[0] - first.size[0]) / 2, (small_b.size[1] - first.size[1]) / 2
        moved = (x - offset[0]) ** 2 + (y[:, None] - offset[1]) ** 2 + spread * (rotation**2 + math.log(scale) ** 2)
        surface = surface - _STILLNESS * moved / side**2
        surface[np.abs(y - offset[1]) > limits.shift * first.size[1] + 0.5] = -1
        surface[:, np.abs(x - offset[0]) > limits.shift * first.size[0] + 0.5] = -1
        row, column = np.unravel_index(surface.argmax(), surface.shape)
        shift = np.eye(3)
        shift[:2, 2] = x[column], y[row]
        found.append((float(surface[row, column]), matrix @ shift))
    distinct: list[_Array] = []
    for _, matrix in sorted(found, key=itemgetter(0), reverse=True):
        if all(_corner_distance(matrix, other, first.size) > 12 for other in distinct):
            distinct.append(matrix)
    step: Motion = motion if motion == "translation" else "similarity"
    starts = [_refined(a, b, side, np.linalg.inv(to_b) @ matrix @ to_a, step) for matrix in distinct[:4]]
    highest = max(score for score, _ in starts)
    return [matrix for score, matrix in starts if score > highest - 0.1]


def _correlation(a: _Edges, b: _Edges) -> tuple[_Array, _Array, _Array]:
    """The correlation of ``a`` with ``b`` at every shift where half of either overlaps (else -1); and the shifts."""
    width, height = (_fft_length(one + other) for one, other in zip(a.size, b.size, strict=True))

    def spectrum(plane: _Array) -> _Array:
        return np.fft.rfft2(plane, (height, width), axes=(0, 1))

    def product(first: _Array, second: _Array) -> _Array:
        return np.fft.irfft2(np.conj(first) * second, (height, width))

    valid_a, valid_b = spectrum(a.valid), spectrum(b.valid)
    both = np.einsum("hwc,hwc->hw", np.conj(spectrum(a.values)), spectrum(b.values))
    power = product(spectrum((a.values**2).sum(-1)), valid_b) * product(valid_a, spectrum((b.values**2).sum(-1)))
    surface = np.fft.irfft2(both, (height, width)) / np.sqrt(np.maximum(power, 1e-6 * power.max() + 1e-12))
    surface[product(valid_a, valid_b) < 0.5 * min(a.valid.sum(), b.valid.sum())] = -1
    return surface, np.fft.fftfreq(width, 1 / width), np.fft.fftfreq(height, 1 / height)


def _fft_length(least: int) -> int:
    return int(_opencv().getOptimalDFTSize(least))


def _corner_distance(one: _Array, other: _Array, size: tuple[int, int]) -> float:
    """The largest distance, over the corners of a ``size`` image, between where two matrices take them."""
    return float(np.linalg.norm(_corners(one, size) - _corners(other, size), axis=1).max())


def _corners(matrix: _Array, size: tuple[int, int]) -> _Array:
    width, height = size[0] - 1, size[1] - 1
    points = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ matrix.T
    return np.asarray(points[:, :2] / points[:, 2:])


# --- refinement -------------------------------------------------------------------------------------

# Infinitesimal motions of the plane, as matrices: x, y, scale, rotation, two shears, two perspectives.
_MOTIONS = np.array(
    [
        [[0, 0, 1], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 1], [0, 0, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 0]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [0, -1, 0], [0, 0, 0]],
        [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [-1, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [0, -1, 0]],
    ],
    dtype=float,
)


def _refined(a: _Source, b: _Source, side: int, matrix: _Array, motion: Motion) -> tuple[float, _Array]:
    """The matrix after ascent at one resolution, and the correlation there less a little for how far it moves."""
    (small_a, to_a), (small_b, to_b) = a.at(side), b.at(side)
    start = to_b @ matrix @ np.linalg.inv(to_a)
    first = small_a.described()
    correlation, step = _ascend(first, small_b.warped(start, first.size).described(), motion)
    offset = (np.array(small_b.size) - first.size) / 2
    moved = _corners(start @ step, first.size) - _corners(np.eye(3), first.size) - offset
    score = correlation - _STILLNESS * float((moved**2).sum(axis=1).mean()) / side**2
    return score, np.linalg.inv(to_b) @ start @ step @ to_a


def _ascend(a: _Edges, b: _Edges, motion: Motion, steps: int = 30, precision: float = 0.01) -> tuple[float, _Array]:
    """Maximise the correlation of ``a`` with ``b`` seen through a matrix near the identity.

    Newton's steps on the enhanced correlation coefficient (Evangelidis and Psarakis 2008), composed; halved while they
    don't ascend; until they move no corner by ``precision`` pixels.
    """
    cv2 = _opencv()
    count = _PARAMETERS[motion]
    width, height = a.size
    unit = max(width, height) / 2  # coordinates from about -1 to 1, for well-conditioned equations
    to_unit = np.array([[1 / unit, 0, (1 - width) / 2 / unit], [0, 1 / unit, (1 - height) / 2 / unit], [0, 0, 1]])
    x, y = np.meshgrid(np.arange(width) * to_unit[0, 0] + to_unit[0, 2], np.arange(height) / unit + to_unit[1, 2])
    zero, one = np.zeros_like(x), np.ones_like(x)
    along_x = np.stack([one, zero, x, -y, x, y, x * x, x * y][:count]).reshape(count, -1).astype(np.float32)
    along_y = np.stack([zero, one, y, x, -y, x, x * y, y * y][:count]).reshape(count, -1).astype(np.float32)

    def total(planes: _Array) -> _Array:
        return np.asarray(cv2.transform(planes, np.ones((1, 4), np.float32))).reshape(-1)  # over channels

    best, result = -1.0, np.eye(3)
    step, matrix = np.zeros(count), np.eye(3)
    for _ in range(steps):
        seen = b.warped(matrix)
        valid = (a.valid * seen.valid).reshape(-1)
        both = float(valid @ total(a.values * seen.values))
        power = float(valid @ total(seen.values**2))
        correlation = both / math.sqrt(max(power * float(valid @ total(a.values**2)), 1e-12))
        if correlation > best:
            best, result = correlation, matrix
            gradient_x = cv2.Sobel(seen.values, cv2.CV_32F, 1, 0, scale=1 / 8)
            gradient_y = cv2.Sobel(seen.values, cv2.CV_32F, 0, 1, scale=1 / 8)
            xx = along_x * (valid * total(gradient_x**2))
            xy = valid * total(gradient_x * gradient_y)
            yy = along_y * (valid * total(gradient_y**2))
            mixed = (along_x * xy) @ along_y.T
            normal = (xx @ along_x.T + mixed + mixed.T + yy @ along_y.T).astype(np.float64)
            normal += np.eye(count) * (1e-4 * np.trace(normal) / count + 1e-12)

            def projected(planes: _Array) -> _Array:
                by_x = valid * total(gradient_x * planes)  # noqa: B023  (used at once)
                by_y = valid * total(gradient_y * planes)  # noqa: B023
                return np.asarray(along_x @ by_x + along_y @ by_y).astype(np.float64)

            toward, self_ = projected(a.values), projected(seen.values)
            solved = np.linalg.solve(normal, np.stack([toward, self_], axis=1))
            remaining = both - toward @ solved[:, 1]
            gain = (power - self_ @ solved[:, 1]) / remaining if remaining > 0 else power / max(both, 1e-9)
            step = gain * solved[:, 0] - solved[:, 1]  # in pixels at unit distance from the centre
            step *= min(1, 4 / max(np.abs(step).max(), 1e-9))
        else:
            step = step / 2
        if np.abs(step).max() < precision:
            break
        change = np.eye(3) + np.tensordot(step / unit, _MOTIONS[:count], axes=1)
        matrix = result @ np.linalg.inv(to_unit) @ change @ to_unit
    return best, result


def _without_shear(matrix: _Array, size: tuple[int, int]) -> _Array:
    """The similarity nearest to a matrix that is almost one: reduced sizes are rounded, x and y not quite alike."""
    cosine, sine = (matrix[0, 0] + matrix[1, 1]) / 2, (matrix[1, 0] - matrix[0, 1]) / 2
    centre = np.array([size[0] - 1, size[1] - 1]) / 2
    pure = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    pure[:2, 2] = matrix[:2, :2] @ centre + matrix[:2, 2] - pure[:2, :2] @ centre
    return pure


# --- trust and overlap ------------------------------------------------------------------------------


# Wrong by 10 to 24 of 320 pixels, in eight directions: beyond the width of an edge's own correlation.
_WRONG = [
    (round(radius * math.cos(angle)), round(radius * math.sin(angle)))
    for radius in (10, 16, 24)
    for angle in np.arange(8) * math.pi / 4
]


def _confidence(a: _Source, b: _Source, side: int, matrix: _Array) -> float:
    """The share of regions, of those with edges in both images, that agree.

    A region agrees if its own correlation at the transform exceeds that at every one of 24 wrong shifts; by chance,
    one in 25 does.
    """
    cv2 = _opencv()
    (small_a, to_a), (small_b, to_b) = a.at(side), b.at(side)
    first = small_a.described()
    second = small_b.warped(to_b @ matrix @ np.linalg.inv(to_a), first.size).described()
    grid = (12, 9) if first.size[0] >= first.size[1] else (9, 12)

    def regions(planes: _Array) -> _Array:
        return np.asarray(cv2.resize(planes.sum(axis=-1), grid, interpolation=cv2.INTER_AREA))

    def correlation(x: int, y: int) -> _Array:
        moved, valid = (np.roll(plane, (y, x), (0, 1)) for plane in (second.values, second.valid))
        valid = (valid * first.valid)[..., None]
        power = regions(first.values**2 * valid) * regions(moved**2 * valid)
        return regions(first.values * moved * valid) / np.sqrt(power + 1e-9)

    energies = [regions(edges.values**2 * (first.valid * second.valid)[..., None]) for edges in (first, second)]
    counted = np.logical_and(*(energy > 0.1 * energy.mean() for energy in energies))
    wrong = np.max([correlation(round(x * side / 320), round(y * side / 320)) for x, y in _WRONG], axis=0)
    agreeing = (correlation(0, 0) > wrong) & counted
    return float(agreeing.sum() / max(counted.sum(), 0.75 * counted.size))  # few regions agree by chance more often


def _covered(matrix: _Array, size: tuple[int, int], other: tuple[int, int]) -> tuple[_Array, _Array]:
    """For each row of a ``size`` grid, the first and the last column (float) that ``matrix`` takes into ``other``.

    Where there is none, the first is greater than the last.
    """
    row = np.arange(size[1])
    left, right = np.zeros(size[1]), np.full(size[1], size[0] - 1.0)
    # A pixel reaches half a pixel beyond its centre: -1/2 <= x/w <= width - 1/2, and likewise y, where w > 0.
    below = np.diag([1.0, 1.0, 0.0])[:2] @ matrix + 0.5 * matrix[2]
    above = np.outer(np.array(other) - 0.5, matrix[2]) - matrix[:2]
    for slope, tilt, constant in [*below, *above, matrix[2] - [0, 0, 1e-9]]:  # slope·column + tilt·row + constant >= 0
        rest = tilt * row + constant
        if abs(slope) < 1e-12:
            left = np.where(rest < 0, size[0], left)
        elif slope > 0:
            left = np.maximum(left, np.ceil(-rest / slope - 1e-6))
        else:
            right = np.minimum(right, np.floor(-rest / slope + 1e-6))
    return left, right


def _overlap(matrix: _Array, size: tuple[int, int], other: tuple[int, int]) -> _Box:
    """The largest rectangle of a ``size`` grid that ``matrix`` takes into ``other``: left, top, right, bottom."""
    left, right = _covered(matrix, size, other)
    best, box = 0.0, (0, 0, 0, 0)
    for top in range(size[1]):
        # The covered region is convex, so a rectangle is in it if its top and bottom rows are.
        first, last = np.maximum(left[top], left[top:]), np.minimum(right[top], right[top:])
        area = (last - first + 1).clip(min=0) * np.arange(1, size[1] - top + 1)
        index = int(area.argmax())
        if area[index] > best:
            best, box = float(area[index]), (int(first[index]), top, int(last[index]) + 1, top + index + 1)
    return box


def _opencv() -> Any:
    return require("cv2", extra="align", purpose="aligning")


# --- the command line -------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet align``."""
    parser.add_argument("a", metavar="A", help="the image to align to")
    parser.add_argument("b", metavar="B", help="the image to align")
    parser.add_argument("-o", "--output", metavar="B_ALIGNED", help="B warped onto A's grid; its suffix is the format")
    parser.add_argument("--motion", choices=MOTIONS, default="affine", help="what may lie between them (affine)")
    parser.add_argument(
        "--crop", action="store_true", help="crop B_ALIGNED to the overlap; otherwise what B does not show is 0"
    )
    parser.add_argument("--json", action="store_true", help="print matrix, confidence and overlap as JSON")
    parser.add_argument("--page", type=int, metavar="N", help="of files that hold several images, this one (0: first)")


def run(args: argparse.Namespace) -> int:
    """Align, write the warped image and print the estimate. Returns 0; raises as ``align`` does."""
    if args.output:
        check_output(args.output)  # before the work, not after it
    a, b = (read_for_writing(path, args.page) for path in (args.a, args.b))
    found = align_pictures(a, b, args.motion)
    if args.output:
        warped = found.warp_picture(b)
        warped = warped.cropped(found.overlap) if args.crop else warped
        write_file(warped.pack(warped.pixels, warped.alpha), args.output)
    sys.stdout.write((json.dumps(found.as_dict()) if args.json else found.summary()) + "\n")
    return 0
