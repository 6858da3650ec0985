"""The transform between two images: where it is defined, and how an image is seen through it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...execution.context import in_plain_context
from ...files.atomic import atomic_path
from ...images.picture import Picture
from ...images.reading import ImageLike, read
from ...options.values import Motion
from .resampling import Array, resampled

Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where ``a``'s pixels lie in ``b``, as ``gifnet.align`` estimates it."""

    matrix: Array  # (3, 3) float64: (x, y, 1) of a pixel's centre in a to b's; x to the right, y down, (0, 0) top left
    confidence: float  # 0 to 1, the share of the image's regions that agree
    overlap: Box  # left, top, right, bottom (exclusive) in a: the largest rectangle in which b is defined
    motion: Motion
    size: tuple[int, int]  # width, height of a
    size_b: tuple[int, int] | None = None  # of b, where that is known

    @in_plain_context
    def warp(self, b: ImageLike) -> Any:
        """``b``, an image as ``gifnet.fuse`` takes it, resampled onto ``a``'s grid; its kind and dtype kept.

        What ``b`` does not show is 0, and transparent if ``b`` has alpha.
        """
        warped = self.warp_picture(read(b, "b").load())
        return warped.pack(warped.pixels, warped.alpha)

    def warp_picture(self, picture: Picture) -> Picture:
        """As ``warp``, before the way back to the caller's kind."""
        if len(picture.pixels) != 1:
            raise InputError(f"{picture.name}: a batch of {len(picture.pixels)} images; warp one at a time")
        return picture.resampled(self._warp_planes)

    def _warp_planes(self, planes: Tensor) -> Tensor:
        """(1, C, H, W) onto ``a``'s grid."""
        warped = np.stack([resampled(plane.cpu().numpy(), self.matrix, self.size) for plane in planes[0]])
        first, last = covered(self.matrix, self.size, (planes.shape[-1], planes.shape[-2]))
        column = np.arange(self.size[0])
        warped[:, (column < first[:, None]) | (column > last[:, None])] = 0
        return torch.from_numpy(warped)[None].to(planes.device)

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
            "size": list(self.size),
            "size_b": self.size_b and list(self.size_b),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file that ``gifnet.fuse(..., align=path)`` takes. It appears whole or not at all.

        Raises InputError where it can't be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".json":
            raise InputError(f"{path}: a transform is written as .json")
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: can't be written ({error.strerror or error})") from error


def corners(matrix: Array, size: tuple[int, int]) -> Array:
    width, height = size[0] - 1, size[1] - 1
    points = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]) @ matrix.T
    return np.asarray(points[:, :2] / points[:, 2:])


def covered(matrix: Array, size: tuple[int, int], other: tuple[int, int]) -> tuple[Array, Array]:
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


def overlap_of(matrix: Array, size: tuple[int, int], other: tuple[int, int]) -> Box:
    """The largest rectangle of a ``size`` grid that ``matrix`` takes into ``other``: left, top, right, bottom."""
    return largest_box(*covered(matrix, size, other))


def largest_box(left: Array, right: Array) -> Box:
    """The largest rectangle within the first and last column of each row, as ``covered`` gives them; 0s if none is."""
    best, box = 0.0, (0, 0, 0, 0)
    for top in range(len(left)):
        # The covered region is convex, so a rectangle is in it if its top and bottom rows are.
        first, last = np.maximum(left[top], left[top:]), np.minimum(right[top], right[top:])
        area = (last - first + 1).clip(min=0) * np.arange(1, len(left) - top + 1)
        index = int(area.argmax())
        if area[index] > best:
            best, box = float(area[index]), (int(first[index]), top, int(last[index]) + 1, top + index + 1)
    return box
