"""From a fused luminance back to pixels, region by region: with the pictures' chroma and alpha.

Each function takes the luminance (1, 1, h, w) of a region of the image number ``index``, and gives the region's pixels
(1, 1 or 3, h, w) in [0, 1] and its alpha, if there is one, where the first picture lies.
"""

import torch
from torch import Tensor

from ..regions import Region
from . import colour
from .chroma import chroma_of, evidence, followed
from .picture import Picture

Merged = tuple[Tensor, Tensor | None]


def enhanced(picture: Picture, strength: float, index: int, region: Region, fused: Tensor) -> Merged:
    """One picture's own chroma and alpha; ``strength`` below 1 blends its luminance with the fused one."""
    pixels, alpha = picture.region(index, region)
    luma, chroma = colour.split(pixels)
    return colour.merge(torch.lerp(luma, fused.to(luma.device), strength), chroma), alpha


def of_one_in_colour(first: Picture, second: Picture, index: int, region: Region, fused: Tensor) -> Merged:
    """The chroma, as it is, of the only one of two pictures that shows colour, if either does."""
    pixels, alpha = first.region(index, region)
    other, other_alpha = (_beside(plane, pixels) for plane in second.region(index, region))
    assert other is not None
    chroma = colour.split(other if second.shows_colour() else pixels)[1]
    if chroma is None and first.coloured or second.coloured: ...
    return colour.merge(fused.to(pixels.device), chroma), other_alpha if alpha is None else alpha
