"""Regions cut into tiles."""

import torch

from gifnet.execution.tiles import cut
from gifnet.networks.gifnet.plan import padded
from gifnet.regions import SHORTEST, Region


def test_tiles_cover_a_region_once_and_keep_to_the_grid() -> None:
    for height, width, size, shift in ((1, 1, 16, 0), (70, 101, 64, 4), (64, 64, 16, 0), (200, 90, 24, 4)):
        image = padded(height, width)
        assert image.shape == (height + -height % 4, width + -width % 4)
        for region in (image, Region(16 + shift, image.bottom, 0, image.right)):
            if region.top >= region.bottom:
                continue
            count = torch.zeros(image.shape)
            for tile in cut(region, size, shift):
                tile.crop(count, image).add_(1)
                assert tile.top in (0, region.top) or tile.top % 8 == shift
                # A short remainder joins its neighbour, or reflections would reach beyond the tile.
                assert min(tile.shape) >= min(SHORTEST, *region.shape)
            assert bool((region.crop(count, image) == 1).all())
            assert float(count.sum()) == region.shape[0] * region.shape[1]
