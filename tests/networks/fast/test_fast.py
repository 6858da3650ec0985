"""gifnet-fast: what it is by construction, its size, tiles against the whole, and what surrounds it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, photo
from PIL import Image
from scipy import ndimage
from torch.utils.flop_counter import FlopCounterMode

import gifnet
from gifnet.checkpoints.format import save_weights
from gifnet.fuser import Fuser
from gifnet.networks.fast import FastConfig, FastNetwork
from gifnet.networks.fast.inference import halo

# Tiles and the whole add up the same numbers, in another order for other shapes: a few units in the last place.
ROUNDING = 2e-6


def network(seed: int = 0, **config: object) -> FastNetwork:
    """Of random weights, as one that is trained has them: each choice differs from pixel to pixel."""
    torch.manual_seed(seed)
    made = FastNetwork(FastConfig(**config)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        made.choose.weight.normal_(std=0.3)
        made.improve.weight.normal_(std=0.02)
    return made


@pytest.fixture(scope="module")
def fast() -> FastNetwork:
    return network()


def planes(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 1, height, width, generator=generator), torch.rand(1, 1, height, width, generator=generator)


def test_it_is_small(fast: FastNetwork) -> None:
    assert sum(parameter.numel() for parameter in fast.parameters()) < 150_000
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        fast(*planes(64, 64))
    assert counter.get_total_flops() / 64**2 < 40_000


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 5), (8, 8), (17, 13), (31, 48)])
def test_any_size(fast: FastNetwork, size: tuple[int, int]) -> None:
    a, b = planes(*size)
    with torch.no_grad():
        fused, enhanced = fast(a, b), fast.enhance(a)
    for result in (fused, enhanced):
        assert result.shape == a.shape
        assert result.isfinite().all()
        assert 0 <= result.min() <= result.max() <= 1


def test_an_image_with_itself_is_that_image(fast: FastNetwork) -> None:
    image = photo(45, 66)
    assert np.array_equal(Fuser(fast).fuse(image, image), image)
    a, _ = planes(40, 52)
    with torch.no_grad():
        assert torch.equal(fast(a, a), a)


def test_where_images_agree_nothing_changes(fast: FastNetwork) -> None:
    """A difference reaches a few pixels, by the correction's limit; what the network decides reaches no further."""
    a, b = planes(96, 96)
    b[..., :48] = a[..., :48]
    with torch.no_grad():
        fused = fast(a, b)
    assert torch.equal(fused[..., :40], a[..., :40])
    assert not torch.equal(fused[..., 48:], a[..., 48:])


def test_a_new_network_gives_the_mean(fast: FastNetwork) -> None:
    a, b = planes(24, 32)
    new = FastNetwork()
    with torch.no_grad():
        new.choose.bias.zero_()
        new.improve.bias.zero_()
        assert torch.allclose(new(a, b), (a + b) / 2)
        assert torch.equal(new.enhance(a), a)


@pytest.mark.parametrize(
    "config", [{}, {"half_layers": 1, "quarter_layers": 1}, {"half_layers": 3, "eighth_layers": 2}]
)
def test_no_pixel_depends_on_more_than_the_halo(config: dict[str, int]) -> None:
    """By gradients, in every position within the coarsest pixel; from just within the halo there is one."""
    made = network(half=4, quarter=4, **config)
    reach = halo(made.config)
    a, b = planes(4 * reach, 4 * reach)
    a.requires_grad_()
    furthest = 0
    for offset in range(8):
        row = 2 * reach // 8 * 8 + offset
        (gradient,) = torch.autograd.grad(made.blend(a, b)[0, 0, row, row], a)
        rows = gradient[0, 0].abs().sum(dim=1).nonzero()
        furthest = max(furthest, int((rows - row).abs().max()))
    assert reach - 16 < furthest <= reach


@pytest.mark.parametrize("tile", [64, 72, 130])
def test_tiles_give_the_whole(fast: FastNetwork, tile: int) -> None:
    a, b = (plane[0, 0].numpy() for plane in planes(217, 331))
    fuser = Fuser(fast)
    assert np.abs(fuser.fuse(a, b, tile=tile) - fuser.fuse(a, b, tile=None)).max() <= ROUNDING
    assert np.abs(fuser.enhance(a, tile=tile) - fuser.enhance(a, tile=None)).max() <= ROUNDING


def test_in_bfloat16_what_is_sharp_stays_exact(fast: FastNetwork) -> None:
    """Its decisions are coarser, the image itself is not."""
    a, b = (plane[0, 0].numpy() for plane in planes(60, 70))
    low = Fuser(fast, dtype="bfloat16")
    assert np.array_equal(low.fuse(a, a), a)
    assert np.abs(low.fuse(a, b) - Fuser(fast).fuse(a, b)).mean() < 0.02


def test_weights_of_a_file(fast: FastNetwork, tmp_path: Path) -> None:
    path = tmp_path / "fast.safetensors"
    save_weights(fast, path, {})
    a, b = photo(40, 56, 0), photo(40, 56, 3, seed=1)
    assert np.array_equal(gifnet.fuse(a, b, model=path), Fuser(fast).fuse(a, b))
    assert gifnet.fuse(a, a, b, b, model=path).shape == (40, 56, 3)
    assert not np.array_equal(gifnet.enhance(b, model=path), b)
    ms, pan = photo(20, 28, 4), photo(40, 56, 0)
    assert gifnet.pansharpen(ms, pan, model=path).shape == (40, 56, 4)


def test_the_bundled_weights_choose_what_is_sharp() -> None:
    """A photograph blurred on either side in turn comes back; measured: 8 dB nearer than the mean of both is."""
    with Image.open(EXAMPLES / "exposure_b.jpg") as image:
        sharp = np.asarray(image.convert("L").crop((40, 40, 360, 280)), dtype=np.float32) / 255
    blurred = ndimage.gaussian_filter(sharp, 2)
    left = ndimage.gaussian_filter(np.arange(320) < 160, 4, output=np.float32)
    near, far = sharp * left + blurred * (1 - left), blurred * left + sharp * (1 - left)

    def decibels(image: np.ndarray) -> float:
        return float(-10 * np.log10(np.square(image - sharp).mean()))

    fused = gifnet.fuse(near, far, model="gifnet-fast")
    assert decibels(fused) > decibels((near + far) / 2) + 5
    assert np.array_equal(gifnet.fuse(sharp, sharp, model="gifnet-fast"), sharp)  # by construction


@pytest.mark.parametrize("config", [{"half": 0}, {"quarter": 2.5}, {"eighth_layers": True}, {"correction": 2}])
def test_configurations_that_are_none(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(config))):
        FastConfig(**config)  # type: ignore[arg-type]


def test_planes_that_are_none(fast: FastNetwork) -> None:
    a, b = planes(8, 8)
    for first, second in ((a[0], b[0]), (a, b[..., :4]), (a.double(), b), ((a * 255).to(torch.uint8), b)):
        with pytest.raises(ValueError, match="must"):
            fast(first, second)
