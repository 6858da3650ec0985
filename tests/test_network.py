"""The network against the reference implementation's outputs, and its two forms against each other."""

import numpy as np
import pytest
import torch
from conftest import random_network, shared_file
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from gifnet.network import GIFNet, GIFNetConfig
from gifnet.network.folded import FoldedGIFNet
from gifnet.network.padding import reflect_pad
from gifnet.network.tiled import Moments, TiledGIFNet, tiles

TASKS = ("ivif", "medical", "meif", "mfif", "nir", "remote")
CROPS = ("crop64", "crop70x101", "crop_1")


def errors(actual: Tensor, expected: Tensor) -> str:
    """Histogram of absolute differences, for a failing comparison's message."""
    difference = (actual - expected).abs().flatten()
    counts = [(limit, int((difference > limit).sum())) for limit in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)]
    return f"max {float(difference.max()):.2e} of {difference.numel()}; " + ", ".join(f">{a:g}: {n}" for a, n in counts)


def assert_within(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= tolerance, errors(actual, expected)


@pytest.fixture(scope="module")
def folded(official: GIFNet) -> dict[str, FoldedGIFNet]:
    return {"dp": FoldedGIFNet(official, "dp"), "mm": FoldedGIFNet(official, "mm")}


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("task", TASKS)
@torch.inference_mode()
def test_golden_crops(official: GIFNet, folded: dict[str, FoldedGIFNet], task: str, crop: str) -> None:
    golden = load_file(shared_file(f"reference/golden/{task}_{crop}.safetensors"))
    a, b = golden["a"], golden["b"]
    shared = official.encoder(torch.cat([a, b], dim=1))
    # 1e-5: hundreds of float32 roundings of values around 1; both forms were seen within 1e-6.
    assert_within(official(a, b, "dp"), golden["fused"], 1e-5)
    assert_within(official(a, b, "mm"), golden["fused_mm_main"], 1e-5)
    assert_within(folded["dp"](a, b), golden["fused"], 1e-5)
    assert_within(folded["mm"](a, b), golden["fused_mm_main"], 1e-5)
    assert_within(official.reconstruction(shared), golden["reconstructed"], 1e-5)
    if crop == "crop64":
        assert_within(shared, golden["shared_features"], 1e-5)
        # Gated features reach 96, where one float32 step is 7.6e-6, and the reference itself is up to 2.5e-5 from the
        # same sums in float64: hence 1e-5 of the largest feature, not of 1. Seen: 2.3e-5 absolute, 3.1e-7 relative.
        gated = official.cfgm(shared, shared, "dp")
        assert_within(gated, golden["gated_features"], 1e-5 * float(golden["gated_features"].abs().max()))
        assert_within(gated, golden["gated_features"], 5e-5)


@pytest.mark.parametrize("task", TASKS)
@torch.inference_mode()
def test_golden_whole_images_in_tiles(official: GIFNet, task: str) -> None:
    a, b, expected = (
        torch.from_numpy(np.asarray(Image.open(shared_file(f"reference/golden/{task}_{name}.png"))).astype(np.float32))
        for name in ("a", "b", "full_y16")
    )
    fused = official.inference_form()(a[None, None] / 255, b[None, None] / 255)
    # 2e-5: half of a 16-bit step, 7.6e-6, is lost in the stored image already.
    assert_within(fused[0, 0], expected / 65535, 2e-5)


@pytest.mark.parametrize("main", ["dp", "mm"])
@torch.inference_mode()
def test_folded_form_equals_plain_at_every_side_from_1_to_20(main: str) -> None:
    plain = random_network(1)
    folded = FoldedGIFNet(plain, main)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(2)
    for height in range(1, 21):
        for width in {1, 21 - height, int(torch.randint(1, 21, (), generator=generator))}:
            a, b = torch.rand(2, 2, 1, height, width, generator=generator)
            # 1e-5: the same sums in another order, in float32.
            assert_within(folded(a, b), plain(a, b, main), 1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("height", "width"), [(33, 70), (64, 64), (101, 47), (128, 36)])
@torch.inference_mode()
def test_folded_form_equals_plain_on_random_weights_and_sizes(height: int, width: int) -> None:
    plain = random_network(height)
    a, b = torch.rand(2, 1, 1, height, width, generator=torch.Generator().manual_seed(width))
    assert_within(plain.inference_form()(a, b), plain(a, b), 1e-5)


@torch.inference_mode()
def test_a_batch_is_its_images_one_by_one(small_network: GIFNet) -> None:
    a, b = torch.rand(2, 3, 1, 21, 30, generator=torch.Generator().manual_seed(3))
    a[1] *= 0.1  # statistics are each image's own
    form = small_network.inference_form()
    one_by_one = torch.cat([form(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    assert_within(form(a, b), one_by_one, 1e-6)


@torch.inference_mode()
def test_half_precision_stays_within_levels_of_float32(official: GIFNet) -> None:
    golden = load_file(shared_file("reference/golden/ivif_crop70x101.safetensors"))
    a, b = golden["a"], golden["b"]
    # A level is 1/255. bfloat16 has 8 bits of significand, float16 has 11.
    for dtype, largest, mean in ((torch.float16, 1.0, 0.1), (torch.bfloat16, 8.0, 0.5)):
        difference = (official.inference_form(dtype)(a, b) - golden["fused"]).abs() * 255
        assert float(difference.max()) <= largest
        assert float(difference.mean()) <= mean


def test_reflect_pad_is_numpys_reflect_at_any_size() -> None:
    for height, width in ((1, 1), (1, 5), (2, 3), (4, 4), (7, 2), (9, 16)):
        image = np.random.default_rng(0).random((1, 2, height, width))
        for left, right, top, bottom in ((0, 3, 0, 2), (4, 4, 4, 4), (1, 1, 1, 1), (0, 7, 5, 0)):
            padded = reflect_pad(torch.from_numpy(image), left, right, top, bottom)
            expected = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)), mode="reflect")
            np.testing.assert_array_equal(padded.numpy(), expected)


def test_strict_network_says_what_it_wants(small_network: GIFNet) -> None:
    form = small_network.inference_form()
    plane = torch.rand(1, 1, 8, 8)
    for a, b in (
        (plane[0], plane[0]),
        (plane.expand(1, 3, 8, 8), plane),
        (plane, plane[..., :4]),
        ((plane * 255).byte(), (plane * 255).byte()),
        (plane[..., :0], plane[..., :0]),
    ):
        for network in (small_network, form):
            with pytest.raises(ValueError, match=r"B, 1, H, W|agree"):
                network(a, b)


def test_configuration_refuses_impossible_values() -> None:
    for wrong in ({"main": "ir"}, {"growth": 0}, {"heads": 3}, {"window": 6}, {"mlp_ratio": 1.5}):
        with pytest.raises(ValueError, match=next(iter(wrong)) if "heads" not in wrong else "heads"):
            GIFNetConfig(**wrong)  # type: ignore[arg-type]


def test_state_dict_holds_parameters_only() -> None:
    model = GIFNet()
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}
    # The released checkpoint's 839,164 values less its two offset tables of 64·64·2 and two unused λ.
    assert sum(p.numel() for p in model.parameters()) == 839_164 - 2 * 64 * 64 * 2 - 2


