"""What is done to a pair before fusing: resize= and stretch=, their notes and options (align= is in test_align)."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import run
from conftest import Passing, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.images.reading import read
from gifnet.options.values import StretchLimits
from gifnet.prepare.preparation import Preparation
from gifnet.prepare.resize import resized
from gifnet.prepare.stretch import stretched


@pytest.fixture(scope="module")
def mean() -> Fuser:
    return Fuser(Passing(), device="cpu")


# --- resize ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["a", "b"])
def test_resize_brings_both_to_one_size(mean: Fuser, to: Any) -> None:
    large, small = photo(60, 90, 0), photo(20, 30, 0)
    fused = mean.fuse(large, small, resize=to)
    assert fused.shape == ((60, 90) if to == "a" else (20, 30))
    one, other = (large, small) if to == "a" else (small, large)
    target = np.asarray(Image.fromarray(other).resize(one.shape[::-1], Image.Resampling.BICUBIC), dtype=float)
    assert np.abs(fused - (one + target) / 2).max() <= 1.5, "as Pillow's antialiased bicubic, to rounding"


def test_resize_does_not_alias(mean: Fuser) -> None:
    """A checkerboard of single pixels becomes grey, not another checkerboard."""
    checkers = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    grey = np.full((16, 16), 128, np.uint8)
    assert np.ptp(mean.fuse(grey, checkers, resize="a")[2:-2, 2:-2].astype(int)) <= 1


def test_resize_of_batches_and_alpha(mean: Fuser) -> None:
    a, b = torch.rand(3, 1, 16, 24), torch.rand(3, 3, 32, 48)
    assert mean.fuse(a, b, resize="a").shape == (3, 3, 16, 24)
    assert mean.fuse(a, b, resize="b").shape == (3, 3, 32, 48)
    red = np.zeros((32, 48, 4), np.uint8)
    red[:, 24:] = 200, 10, 10, 255  # and hidden black beside it, which must not darken the rim
    picture = resized(read(np.zeros((16, 24), np.uint8), "a").load(), read(red, "b").load(), "a")[1]
    assert picture.alpha is not None
    seen = picture.alpha[0, 0] > 0.05
    assert picture.pixels[0, 0][seen].min() * 255 == pytest.approx(200, abs=1)


def test_same_size_is_left_alone() -> None:
    a, b = read(photo(), "a"), read(photo(seed=1), "b")
    first, second = Preparation.checked(resize="a").pair(a, b)
    assert first.load().pixels is a.load().pixels
    assert second.load().pixels is b.load().pixels


def test_resize_refuses_other_proportions(mean: Fuser) -> None:
    assert mean.fuse(photo(40, 60), photo(101, 150), resize="a").shape == (40, 60, 3), "1 % is rounding"
    with pytest.raises(InputError, match=r"b is 60×42 pixels and a is 60×40.*5%.*crop"):
        mean.fuse(photo(40, 60), photo(42, 60), resize="a")
    with pytest.raises(InputError, match=r"resize: 'c'.*'a' or 'b'"):
        mean.fuse(photo(), photo(), resize="c")  # type: ignore[call-overload]


# --- stretch --------------------------------------------------------------------------------------


def thermal() -> np.ndarray:
    """uint16 (100, 100): every level from 3000 to 12999 once, in disorder."""
    return np.random.default_rng(0).permutation(np.arange(3000, 13000)).reshape(100, 100).astype(np.uint16)


def test_stretch_maps_the_percentiles_to_black_and_white(mean: Fuser) -> None:
    image = thermal()
    low, high = 3000 + 0.01 * 9999, 3000 + 0.99 * 9999
    expected = ((image - low) / (high - low)).clip(0, 1) * 65535
    fused = mean.fuse(image, image, stretch=(1, 99))
    assert fused.dtype == np.uint16
    assert np.abs(fused - expected).max() <= 1
    np.testing.assert_array_equal(mean.enhance(image, 0, stretch=(1, 99)), fused)
    full = mean.fuse(image, image, stretch=(0, 100))
    assert (full.min(), full.max()) == (0, 65535)
    assert np.abs(mean.fuse(image, image, stretch=True) - mean.fuse(image, image, stretch=(0.1, 99.9))).max() == 0
    np.testing.assert_array_equal(mean.fuse(image, image), image)


def test_stretch_takes_each_image_on_its_own(mean: Fuser) -> None:
    image = torch.from_numpy(thermal() / 65535)[None].float()
    batch = torch.stack([image, image * 0.1])
    fused = mean.fuse(batch, batch, stretch=(1, 99))
    assert torch.allclose(fused[0], fused[1], atol=1e-4)


def test_stretch_leaves_colour_alone(mean: Fuser) -> None:
    dim = photo() // 4
    np.testing.assert_array_equal(mean.enhance(dim, 0, stretch=True), dim)
    grey = photo(channels=0) // 4
    three = np.repeat(grey[..., None], 3, axis=2)
    brightened = mean.enhance(three, 0, stretch=True)
    assert brightened.max() == 255, "grey in three channels is grey"
    np.testing.assert_array_equal(brightened[..., 0], mean.enhance(grey, 0, stretch=True))


def test_stretch_does_not_count_transparent_pixels() -> None:
    image = np.zeros((20, 20, 4), np.uint8)
    image[..., :3] = np.linspace(100, 150, 400).astype(np.uint8).reshape(20, 20, 1)
    image[..., 3] = 255
    image[:3] = 255, 255, 255, 0
    seen = stretched(read(image, "a").load(), StretchLimits(0, 100))[0].pixels[0, 0, 3:]
    assert (float(seen.min()), float(seen.max())) == (0, 1)


def test_stretch_of_next_to_nothing(mean: Fuser) -> None:
    flat = np.full((30, 30), 77, np.uint8)
    np.testing.assert_array_equal(mean.enhance(flat, 0, stretch=True), flat)
    flat[4, 5] = 90  # one warm pixel, beyond any percentile
    spot = mean.enhance(flat, 0, stretch=(1, 99))
    assert spot[4, 5] == 255
    assert spot.sum() == 255


@pytest.mark.parametrize(
    "stretch", [(99, 1), (1, 1), (-1, 99), (1, 101), (1,), (1, 2, 3), "wide", 5, (float("nan"), 9)]
)
def test_stretch_refuses_what_are_no_percentiles(mean: Fuser, stretch: Any) -> None:
    with pytest.raises(InputError, match="stretch"):
        mean.fuse(photo(), photo(), stretch=stretch)


# --- what was done --------------------------------------------------------------------------------


def test_what_was_done_is_logged_and_noted(mean: Fuser, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    a, b = tmp_path / "thermal.png", tmp_path / "photo.png"
    Image.fromarray(thermal()).save(a)
    Image.fromarray(photo(50, 50)).save(b)
    with caplog.at_level(logging.INFO, "gifnet"):
        fused = mean.fuse(a, b, resize="b", stretch=(1, 99))
    assert "thermal.png: stretched from 3099.99 to 12899 (1 to 99 %)" in caplog.text
    assert "thermal.png: resized from 100×100 to 50×50 pixels" in caplog.text
    if isinstance(fused, Image.Image):  # an array, where colour of 16 bits can't be a PIL image
        pytest.fail("colour of 16 bits in a PIL image?")
    Image.fromarray((thermal() // 256).astype(np.uint8)).save(a)
    fused = mean.fuse(a, b, resize="b", stretch=(1, 99))
    described = fused.getexif()[0x010E]
    assert described.startswith("gifnet: thermal.png: stretched from 12 to 50")
    assert str(tmp_path) not in described
    assert 0x010E not in mean.fuse(b, b).getexif()


def test_describe() -> None:
    def describe(**options: Any) -> dict[str, Any]:
        return Preparation.checked(**options).describe()

    assert describe() == {}
    assert describe(resize="a", stretch=True, align=True) == {"resize": "a", "stretch": [0.1, 99.9], "align": "affine"}
    assert describe(stretch=(1, 99), align="homography") == {"stretch": [1.0, 99.0], "align": "homography"}
    with pytest.raises(InputError):
        describe(stretch=(5, 1))


def test_the_command_line(tmp_path: Path) -> None:
    a, b, out = tmp_path / "thermal.png", tmp_path / "photo.png", tmp_path / "out.tif"
    Image.fromarray(thermal()[:40, :60]).save(a)
    Image.fromarray(photo(20, 30, 0)).save(b)
    result = run("fuse", a, b, "-o", out, "--resize", "a", "--stretch", "1,99", "-v", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert "gifnet: thermal.png: stretched from" in result.stderr
    fused = np.asarray(Image.open(out))
    expected = np.asarray(gifnet.fuse(a, b, resize="a", stretch=(1, 99), device="cpu"))
    assert fused.dtype == np.uint16
    assert np.abs(fused.astype(int) - expected).max() <= 257
    assert "stretched" in Image.open(out).getexif()[0x010E]
    result = run("enhance", a, "-o", out, "--strength", "0", "--stretch", "0,100")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert np.ptp(np.asarray(Image.open(out))) == 65535
    for wrong in ("99,1", "1", "few,many"):
        result = run("fuse", a, b, "-o", out, "--stretch", wrong)
        assert result.returncode == 2, wrong
        assert "1,99" in result.stderr
    assert run("fuse", a, b, "-o", out, "--resize", "c").returncode == 2
    result = run("fuse", a, b, "-o", out)
    assert result.returncode == 1
    assert "resize" in result.stderr
