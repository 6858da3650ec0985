"""How far a transform is to be trusted."""

import math

import numpy as np

from .description import Source
from .opencv import opencv
from .resampling import Array

# Wrong by 10 to 24 of 320 pixels, in eight directions: beyond the width of an edge's own correlation.
_WRONG = [
    (round(radius * math.cos(angle)), round(radius * math.sin(angle)))
    for radius in (10, 16, 24)
    for angle in np.arange(8) * math.pi / 4
]


def confidence_of(a: Source, b: Source, side: int, matrix: Array) -> float:
    """The share of regions, of those with edges in both images, that agree.

    A region agrees if its own correlation at the transform exceeds that at every one of 24 wrong shifts; by chance,
    one in 25 does.
    """
    cv2 = opencv()
    (small_a, to_a), (small_b, to_b) = a.at(side), b.at(side)
    first = small_a.described()
    second = small_b.warped(to_b @ matrix @ np.linalg.inv(to_a), first.size).described()
    grid = (12, 9) if first.size[0] >= first.size[1] else (9, 12)

    def regions(planes: Array) -> Array:
        return np.asarray(cv2.resize(planes.sum(axis=-1), grid, interpolation=cv2.INTER_AREA))

    def correlation(x: int, y: int) -> Array:
        moved, valid = (np.roll(plane, (y, x), (0, 1)) for plane in (second.values, second.valid))
        valid = (valid * first.valid)[..., None]
        power = regions(first.values**2 * valid) * regions(moved**2 * valid)
        return regions(first.values * moved * valid) / np.sqrt(power + 1e-9)

    energies = [regions(edges.values**2 * (first.valid * second.valid)[..., None]) for edges in (first, second)]
    counted = np.logical_and(*(energy > 0.1 * energy.mean() for energy in energies))
    wrong = np.max([correlation(round(x * side / 320), round(y * side / 320)) for x, y in _WRONG], axis=0)
    agreeing = (correlation(0, 0) > wrong) & counted
    return float(agreeing.sum() / max(counted.sum(), 0.75 * counted.size))  # few regions agree by chance more often
