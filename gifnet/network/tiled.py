"""The folded network run stage by stage in tiles: bounded working memory, and the same pixels as in one piece.

Everything in the network is local but the norms' statistics, and those separate its three stages: each stage runs over
all tiles before the next begins, so that every stage has the statistics of the whole image. A tile is worked on with a
margin of true surroundings, the halo, as wide as the stage looks (in parentheses: what it needs), and only its core is
kept. Core and halo are multiples of the window, or the window grids would differ:

* embed: four 3x3 convolutions (4);
* cross: windows end at the core's edge; beyond it the 5x5 convolution (2);
* decode: un-embedding and four 3x3 (5), shifted windows and the 5x5 before them (12).

The stages' results are kept for the whole image where ``KEEP_BYTES`` allows. Otherwise they are computed again when
needed, with the halos added up; then memory does not grow with the image, and the time is about twice as long.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .cfgm import EPSILON, PATCH
from .folded import FoldedGIFNet, Statistics
from .gifnet import check_planes

TILE = 256  # pixels a side; 128 to 256 fit a processor's caches
KEEP_BYTES = 2 << 30  # of stage results kept for the whole image
EMBED_HALO, CROSS_HALO, DECODE_HALO = 8, 8, 16  # pixels


@dataclass(frozen=True)
class Tile:
    """A tile's core, in pixels of the image padded to a multiple of 4; the last ones end with it."""

    top: int
    bottom: int
    left: int
    right: int

    def crop(self, image: Tensor, halo: int) -> Tensor:
        """The tile and its halo, as far as they lie inside ``image`` (..., H, W)."""
        return image[
            ...,
            max(0, self.top - halo) : self.bottom + halo,
            max(0, self.left - halo) : self.right + halo,
        ]

    def core(self, x: Tensor, halo: int) -> Tensor:
        """The core of what was computed from ``crop(image, halo)``."""
        top, left = min(self.top, halo), min(self.left, halo)
        return x[..., top : top + self.bottom - self.top, left : left + self.right - self.left]

    def inner(self, x: Tensor, halo: int, kept: int) -> Tensor:
        """What was computed from ``crop(image, halo)``, with the halo reduced to ``kept``."""
        top, left = min(self.top, halo) - min(self.top, kept), min(self.left, halo) - min(self.left, kept)
        bottom = min(self.top, halo) + self.bottom - self.top + kept
        right = min(self.left, halo) + self.right - self.left + kept
        return x[..., top:bottom, left:right]


def tiles(height: int, width: int, size: int) -> Iterator[Tile]:
    """Tiles of ``size`` pixels a side over an image whose sides are padded to a multiple of 4."""
    height, width = height + -height % PATCH, width + -width % PATCH
    for top in range(0, height, size):
        for left in range(0, width, size):
            yield Tile(top, min(top + size, height), left, min(left + size, width))


