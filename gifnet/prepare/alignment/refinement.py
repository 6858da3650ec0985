"""Ascent from a transform nearby to the best one."""

import math

import numpy as np

from ...options.values import Motion
from .description import Edges, Source
from .opencv import opencv
from .resampling import Array
from .transform import corners

STILLNESS = 1.5  # correlation that a motion by the image's side costs, and by a part of it, that squared
_PARAMETERS = {"translation": 2, "similarity": 4, "affine": 6, "homography": 8}
# Infinitesimal motions of the plane, as matrices: x, y, scale, rotation, two shears, two perspectives.
MOTION_MATRICES = np.array(
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


def refined(a: Source, b: Source, side: int, matrix: Array, motion: Motion) -> tuple[float, Array]:
    """The matrix after ascent at one resolution, and the correlation there less a little for how far it moves."""
    (small_a, to_a), (small_b, to_b) = a.at(side), b.at(side)
    start = to_b @ matrix @ np.linalg.inv(to_a)
    first = small_a.described()
    correlation, step = _ascend(first, small_b.warped(start, first.size).described(), motion)
    offset = (np.array(small_b.size) - first.size) / 2
    moved = corners(start @ step, first.size) - corners(np.eye(3), first.size) - offset
    score = correlation - STILLNESS * float((moved**2).sum(axis=1).mean()) / side**2
    return score, np.linalg.inv(to_b) @ start @ step @ to_a


def _ascend(a: Edges, b: Edges, motion: Motion, steps: int = 30, precision: float = 0.01) -> tuple[float, Array]:
    """Maximise the correlation of ``a`` with ``b`` seen through a matrix near the identity.

    Newton's steps on the enhanced correlation coefficient (Evangelidis and Psarakis 2008), composed; halved while they
    don't ascend; until they move no corner by ``precision`` pixels.
    """
    cv2 = opencv()
    count = _PARAMETERS[motion]
    width, height = a.size
    unit = max(width, height) / 2  # coordinates from about -1 to 1, for well-conditioned equations
    to_unit = np.array([[1 / unit, 0, (1 - width) / 2 / unit], [0, 1 / unit, (1 - height) / 2 / unit], [0, 0, 1]])
    x, y = np.meshgrid(np.arange(width) * to_unit[0, 0] + to_unit[0, 2], np.arange(height) / unit + to_unit[1, 2])
    zero, one = np.zeros_like(x), np.ones_like(x)
    along_x = np.stack([one, zero, x, -y, x, y, x * x, x * y][:count]).reshape(count, -1).astype(np.float32)
    along_y = np.stack([zero, one, y, x, -y, x, x * y, y * y][:count]).reshape(count, -1).astype(np.float32)

    def total(planes: Array) -> Array:
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

            def projected(planes: Array) -> Array:
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
        change = np.eye(3) + np.tensordot(step / unit, MOTION_MATRICES[:count], axes=1)
        matrix = result @ np.linalg.inv(to_unit) @ change @ to_unit
    return best, result


def without_shear(matrix: Array, size: tuple[int, int]) -> Array:
    """The similarity nearest to a matrix that is almost one: reduced sizes are rounded, x and y not quite alike."""
    cosine, sine = (matrix[0, 0] + matrix[1, 1]) / 2, (matrix[1, 0] - matrix[0, 1]) / 2
    centre = np.array([size[0] - 1, size[1] - 1]) / 2
    pure = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    pure[:2, 2] = matrix[:2, :2] @ centre + matrix[:2, 2] - pure[:2, :2] @ centre
    return pure
