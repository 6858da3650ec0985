"""Rectangles of an image. They know no network."""

from typing import NamedTuple, TypeVar

import numpy as np
from torch import Tensor

Image = TypeVar("Image", Tensor, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]")
SHORTEST = 16  # pixels; shorter remainders join their neighbour, so that reflections at the border stay inside a tile


class Sides(NamedTuple):
    """Which sides of a tile are the image's own: those are padded by reflection, the others have true surroundings."""

    left: bool = True
    right: bool = True
    top: bool = True
    bottom: bool = True


class Region(NamedTuple):
    """Pixels ``[top, bottom) × [left, right)`` of an image."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, by: int, within: "Region") -> "Region":
        """With ``by`` more pixels on every side, as far as there are any ``within``."""
        return Region(
            max(self.top - by, within.top),
            min(self.bottom + by, within.bottom),
            max(self.left - by, within.left),
            min(self.right + by, within.right),
        )

    def reaching(self, image: "Region", shortest: int = SHORTEST) -> "Region":
        """With sides that are nearly the image's own moved there, or the image's padding would be cut."""
        return Region(
            image.top if self.top - image.top < shortest else self.top,
            image.bottom if image.bottom - self.bottom < shortest else self.bottom,
            image.left if self.left - image.left < shortest else self.left,
            image.right if image.right - self.right < shortest else self.right,
        )

    def sides(self, image: "Region") -> Sides:
        """Which of its sides are the image's."""
        return Sides(
            self.left <= image.left, self.right >= image.right, self.top <= image.top, self.bottom >= image.bottom
        )

    def crop(self, x: Image, covered: "Region") -> Image:
        """Crop ``x`` (..., H, W), which holds the pixels of ``covered``, to this region. A view."""
        return x[
            ...,
            self.top - covered.top : self.bottom - covered.top,
            self.left - covered.left : self.right - covered.left,
        ]