class Moments:
    """Mean and variance of each image, merged over tiles in float64 (Chan, Golub and LeVeque, 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros((), dtype=torch.float64)  # squares: Σ (x - mean)²

    def add(self, x: Tensor) -> None:
        """Count in the values of ``x`` (B, C, H, W)."""
        variance, mean = torch.var_mean(x.float(), dim=(1, 2, 3), correction=0)
        count, mean = x[0].numel(), mean.double().cpu()
        total, delta = self.count + count, mean - self.mean
        self.squares = self.squares + variance.double().cpu() * count + delta**2 * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total

    def statistics(self, device: torch.device) -> Statistics:
        """What the norm uses, as ``folded.statistics`` gives it for an image in one piece."""
        deviation = (self.squares / self.count + EPSILON).sqrt()
        return Statistics(self.mean[:, None].float().to(device), deviation[:, None].float().to(device))


class TiledGIFNet(nn.Module):
    """``FoldedGIFNet`` for images of any size; ``tile`` is a multiple of the window."""

    def __init__(self, folded: FoldedGIFNet, tile: int = TILE, keep_bytes: int = KEEP_BYTES) -> None:
        super().__init__()
        window = folded.cross_attention.window
        if tile < 1 or any(length % window for length in (tile, EMBED_HALO, CROSS_HALO, DECODE_HALO)):
            raise ValueError(f"tile and halos must be multiples of the window, {window} pixels; tile is {tile}")
        self.folded, self.tile, self.keep_bytes = folded, tile, keep_bytes

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """As ``FoldedGIFNet.forward``."""
        check_planes(a, b)
        height, width = a.shape[-2:]
        if max(height, width) <= self.tile:
            return self.folded(a, b)  # type: ignore[no-any-return]
        channels, dtype = self.folded.embed.weight.shape[1], self.folded.embed.weight.dtype
        planes = torch.cat([a, b], dim=1)
        fits = Kept.MAPS * channels * a.numel() * dtype.itemsize <= self.keep_bytes
        stages: Kept | Recomputed = (Kept if fits else Recomputed)(self.folded, planes)
        grid = list(tiles(height, width, self.tile))

        main, other = Moments(), Moments()
        for tile in grid:
            x, y = stages.embed(tile)
            main.add(x)
            other.add(y)
        cross_statistics = (main.statistics(a.device), other.statistics(a.device))

        mixed = Moments()
        for tile in grid:
            mixed.add(stages.cross(tile, *cross_statistics))
        decode_statistics = mixed.statistics(a.device)

        fused = torch.empty_like(a, dtype=torch.float32)
        for tile in grid:
            shared, x = stages.decoder_input(tile, *cross_statistics)
            result = self.folded.decode_stage(shared, x, decode_statistics)
            tile.crop(fused, 0).copy_(tile.core(result, DECODE_HALO))
        return fused


class Recomputed:
    """Stage results that are computed anew whenever they are needed, from planes with wider halos."""

    def __init__(self, folded: FoldedGIFNet, planes: Tensor) -> None:
        self.folded, self.planes = folded, planes

    def embed(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Both branches' embeddings, the tile's core."""
        _, x, y = self.folded.embed_stage(tile.crop(self.planes, EMBED_HALO))
        return tile.core(x, EMBED_HALO), tile.core(y, EMBED_HALO)

    def cross(self, tile: Tile, x_stats: Statistics, y_stats: Statistics) -> Tensor:
        """The cross block's result, the tile's core."""
        return self._features(tile, 0, x_stats, y_stats)[1]

    def decoder_input(self, tile: Tile, x_stats: Statistics, y_stats: Statistics) -> tuple[Tensor, Tensor]:
        """Shared features and the cross block's result, with the decoder's halo."""
        return self._features(tile, DECODE_HALO, x_stats, y_stats)

    def _features(self, tile: Tile, kept: int, x_stats: Statistics, y_stats: Statistics) -> tuple[Tensor, Tensor]:
        halo = kept + CROSS_HALO
        outer = halo + EMBED_HALO
        shared, x, y = self.folded.embed_stage(tile.crop(self.planes, outer))
        x, y = tile.inner(x, outer, halo), tile.inner(y, outer, halo)
        mixed = self.folded.cross_stage(x, y, x_stats, y_stats)
        return tile.inner(shared, outer, kept), tile.inner(mixed, halo, kept)


class Kept:
    """Stage results that are kept for the whole image, each computed once."""

    MAPS = 4  # of as many channels as F

    def __init__(self, folded: FoldedGIFNet, planes: Tensor) -> None:
        self.folded, self.planes = folded, planes
        batch, _, height, width = planes.shape
        weight = folded.embed.weight
        shape = (batch, weight.shape[1], height + -height % PATCH, width + -width % PATCH)
        maps = [
            torch.empty(shape, dtype=weight.dtype, device=planes.device, memory_format=torch.channels_last)
            for _ in range(self.MAPS)
        ]
        self.shared, self.x, self.y, self.mixed = maps[0][..., :height, :width], *maps[1:]

    def embed(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """As ``Recomputed.embed``."""
        shared, x, y = self.folded.embed_stage(tile.crop(self.planes, EMBED_HALO))
        for kept, computed in ((self.shared, shared), (self.x, x), (self.y, y)):
            tile.crop(kept, 0).copy_(tile.core(computed, EMBED_HALO))
        return tile.crop(self.x, 0), tile.crop(self.y, 0)

    def cross(self, tile: Tile, x_stats: Statistics, y_stats: Statistics) -> Tensor:
        """As ``Recomputed.cross``."""
        x, y = tile.crop(self.x, CROSS_HALO), tile.crop(self.y, CROSS_HALO)
        mixed = self.folded.cross_stage(x, y, x_stats, y_stats)
        return tile.crop(self.mixed, 0).copy_(tile.core(mixed, CROSS_HALO))

    def decoder_input(self, tile: Tile, x_stats: Statistics, y_stats: Statistics) -> tuple[Tensor, Tensor]:
        """As ``Recomputed.decoder_input``; the statistics have been used already."""
        return tile.crop(self.shared, DECODE_HALO), tile.crop(self.mixed, DECODE_HALO)
