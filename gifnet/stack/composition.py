"""Stacks of more than two images, focus stacks and exposure brackets: composed into two planes, and fused once.

The network takes two planes. Chaining it would sharpen and shift brightness with every further image, and depend on
their order. Instead, all images are blended level by level in a Laplacian pyramid (Burt and Adelson, 1983), which
leaves no seams, into two planes that differ in how strictly they select; the network runs once, on those.

An image weighs as much at a pixel of a level as it is well exposed there (Mertens et al., 2007) and as it shows detail
there or at finer levels: a defocused edge spreads, so that only the finest levels tell which image is in focus. Coarse
levels select less and less, down to exposure alone: a choice by detail there would draw halos around bright objects.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count
from string import ascii_lowercase
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images import colour
from ..images.picture import Picture, PictureInfo, check_alike

# Exponent of detail energy by level, finest first, for the first plane; the second has half. The base has none.
SELECTION = (4.0, 4.0, 4.0, 4.0, 2.0, 1.0, 0.5)
SMALLEST = 8  # pixels a side of a level that is still halved
NOISE = 2 / 255  # amplitude of detail; in what lies below it, images are averaged rather than selected
CARRY = 4.0  # weight of finer levels' energy beside a level's own
EXPOSURE_MEAN, EXPOSURE_DEVIATION = 0.5, 0.2  # Mertens et al.
TINY = 1e-12
_BINOMIAL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


class Composition:
    """The two planes, chroma and alpha of a stack, accumulated image by image in memory that does not grow."""

    def __init__(self) -> None:
        self.alpha: Tensor | None = None  # (B, 1, H, W), the least of all
        self._sums: list[Tensor] = []  # per level, (B, 4, H, W): Σ w·x and Σ w of the first plane, then of the second
        self._chroma: Tensor | None = None  # (B, 3, H, W): Σ w·C and Σ w

    def add(self, picture: Picture) -> None:
        """Count in an image, of the same size as those before."""
        device = self._sums[0].device if self._sums else picture.pixels.device
        luma, chroma = colour.split(picture.pixels.to(device))
        if picture.alpha is not None:
            alpha = picture.alpha.to(device)
            self.alpha = alpha if self.alpha is None else torch.minimum(self.alpha, alpha)
        details, smooth = pyramid(luma)
        energy = None
        for level, (detail, exposed) in enumerate(zip(details, smooth, strict=True)):
            weight = torch.exp(-0.5 * ((exposed - EXPOSURE_MEAN) / EXPOSURE_DEVIATION) ** 2)
            weights = (weight, weight)
            if level < len(details) - 1:
                own = _blur(_blur(detail**2))
                energy = own if energy is None else own + CARRY * _blur(energy, stride=2)
                informative = torch.log1p(energy / NOISE**2)
                weights = (
                    weight * torch.exp(SELECTION[level] * informative),
                    weight * torch.exp(SELECTION[level] / 2 * informative),
                )
            if level == 0 and chroma is not None:
                self._add_chroma(chroma, weights[1] * _unclipped(picture.pixels.to(device)))
            terms = torch.cat([term for w in weights for term in (w * detail, w)], dim=1)
            if level < len(self._sums):
                self._sums[level] += terms
            else:
                self._sums.append(terms)

    def _add_chroma(self, chroma: Tensor, weight: Tensor) -> None:
        """As ``colour.mix``, weighted by saturation, so that grey has no say; and by ``weight`` (B, 1, H, W)."""
        weight = weight * chroma.square().sum(dim=1, keepdim=True).sqrt()
        terms = torch.cat([weight * chroma, weight], dim=1)
        self._chroma = terms if self._chroma is None else self._chroma + terms

    def planes(self) -> tuple[Tensor, Tensor]:
        """Both planes (B, 1, H, W) in [0, 1]: the stricter selection first."""
        first = collapse([sums[:, 0:1] / sums[:, 1:2] for sums in self._sums])
        second = collapse([sums[:, 2:3] / sums[:, 3:4] for sums in self._sums])
        return first.clamp(0, 1), second.clamp(0, 1)

    def chroma(self) -> Tensor | None:
        """The chroma (B, 2, H, W), or None if no image had any."""
        if self._chroma is None:
            return None
        return self._chroma[:, :2] / self._chroma[:, 2:].clamp(min=TINY)  # 0/0, grey in all, becomes 0


def fuse_stack(pictures: Iterable[Picture], run: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """Fuse pictures of one scene and size, in any order; each is let go before the next is asked for.

    Args:
        pictures: the first one decides what kind the result has.
        run: the network, on planes (B, 1, H, W).

    Returns:
        The fused image. Copies of one image give what enhancing it gives. Its alpha is the least of the images'.

    Raises:
        InputError: pictures that differ in size or number.
    """
    composition = Composition()
    seen: list[PictureInfo] = []  # without pixels, which are let go
    for picture in pictures:
        if seen:
            check_alike(seen[0], picture)
        composition.add(picture)
        seen.append(picture.info())
        del picture  # before the next is read
    pixels = colour.merge(run(*composition.planes()), composition.chroma())
    return seen[0].fused_with(*seen[1:]).pack(pixels, composition.alpha)


def argument_names() -> Iterator[str]:
    """What messages call the images of a stack: a, b, c ..., then by number."""
    return chain(ascii_lowercase, (f"image {index}" for index in count(len(ascii_lowercase) + 1)))


def pyramid(x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The Laplacian and the Gaussian pyramid of ``x`` (B, 1, H, W), finest level first; both end with the base."""
    details: list[Tensor] = []
    smooth = [x]
    while len(details) < len(SELECTION) and min(smooth[-1].shape[-2:]) >= SMALLEST:
        coarse = _blur(smooth[-1], stride=2)
        details.append(smooth[-1] - _expand(coarse, smooth[-1].shape))
        smooth.append(coarse)
    return [*details, smooth[-1]], smooth


def collapse(details: Sequence[Tensor]) -> Tensor:
    """The image of a Laplacian pyramid."""
    image = details[-1]
    for detail in reversed(details[:-1]):
        image = detail + _expand(image, detail.shape)
    return image


def _unclipped(pixels: Tensor) -> Tensor:
    """How far from clipping all channels of (B, 3, H, W) are, (B, 1, H, W): where one clips, the hue is wrong."""
    return (1 - (2 * pixels - 1) ** 8).prod(dim=1, keepdim=True) ** 2 + 1e-6


def _blur(x: Tensor, stride: int = 1) -> Tensor:
    """Binomial blur of 5×5 of (B, 1, H, W), edges replicated; every ``stride``-th pixel of it."""
    kernel = _BINOMIAL.to(x.device, x.dtype)
    x = F.conv2d(F.pad(x, (0, 0, 2, 2), mode="replicate"), kernel.view(1, 1, 5, 1), stride=(stride, 1))
    return F.conv2d(F.pad(x, (2, 2, 0, 0), mode="replicate"), kernel.view(1, 1, 1, 5), stride=(1, stride))


def _expand(x: Tensor, shape: torch.Size) -> Tensor:
    """Twice the size, bilinear: pixel i of ``x`` lies at 2·i of the result, which has the sides of ``shape``."""
    height, width = 2 * x.shape[-2] - 1, 2 * x.shape[-1] - 1
    expanded = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=True)
    return F.pad(expanded, (0, shape[-1] - width, 0, shape[-2] - height), mode="replicate")
