"""An image seen through a transform, as sharp as it was."""

import math
from typing import Any, TypeAlias

import numpy as np

from .opencv import opencv

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
LARGEST = 2**15 - 1  # pixels a side that OpenCV warps
_REACH, _KAISER = 4, 3.0  # pixels to either side of what lies between two, and the window's shape


def resampled(image: Array, matrix: Array, size: tuple[int, int]) -> Array:
    """``image`` (H, W) float32 on a grid of ``size`` (width, height), which ``matrix`` takes into it; edges replicated.

    A bicubic kernel alone blurs what is as fine as pixels are, the same for every image of a stack but the first. So
    the image is doubled in size first, by a windowed sinc of eight taps, and the bicubic kernel has an easy task. Where
    the grid is coarser than the image, what would alias is blurred away instead.
    """
    cv2 = opencv()
    image = np.ascontiguousarray(image)
    shrink = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    if shrink > 1.2:
        image = cv2.GaussianBlur(image, (0, 0), 0.5 * math.sqrt(shrink**2 - 1))
    elif 2 * max(image.shape) <= LARGEST:
        image = _doubled(image)
        matrix = np.diag([2.0, 2.0, 1.0]) @ matrix  # pixel i has become pixel 2·i
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped: Array = cv2.warpPerspective(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return warped


def _doubled(image: Array) -> Array:
    """(2·H, 2·W): every pixel, and what lies half a pixel to the right and below of it."""
    cv2 = opencv()
    height, width = image.shape
    one = np.ones(1, np.float32)
    doubled = np.empty((2 * height, 2 * width), np.float32)
    doubled[::2, ::2] = image
    doubled[::2, 1::2] = cv2.sepFilter2D(image, cv2.CV_32F, _halfway(), one, borderType=cv2.BORDER_REPLICATE)
    doubled[1::2] = cv2.sepFilter2D(
        np.ascontiguousarray(doubled[::2]), cv2.CV_32F, one, _halfway(), borderType=cv2.BORDER_REPLICATE
    )
    return doubled


def _halfway() -> Array:
    """The kernel, about its middle, for what lies half a pixel further on."""
    distance = np.arange(-_REACH + 0.5, _REACH)
    kernel = np.sinc(distance) * np.i0(_KAISER * np.sqrt(1 - (distance / _REACH) ** 2))
    return np.concatenate([[0], kernel / kernel.sum()]).astype(np.float32)