@pytest.mark.parametrize("keep_bytes", [1 << 40, 0], ids=["kept", "recomputed"])
@torch.inference_mode()
def test_tiles_give_the_pixels_of_the_whole(small_network: GIFNet, keep_bytes: int) -> None:
    folded = FoldedGIFNet(small_network)
    generator = torch.Generator().manual_seed(4)
    sizes = [(9, 70), (8, 16), (1, 33), (17, 3), (64, 64), (61, 67), (97, 101), (128, 90), (5, 131), (33, 40)]
    for height, width in sizes:
        a, b = torch.rand(2, 2, 1, height, width, generator=generator)
        a[1] *= 0.2  # statistics are each image's own
        whole = folded(a, b)
        for tile in (8, 16, 24, 64):
            # 1e-5: the statistics are summed in another order, all else is the same arithmetic.
            assert_within(TiledGIFNet(folded, tile, keep_bytes)(a, b), whole, 1e-5)


@torch.inference_mode()
def test_tiles_of_one_s_own_statistics_would_differ(small_network: GIFNet) -> None:
    """The network does depend on its surroundings' statistics: what the tiles above get right is not a given."""
    folded = FoldedGIFNet(small_network)
    a, b = torch.rand(2, 1, 1, 64, 128, generator=torch.Generator().manual_seed(5))
    a[..., 64:] *= 0.1
    whole = folded(a, b)
    alone = folded(a[..., :64].contiguous(), b[..., :64].contiguous())
    assert float((whole[..., :32] - alone[..., :32]).abs().max()) > 1e-3


def test_tiles_cover_the_padded_image_once() -> None:
    for height, width, size in ((1, 1, 8), (70, 101, 64), (64, 64, 16)):
        count = torch.zeros(height + -height % 4, width + -width % 4)
        for tile in tiles(height, width, size):
            tile.crop(count, 0).add_(1)
        assert bool((count == 1).all())
    with pytest.raises(ValueError, match="multiples of the window"):
        TiledGIFNet(FoldedGIFNet(random_network(growth=4, position_hidden=8)), tile=20)


def test_moments_merge_to_those_of_all_values() -> None:
    values = torch.randn(2, 3, 40, 30, generator=torch.Generator().manual_seed(6)) * 3 + 100
    moments = Moments()
    for tile in tiles(40, 30, 16):
        moments.add(tile.crop(values, 0)[..., :, : 30 - tile.left])
    mean, deviation = moments.statistics(torch.device("cpu"))
    flat = values.double().flatten(1).numpy()
    np.testing.assert_allclose(mean[:, 0], flat.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(deviation[:, 0], np.sqrt(flat.var(axis=1) + 1e-5), rtol=1e-6)
