"""Results passed on with margins: every pixel once, with its true surroundings, whatever the tiles."""

import pytest
import torch

from gifnet.execution.margins import Margins
from gifnet.execution.tiles import cut
from gifnet.regions import Region


@pytest.mark.parametrize("size", [(1, 1), (40, 700), (700, 40), (1100, 90)])
@pytest.mark.parametrize("tile", [16, 64, 1 << 30])
@pytest.mark.parametrize("margin", [0, 3, 20])
def test_every_pixel_once_with_its_surroundings(size: tuple[int, int], tile: int, margin: int) -> None:
    image = Region(0, size[0], 0, size[1])
    values = torch.rand(1, 1, *size)
    count, result = torch.zeros_like(values), torch.zeros_like(values)

    def sink(region: Region, grown: Region, part: torch.Tensor) -> None:
        assert grown == region.grown(margin, image)
        assert torch.equal(part, grown.crop(values, image))
        region.crop(count, image).add_(1)
        region.crop(result, image).copy_(region.crop(part, grown))

    margins = Margins(image, margin, sink)
    tiles = list(cut(image, tile))
    for region in tiles:
        margins(region, region.crop(values, image))
    assert bool((count == 1).all())
    assert torch.equal(result, values)


def test_a_new_attempt_begins_anew() -> None:
    image = Region(0, 96, 0, 96)
    values, result = torch.rand(1, 1, 96, 96), torch.zeros(1, 1, 96, 96)

    def sink(region: Region, grown: Region, part: torch.Tensor) -> None:
        region.crop(result, image).copy_(region.crop(part, grown))

    margins = Margins(image, 8, sink)
    for region in list(cut(image, 32))[:5]:
        margins(region, torch.zeros(1, 1, *region.shape))
    for region in cut(image, 16):
        margins(region, region.crop(values, image))
    assert torch.equal(result, values)
