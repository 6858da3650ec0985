"""Resizing one picture of a pair to the other."""

from typing import Literal

from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import InputError
from ..images.picture import Picture

ASPECT_TOLERANCE = 0.02  # of width / height, between images said to show the same


def resized(a: Picture, b: Picture, to: Literal["a", "b"]) -> tuple[Picture, Picture, list[str]]:
    """The pair at the size of one of them, the other one resampled (bicubic, antialiased).

    Raises InputError if the ratios of their sides differ by more than 2 %: then they don't show the same.
    """
    kept, other = (a, b) if to == "a" else (b, a)
    (height, width), (other_height, other_width) = kept.layout.sides, other.layout.sides
    if (height, width) == (other_height, other_width):
        return a, b, []
    ratio = (width / height) / (other_width / other_height)
    if not 1 - ASPECT_TOLERANCE <= ratio <= 1 + ASPECT_TOLERANCE:
        raise InputError(
            f"{other.name} is {other.size} pixels and {kept.name} is {kept.size}: resizing would change the ratio of "
            f"its sides by {abs(ratio - 1):.0%}; crop one to what both show, or use align=True"
        )

    def resample(planes: Tensor) -> Tensor:
        return interpolate(planes, (height, width), mode="bicubic", align_corners=False, antialias=True)

    note = f"{other.short_name}: resized from {other.size} to {kept.size} pixels"
    other = other.resampled(resample)
    return (kept, other, [note]) if to == "a" else (other, kept, [note])
