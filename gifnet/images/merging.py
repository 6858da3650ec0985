"""From a fused luminance back to pixels, region by region: with the pictures' chroma and alpha.

Each function gives the pixels (1, 1 or 3, h, w) in [0, 1] of a region of the image number ``index``, and its alpha, if
there is one, where the first picture lies.
"""

import torch
from torch import Tensor

from ..regions import Region
from . import colour
from .chroma import chroma_of, evidence, followed
from .picture import ReadablePicture

Merged = tuple[Tensor, Tensor | None]


def enhanced(picture: ReadablePicture, strength: float, index: int, region: Region, fused: Tensor) -> Merged:
    """One picture's own chroma and alpha; ``strength`` below 1 blends its luminance with the fused one."""
    pixels, alpha = picture.region(index, region)
    luma, chroma = colour.split(pixels)
    return colour.merge(torch.lerp(luma, fused.to(luma.device), strength), chroma), alpha


def with_chroma_of(
    coloured: ReadablePicture,
    first: ReadablePicture,
    second: ReadablePicture,
    index: int,
    region: Region,
    fused: Tensor,
) -> Merged:
    """The chroma of one of two pictures, as it is: the other one is grey."""
    pixels, alpha = first.region(index, region)
    other, other_alpha = second.region(index, region)
    chroma = colour.split(pixels if coloured is first else other)[1]
    chroma, other_alpha = (plane if plane is None else plane.to(pixels.device) for plane in (chroma, other_alpha))
    return colour.merge(fused.to(pixels.device), chroma), other_alpha if alpha is None else alpha


def with_chroma_of_both(
    first: ReadablePicture, second: ReadablePicture, index: int, region: Region, grown: Region, fused: Tensor
) -> Merged:
    """The chroma of two pictures in colour, by evidence; ``fused`` covers the region ``grown`` by ``chroma.MARGIN``."""
    pixels, alpha = first.region(index, grown)
    other, other_alpha = second.region(index, grown)
    fused, other = fused.to(pixels.device), other.to(pixels.device)
    a, b = colour.luma_of(pixels), colour.luma_of(other)
    chroma = chroma_of(fused, followed(fused, a, b, evidence(pixels), evidence(other)))
    alpha = alpha if other_alpha is None or alpha is not None else other_alpha.to(pixels.device)
    merged = colour.merge(region.crop(fused, grown), region.crop(chroma, grown))
    return merged, None if alpha is None else region.crop(alpha, grown)
