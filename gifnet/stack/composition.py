"""Stacks of more than two images, focus stacks and exposure brackets: composed into two planes, and fused once.

The network takes two planes. Chaining it would depend on the images' order, and what it does to one pair it would do
again with every further image. Instead, all images are composed into two planes that differ in how strictly they
select; the network runs once, on those.

Images of a focus stack have the same luminance but for blur: there, the sharpest is chosen pixel by pixel
(``focus.py``). Where exposure differs, such a choice would leave seams: there, they are blended level by level
(``exposures.py``). Which of the two it is shows in their mean luminance, around each pixel and over the image.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from string import ascii_lowercase
from typing import Any

import torch
from torch import Tensor

from ..images import colour
from ..images.chroma import chroma_of, evidence
from ..images.picture import OF_STACKS, Picture, PictureInfo, check_alike
from ..images.smoothing import expand, smooth
from .depth import DepthMap
from .exposures import SMALLEST, ExposureBlend
from .focus import FocusChoice, sharpness

AROUND = 5  # times that luminance is halved in size, before it is compared between images
LOCAL = (0.12, 0.25)  # difference of luminance around a pixel: up to the first it is focus, from the second exposure
OVERALL = (0.15, 0.35)  # likewise, difference of the logarithms of the images' mean luminances
BLACK = 0.02  # mean luminance below which its logarithm says little


class Composition:
    """The two planes and the evidence of colour, accumulated image by image in memory that does not grow."""

    def __init__(self, depth: DepthMap | None = None) -> None:
        self._depth = depth
        self._focus, self._exposures = FocusChoice(), ExposureBlend()
        self._around: tuple[Tensor, Tensor] | None = None  # least and greatest luminance around each pixel
        self._overall: tuple[Tensor, Tensor] | None = None  # (B, 1, 1, 1), of the whole image
        self._sizes: list[tuple[int, int]] = []  # height and width of the levels above it

    def add(self, luma: Tensor, colours: Tensor | None = None) -> None:
        """Count in an image: its luminance (B, 1, H, W) in [0, 1], and its evidence of colour, (B, 4, H, W).

        Either all images of a stack come with evidence (see ``chroma``), or none.
        """
        levels = _reduced(luma)
        self._sizes = [(level.shape[-2], level.shape[-1]) for level in levels[:-1]]
        planes = luma if colours is None else torch.cat([luma, colours], dim=1)
        sharp = sharpness(luma)
        self._focus.add(sharp, luma, planes)
        if self._depth is not None:
            self._depth.add(sharp)
        self._exposures.add(luma)
        self._around = _limits(self._around, levels[-1])
        self._overall = _limits(self._overall, (_mean(luma) + BLACK).log())

    def planes(self) -> tuple[Tensor, Tensor]:
        """Both planes (B, 1, H, W) in [0, 1]: the stricter selection first."""
        share = self._exposure_share()
        both = zip(self._focus.planes(), self._exposures.planes(), strict=True)
        first, second = (torch.lerp(focus[:, :1], exposures, share).clamp(0, 1) for focus, exposures in both)
        return first, second

    def evidence(self) -> Tensor:
        """What all images together tell of colour, as the second plane selects them."""
        return self._focus.planes()[1][:, 1:]

    def _exposure_share(self) -> Tensor:
        """How far images differ in exposure rather than in focus, from 0 to 1: (B, 1, H, W)."""
        assert self._around is not None
        assert self._overall is not None
        local = _ramp(self._around[1] - self._around[0], *LOCAL)
        for height, width in reversed(self._sizes):
            local = expand(local, height, width)
        return torch.maximum(local, _ramp(self._overall[1] - self._overall[0], *OVERALL))


def _limits(limits: tuple[Tensor, Tensor] | None, x: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest so far."""
    return (x, x) if limits is None else (torch.minimum(limits[0], x), torch.maximum(limits[1], x))


def _mean(x: Tensor) -> Tensor:
    """Of each plane (B, 1, H, W): (B, 1, 1, 1). Row by row, so that no number of threads sums in another order."""
    return x.mean(dim=-1, keepdim=True).mean(dim=-2, keepdim=True)


def _ramp(x: Tensor, low: float, high: float) -> Tensor:
    """0 up to ``low``, 1 from ``high``."""
    return ((x - low) / (high - low)).clamp(0, 1)


def _reduced(x: Tensor) -> list[Tensor]:
    """``x`` and what remains of it as its size is halved, up to ``AROUND`` times."""
    levels = [x]
    while len(levels) <= AROUND and min(levels[-1].shape[-2:]) >= SMALLEST:
        levels.append(smooth(levels[-1], stride=2))
    return levels


def compose(planes: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """The two planes (B, 1, H, W) that the network is given of a stack's luminances (B, 1, H, W) in [0, 1]."""
    composition = Composition()
    for plane in planes:
        composition.add(plane)
    return composition.planes()


class _Colours:
    """Evidence of colour of pictures, some of which may have none."""

    def __init__(self) -> None:
        self._any, self._all = False, True

    def of(self, picture: Picture) -> Tensor:
        """(B, 4, H, W); all 0 of a grey picture, which says nothing about colour."""
        coloured = picture.shows_colour()
        self._any, self._all = self._any or coloured, self._all and coloured
        if coloured:
            return evidence(picture.pixels)
        return picture.pixels.new_zeros(()).expand(len(picture.pixels), 4, *picture.pixels.shape[-2:])

    def chroma(self, fused: Tensor, total: Tensor) -> Tensor | None:
        """The chroma (B, 2, H, W) of the fused luminance, or None where all pictures are grey.

        Where only some are in colour, their luminance is another sensor's than the result's: no ratio to scale by.
        """
        return chroma_of(fused, total, scaled=self._all) if self._any else None


def fuse_stack(
    pictures: Iterable[Picture], run: Callable[[Tensor, Tensor], Tensor], depth: DepthMap | None = None
) -> Any:
    """Fuse pictures of one scene and size, in any order; each is let go before the next is asked for.

    Args:
        pictures: the first one decides what kind the result has.
        run: the network, on planes (B, 1, H, W).
        depth: what is to become the stack's depth map.

    Returns:
        The fused image. Copies of one image give what fusing it with itself gives. Its alpha is the least of the
        images'.

    Raises:
        InputError: pictures that differ in size or number.
    """
    composition = Composition(depth)
    colours = _Colours()
    alpha: Tensor | None = None
    seen: list[PictureInfo] = []  # without pixels, which are let go
    device: torch.device | None = None
    for picture in pictures:
        if seen:
            check_alike(seen[0], picture, OF_STACKS)
        device = device or picture.device
        composition.add(colour.luma_of(picture.pixels).to(device), colours.of(picture).to(device))
        if picture.alpha is not None:
            own = picture.alpha.to(device)
            alpha = own if alpha is None else torch.minimum(alpha, own)
        seen.append(picture.info())
        del picture  # before the next is read
    fused = run(*composition.planes())
    pixels = colour.merge(fused, colours.chroma(fused, composition.evidence()))
    return seen[0].fused_with(*seen[1:]).pack(pixels, alpha)


def argument_names() -> Iterator[str]:
    """What messages call the images of a stack: a, b, c ..., then by number."""
    return chain(ascii_lowercase, (f"image {index}" for index in count(len(ascii_lowercase) + 1)))
