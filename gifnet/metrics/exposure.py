"""MEF-SSIM, the metric of exposure fusion: how much of the exposures' structure and contrast the result shows."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..errors import InputError
from .planes import PEAK, checked

WINDOW = 8  # pixels a side
SCALES = (0.0448, 0.2856, 0.3001)  # the finest first; the first three weights of MS-SSIM
SMALLEST = WINDOW * 2 ** (len(SCALES) - 1)  # the window must fit the image halved twice
STABILITY = (0.03 * PEAK) ** 2  # C, as in SSIM
LARGEST_POWER = 10.0
WEAKEST = 1.0  # below this contrast, 1/8 of a level a pixel, a window has no structure to follow


def mef_ssim(fused: Tensor, *sources: Tensor, scales: int = len(SCALES)) -> Tensor:
    """MEF-SSIM: the SSIM of F with the best that each window of the exposures offers, 0 to 1; higher is better.

    In every 8×8 window the desired image has the contrast of the source of most contrast, and the sources' mean
    structure, in which contrast counts the more the better they agree. ``scales`` images, each of 2×2 means of the one
    before, are compared, their scores multiplied with MS-SSIM's weights as powers; a negative score counts as 0.

    All (B, 1, H, W) in [0, 1], at least 32 pixels a side (8 for one scale, 16 for two); one source or more. Returns
    (B,), float64. Differentiable in the fused image and in the sources. Ma, Zeng and Wang, 2015.

    Raises InputError as all metrics do, without a source, and for scales other than 1, 2 and 3.
    """
    if not sources:
        raise InputError("no source was given; give the exposures after the fused image")
    if scales not in range(1, len(SCALES) + 1):
        raise InputError(f"scales is {scales}; give 1, 2 or 3")
    fused, *exposures = checked(fused, *sources, smallest=WINDOW * 2 ** (scales - 1))
    return exposure_similarity(fused, exposures, scales)


def exposure_similarity(fused: Tensor, sources: Sequence[Tensor], scales: int = len(SCALES)) -> Tensor:
    """``mef_ssim`` without checks, for training losses, whose planes may leave [0, 1]. Returns (B,), float64."""
    stack = torch.cat([fused, *sources], dim=1).double() * PEAK  # (B, 1 + sources, H, W)
    scores = []
    for scale in range(scales):
        if scale:
            stack = avg_pool2d(stack, 2)
        scores.append(_one_scale(stack))
    score = torch.stack(scores, dim=1)  # (B, scales)
    powers = score.new_tensor(SCALES[:scales]) / sum(SCALES[:scales])
    positive = score > 0  # a power below 1 has no gradient at 0
    product = torch.where(positive, score, 1.0).pow(powers).prod(dim=1)
    return torch.where(positive.all(dim=1), product, 0.0)


def _one_scale(stack: Tensor) -> Tensor:
    """The mean score over the windows of one scale: fused and sources (B, 1 + sources, H, W) of 0..255 to (B,)."""
    gram = _gram(stack)
    own, cross, among = gram[:, 0, 0], gram[:, 0, 1:], gram[:, 1:, 1:]  # of F; F with sources; sources with sources

    contrast = _root(torch.diagonal(among, dim1=1, dim2=2).movedim(-1, 1))  # c_k, (B, sources, h, w)
    consistency = _root(among.sum(dim=(1, 2))) / contrast.sum(dim=1)  # R
    power = torch.tan(math.pi / 2 * consistency.clamp(max=2 / math.pi * math.atan(LARGEST_POWER)))
    weight = torch.softmax(power[:, None] * contrast.log(), dim=1) / contrast  # of x̃_k, c_k^p / Σ c^p / c_k

    length = torch.einsum("bkhw,bklhw,blhw->bhw", weight, among, weight)  # squared, of the mean structure
    gain = contrast.amax(dim=1) / length.clamp(min=1e-6).sqrt()  # to the desired contrast
    desired = gain.square() * length
    shared = gain * (weight * cross).sum(dim=1)
    constant = WINDOW**2 * STABILITY  # sums over the window here, not means
    return ((2 * shared + constant) / (desired + own + constant)).mean(dim=(1, 2))


def _gram(stack: Tensor) -> Tensor:
    """Inner products of all pairs of images in every window, minus its mean: (B, N, H, W) to (B, N, N, h, w)."""
    # Windows' means are subtracted below. Without the image's own mean, float64 loses fewer digits there.
    stack = stack - stack.mean(dim=(2, 3), keepdim=True).detach()
    number = stack.shape[1]
    first, second = torch.triu_indices(number, number, device=stack.device)
    mean = _window_means(stack)
    products = _window_means(stack[:, first] * stack[:, second]) - mean[:, first] * mean[:, second]
    place = torch.empty(number, number, dtype=torch.long, device=stack.device)
    place[first, second] = place[second, first] = torch.arange(len(first), device=stack.device)
    return WINDOW**2 * products[:, place]


def _window_means(planes: Tensor) -> Tensor:
    """Means of all windows inside the planes (B, N, H, W): (B, N, H - 7, W - 7)."""
    return avg_pool2d(avg_pool2d(planes, (WINDOW, 1), stride=1), (1, WINDOW), stride=1)


def _root(square: Tensor) -> Tensor:
    """The square root, at least ``WEAKEST``, so that its gradient is finite everywhere."""
    return square.clamp(min=WEAKEST**2).sqrt()
