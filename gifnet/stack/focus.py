"""Focus stacks: at every pixel the image that is sharpest there, chosen softly.

How sharp an image is at a pixel is the energy of its Laplacian, in a window of about three pixels: small, so that the
choice follows the steps of depth. Its logarithm is added to the logarithms' mean over some ten pixels: by it, faint
texture follows its surroundings, and, unlike in the energies' own mean, a strong edge has no more say than a weak one,
so that the choice does not spread from it over what lies beside it. An image's weight is a power of that score. Where
all show less detail than noise would, the weights are alike, and noise is averaged.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.smoothing import expand, gaussian, smooth

STRICTNESS = (8.0, 6.0)  # exponents of the sharpness, for the first plane and the second
FLAT = 3e-4  # energy of the Laplacian, of values in [0, 1], that is no detail yet
_BEFORE, _WINDOW = gaussian(0.7, 1), gaussian(0.8, 1)


class FocusChoice:
    """Weighted sums over the images of a stack, with weights ``exp(strictness · sharpness)``.

    Sharpness is counted from the greatest so far, for such weights soon exceed what a number can hold.
    """

    def __init__(self) -> None:
        self._greatest: Tensor | None = None  # (B, 1, H, W), of sharpness
        self._sums: list[Tensor] = []  # (B, C + 1, H, W): Σ w·x and Σ w, for each strictness

    def add(self, sharpness: Tensor, *planes: Tensor) -> None:
        """Count in an image: for each of ``STRICTNESS``, the planes (B, C, H, W) to be weighted by it."""
        greatest = sharpness if self._greatest is None else torch.maximum(self._greatest, sharpness)
        for index, (strictness, plane) in enumerate(zip(STRICTNESS, planes, strict=True)):
            weight = torch.exp(strictness * (sharpness - greatest))
            terms = torch.cat([weight * plane, weight], dim=1)
            if self._greatest is None:
                self._sums.append(terms)
            else:
                self._sums[index] *= torch.exp(strictness * (self._greatest - greatest))
                self._sums[index] += terms
        self._greatest = greatest

    def planes(self) -> list[Tensor]:
        """The weighted means (B, C, H, W), the strictest first."""
        return [sums[:, :-1] / sums[:, -1:] for sums in self._sums]


def sharpness(luma: Tensor) -> Tensor:
    """How sharp a luminance plane (B, 1, H, W) in [0, 1] is at each pixel: the logarithm of an energy, 0 or more."""
    detail = torch.log1p(smooth(_laplacian(smooth(luma, _BEFORE)).square_(), _WINDOW).div_(FLAT))
    half = smooth(detail, stride=2)
    around = smooth(smooth(half, stride=2))
    around = expand(expand(around, *half.shape[-2:]), *detail.shape[-2:])
    return detail + around


def _laplacian(x: Tensor) -> Tensor:
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    return across.add_(padded[..., :-2, 1:-1]).add_(padded[..., 2:, 1:-1]).sub_(x, alpha=4)
