"""The chroma of an image that was fused of several in colour: by evidence, one rule for pairs and stacks.

The network fuses luminance only. Which image a pixel of the result follows shows in the fused luminance; and an image
knows a colour the better, the brighter it is (noise and rounding are the same at any brightness) and the farther from
clipping, which changes hues. By all three the images' luminance and chroma are averaged, with the same weights. Where
the result is then brighter or darker than that mean luminance, as it is where exposures differ, the chroma is scaled by
their ratio: a longer exposure raises both alike, so this keeps the saturation. Only where they differ on the mean of a
neighbourhood: a sharp image is brighter and darker than a blurred one in its details, and their colours are right.
"""

import torch
from torch import Tensor

from . import colour
from .smoothing import gaussian, smooth

MARGIN = 10  # pixels around a region that its chroma depends on, in luminances and evidence
CLIPPING = 0.15  # of full scale: how far below it colours begin to be doubted
DARKEST = 3e-3  # luminance below which all are equally uncertain
UNCERTAIN = 1e-4  # weight of a clipped colour, beside that of an unclipped one
UNFOLLOWED = 0.02  # weight of the image that the result does not follow
ALIKE = 1e-4  # squared difference of luminances that tells nothing yet of which one is followed
MINOR, MAJOR = 0.15, 2.0  # logarithms of the ratio of luminances: around a pixel, of half effect; the greatest at one
TINY = 1e-30
FAINT = 0.02  # luminance that both sides of the ratio are raised by
_NEAR, _AROUND = gaussian(1.5, 4), gaussian(2.0, 6)


def evidence(pixels: Tensor) -> Tensor:
    """What pixels (B, 3, H, W) in [0, 1] tell of colour: (B, 4, H, W), weighted luminance, Cb, Cr, and the weight."""
    luma, chroma = colour.split(pixels)
    assert chroma is not None
    below = ((1 - pixels.amax(dim=1, keepdim=True)) / CLIPPING).clamp(max=1)
    unclipped = below * below * (3 - 2 * below)
    weight = (unclipped + UNCERTAIN) * (luma * luma + DARKEST**2)
    return torch.cat([weight * luma, weight * chroma, weight], dim=1)


def followed(fused: Tensor, a: Tensor, b: Tensor, evidence_a: Tensor, evidence_b: Tensor) -> Tensor:
    """The evidence of two images, by which of their luminances ``a`` and ``b`` the ``fused`` one follows.

    That is t in ``fused ≈ t·a + (1 - t)·b``, by least squares in a window of some five pixels; all (B, 1, H, W).
    """
    difference = a - b
    projected = smooth((fused - b) * difference, _NEAR)
    share = ((projected + 0.5 * ALIKE) / (smooth(difference * difference, _NEAR) + ALIKE)).clamp(0, 1)
    return (share + UNFOLLOWED) * evidence_a + (1 - share + UNFOLLOWED) * evidence_b


def chroma_of(fused: Tensor, evidence: Tensor, scaled: bool = True) -> Tensor:
    """The chroma (B, 2, H, W) that goes with a ``fused`` luminance (B, 1, H, W); ``scaled`` to it, or as it is."""
    weight = evidence[:, 3:].clamp(min=TINY)  # of no weight at all, chroma is 0
    luma, chroma = evidence[:, :1] / weight, evidence[:, 1:3] / weight
    if not scaled:
        return chroma
    around = ((smooth(fused, _AROUND) + FAINT) / (smooth(luma, _AROUND) + FAINT)).log() ** 4
    counted = around / (around + MINOR**4)
    return chroma * (((fused + FAINT) / (luma + FAINT)).log() * counted).clamp(-MAJOR, MAJOR).exp()
