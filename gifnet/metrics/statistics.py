"""Metrics of one image's grey levels (EN, SD), and of how those of two images depend on each other (MI, CC, SCD)."""

import math

import torch
from torch import Tensor

from .planes import PEAK, levels

BINS = 256


def entropy(fused: Tensor) -> Tensor:
    """EN, the Shannon entropy of the grey levels: ``-Σ p_i log2 p_i``, in bits, 0 to 8; higher is better.

    ``fused``: (B, 1, H, W) in [0, 1], rounded to 256 levels. Returns (B,), float64. Roberts et al., 2008.
    """
    (fused,) = levels(fused)
    return _entropy(_grey(fused), BINS)


def standard_deviation(fused: Tensor) -> Tensor:
    """SD, contrast: ``sqrt(mean((F - mean F)²))`` on the 0..255 scale, 0 to 127.5; higher is better.

    ``fused``: (B, 1, H, W) in [0, 1]. Returns (B,). Divided by the number of pixels, not by one less. Rao, 1997.
    """
    (fused,) = levels(fused)
    return fused.flatten(1).std(dim=1, correction=0)


def mutual_information(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """MI, what the grey levels of F tell of those of the sources: ``I(F; A) + I(F; B)``, in bits; higher is better.

    All (B, 1, H, W) in [0, 1], rounded to 256 levels; ``I(X; Y) = H(X) + H(Y) - H(X, Y)``. Returns (B,), float64, from
    0 to 16. Qu et al., 2002.
    """
    fused, a, b = (_grey(plane) for plane in levels(fused, a, b))
    return _mutual_information(fused, a) + _mutual_information(fused, b)


def correlation_coefficient(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """CC: ``(r(F, A) + r(F, B)) / 2``, r Pearson's correlation, -1 to 1; higher is better.

    All (B, 1, H, W) in [0, 1]. Returns (B,). The correlation with a constant image, 0/0, counts as 0.
    """
    fused, a, b = levels(fused, a, b)
    return (_correlation(fused, a) + _correlation(fused, b)) / 2


def sum_of_difference_correlations(fused: Tensor, a: Tensor, b: Tensor, saturating: bool = False) -> Tensor:
    """SCD: ``r(F - B, A) + r(F - A, B)``, what F adds to either source against the other; -2 to 2, higher is better.

    All (B, 1, H, W) in [0, 1]. Returns (B,). Differences are signed; ``saturating`` makes negative ones 0, as the
    subtraction of 8-bit images does. A correlation with a constant, 0/0, counts as 0: an F equal to B has gained
    nothing of A. Aslantas and Bendes, 2015.
    """
    fused, a, b = levels(fused, a, b)
    least = 0 if saturating else -PEAK
    return _correlation((fused - b).clamp(min=least), a) + _correlation((fused - a).clamp(min=least), b)


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's r of two (B, 1, H, W); (B,)."""
    x, y = x.flatten(1), y.flatten(1)
    constant = (x.amin(1) == x.amax(1)) | (y.amin(1) == y.amax(1))
    x, y = x - x.mean(dim=1, keepdim=True), y - y.mean(dim=1, keepdim=True)
    r = (x * y).sum(dim=1) / (x.square().sum(dim=1).sqrt() * y.square().sum(dim=1).sqrt())
    return r.clamp(-1, 1).masked_fill(constant, 0)


def _grey(plane: Tensor) -> Tensor:
    """Levels as integers 0..255, (B, H·W)."""
    return plane.round().clamp(0, BINS - 1).to(torch.int64).flatten(1)


def _mutual_information(x: Tensor, y: Tensor) -> Tensor:
    return (_entropy(x, BINS) + _entropy(y, BINS) - _entropy(x * BINS + y, BINS**2)).clamp(min=0)


def _entropy(symbols: Tensor, bins: int) -> Tensor:
    """Entropy in bits of integers (B, N) below ``bins``; (B,), float64."""
    batch, count = symbols.shape
    first = bins * torch.arange(batch, device=symbols.device)[:, None]
    share = torch.bincount((symbols + first).flatten(), minlength=batch * bins).view(batch, bins).double() / count
    return -torch.xlogy(share, share).sum(dim=1).clamp(max=0) / math.log(2)
