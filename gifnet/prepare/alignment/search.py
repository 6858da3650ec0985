"""Search for where to begin: over all shifts, and a grid of rotations and scales."""

import itertools
import math
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from ...options.values import Motion
from .description import Edges, Source
from .opencv import opencv
from .refinement import STILLNESS, refined
from .resampling import Array
from .transform import corners


@dataclass(frozen=True)
class Limits:
    """How far to search; see ``align``."""

    shift: float = 0.25
    rotation: float = 6.0
    scale: float = 1.06

    def __str__(self) -> str:
        """How far apart images may lie, and what has them searched for further apart."""
        return (
            f"{self.shift:.0%} of a side (max_shift={self.shift:g}), {self.rotation:g}° "
            f"(max_rotation={self.rotation:g}) and a factor of {self.scale:g} (max_scale={self.scale:g}; on the "
            "command line --max-shift, --max-rotation, --max-scale)"
        )

    def starts(self, motion: Motion) -> list[tuple[float, float]]:
        """Rotations in radians and scales, close enough for the ascent to find what lies between them."""
        if motion == "translation":
            return [(0.0, 1.0)]
        turns, zooms = math.ceil(self.rotation / 1.5), math.ceil(math.log(self.scale) / 0.03)
        rotations = np.deg2rad(np.linspace(-self.rotation, self.rotation, 2 * turns + 1))
        scales = np.exp(np.linspace(-math.log(self.scale), math.log(self.scale), 2 * zooms + 1))
        return list(itertools.product(rotations.tolist(), scales.tolist()))


def search(a: Source, b: Source, side: int, motion: Motion, limits: Limits) -> list[Array]:
    """The best of all shifts, and of rotations and scales on a grid, refined at this resolution: up to four."""
    (small_a, to_a), (small_b, to_b) = a.at(side), b.at(side)
    first = small_a.described()
    width, height = (_fft_length(one + other) for one, other in zip(first.size, small_b.size, strict=True))
    of_first = _Spectra.of(first, height, width)
    centre = (np.array(small_b.size) - 1) / 2
    spread = (first.size[0] ** 2 + first.size[1] ** 2) / 12  # mean squared distance from the centre, in pixels
    found: list[tuple[float, Array]] = []
    for rotation, scale in limits.starts(motion):
        turned = scale * np.array([[math.cos(rotation), -math.sin(rotation)], [math.sin(rotation), math.cos(rotation)]])
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = turned, centre - turned @ centre
        of_second = _Spectra.of(small_b.warped(matrix, small_b.size).described(), height, width)
        surface, x, y = _correlation(of_first, of_second)
        # Of two nearly as good, the smaller motion is the likelier.
        offset = (small_b.size[0] - first.size[0]) / 2, (small_b.size[1] - first.size[1]) / 2
        moved = (x - offset[0]) ** 2 + (y[:, None] - offset[1]) ** 2 + spread * (rotation**2 + math.log(scale) ** 2)
        surface = surface - STILLNESS * moved / side**2
        surface[np.abs(y - offset[1]) > limits.shift * first.size[1] + 0.5] = -1
        surface[:, np.abs(x - offset[0]) > limits.shift * first.size[0] + 0.5] = -1
        row, column = np.unravel_index(surface.argmax(), surface.shape)
        shift = np.eye(3)
        shift[:2, 2] = x[column], y[row]
        found.append((float(surface[row, column]), matrix @ shift))
    distinct: list[Array] = []
    for _, matrix in sorted(found, key=itemgetter(0), reverse=True):
        if all(_corner_distance(matrix, other, first.size) > 12 for other in distinct):
            distinct.append(matrix)
    step: Motion = motion if motion == "translation" else "similarity"
    starts = [refined(a, b, side, np.linalg.inv(to_b) @ matrix @ to_a, step) for matrix in distinct[:4]]
    highest = max(score for score, _ in starts)
    return [matrix for score, matrix in starts if score > highest - 0.1]


@dataclass(frozen=True)
class _Spectra:
    """Real Fourier transforms of a description, of as many rows and columns as both images have together, or more."""

    shape: tuple[int, int]  # of what was transformed, with what it is filled up with
    count: float  # of valid pixels
    valid: Array  # (H, W // 2 + 1)
    values: Array  # (H, W // 2 + 1, C)
    power: Array  # (H, W // 2 + 1), of the values squared and summed

    @classmethod
    def of(cls, edges: Edges, height: int, width: int) -> "_Spectra":
        planes = (edges.valid, edges.values, (edges.values**2).sum(-1))
        valid, values, power = (np.fft.rfft2(plane, (height, width), axes=(0, 1)) for plane in planes)
        return cls((height, width), float(edges.valid.sum()), valid, values, power)


def _correlation(a: _Spectra, b: _Spectra) -> tuple[Array, Array, Array]:
    """The correlation of ``a`` with ``b`` at every shift where half of either overlaps (else -1); and the shifts."""
    height, width = a.shape

    def product(first: Array, second: Array) -> Array:
        return np.fft.irfft2(np.conj(first) * second, a.shape)

    both = np.einsum("hwc,hwc->hw", np.conj(a.values), b.values)
    power = product(a.power, b.valid) * product(a.valid, b.power)
    surface = np.fft.irfft2(both, a.shape) / np.sqrt(np.maximum(power, 1e-6 * power.max() + 1e-12))
    surface[product(a.valid, b.valid) < 0.5 * min(a.count, b.count)] = -1
    return surface, np.fft.fftfreq(width, 1 / width), np.fft.fftfreq(height, 1 / height)


def _fft_length(least: int) -> int:
    return int(opencv().getOptimalDFTSize(least))


def _corner_distance(one: Array, other: Array, size: tuple[int, int]) -> float:
    """The largest distance, over the corners of a ``size`` image, between where two matrices take them."""
    return float(np.linalg.norm(corners(one, size) - corners(other, size), axis=1).max())
