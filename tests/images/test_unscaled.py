"""Numbers on a scale of their own: what stretch makes of them, and advice that fits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from commands import run
from conftest import Passing, photo
from PIL import Image

from gifnet import Fuser, InputError
from gifnet.images.picture import UnscaledPicture
from gifnet.images.reading import read
from gifnet.options.values import StretchLimits
from gifnet.prepare.stretch import stretched

SCENE = np.random.default_rng(0).random((40, 50))


@pytest.fixture(scope="module")
def mean() -> Fuser:
    return Fuser(Passing(), "cpu")


UNITS: dict[str, np.ndarray] = {
    "Kelvin": (280 + 40 * SCENE).astype(np.float32),
    "Celsius": (-20 + 60 * SCENE).astype(np.float64),
    "hot": (150 + 56 * SCENE).astype(np.float32),
    "Hounsfield": (-1000 + 3000 * SCENE).astype(np.int16),
    "wide": (70_000 + 4e9 * SCENE).astype(np.uint32),
    "signed bytes": (-128 + 255 * SCENE).round().astype(np.int8),
    "radiance": (1.34 * SCENE).astype(np.float16),
}


@pytest.mark.parametrize("units", UNITS)
def test_stretch_gives_any_grey_a_scale(units: str, mean: Fuser, tmp_path: Path) -> None:
    """As an array, a mapped file, a tensor, a TIFF and its bytes; black and white are the percentiles asked for."""
    values = UNITS[units]
    low, high = np.percentile(values.astype(float), (1, 99))
    expected = ((values.astype(float) - low) / (high - low)).clip(0, 1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="minisblack")
    np.memmap(tmp_path / "m", values.dtype, "w+", shape=values.shape)[...] = values
    mapped = np.memmap(tmp_path / "m", values.dtype, "r", shape=values.shape)
    tolerance = 2e-3 if values.dtype == np.float16 else 1e-4
    for source in (values, mapped, torch.from_numpy(values)[None], path, path.read_bytes()):
        picture, notes = stretched(read(source, "a"), StretchLimits(1, 99))
        assert np.abs(picture.pixels[0, 0].numpy() - expected).max() < tolerance
        assert f"stretched from {low:.6g} to"[:18] in notes[0]
        with pytest.raises(InputError, match="stretch=True"):
            mean.enhance(source)
    found = mean.enhance(values, stretch=(1, 99))
    assert found.dtype == (values.dtype if values.dtype.kind == "f" else np.uint16)
    top = 1 if found.dtype.kind == "f" else 65535
    assert np.abs(found.astype(float) / top - expected).max() < tolerance


def test_what_has_no_value_is_black_and_does_not_count(mean: Fuser) -> None:
    values = (280 + 40 * SCENE).astype(np.float32)
    values[:10] = np.nan
    values[10, 0], values[10, 1] = np.inf, -np.inf
    low, high = np.percentile(values[np.isfinite(values)], (1, 99))
    found = mean.enhance(values, stretch=(1, 99))
    assert (found[:10] == 0).all()
    assert (found[10, 0], found[10, 1]) == (1, 0)
    np.testing.assert_allclose(found[11:], ((values[11:] - low) / (high - low)).clip(0, 1), atol=1e-5)
    with pytest.raises(InputError, match=r"a: holds NaN.*stretch=True"):
        mean.fuse(values, values)
    with pytest.raises(InputError, match="x: holds no finite value"):
        mean.enhance(np.full((20, 20), np.nan), stretch=True)


@pytest.mark.parametrize("units", ["Kelvin", "Celsius", "Hounsfield", "wide"])
def test_limits_may_be_values(units: str, mean: Fuser) -> None:
    """Two frames of different content keep one scale, which percentiles would not give them."""
    values = UNITS[units].astype(np.float64)
    low, high = np.quantile(values, 0.2), np.quantile(values, 0.9)
    for frame in (UNITS[units], UNITS[units][:20]):
        picture, notes = stretched(read(frame, "a"), StretchLimits(float(low), float(high), "values"))
        expected = ((frame.astype(np.float64) - low) / (high - low)).clip(0, 1)
        assert np.abs(picture.pixels[0, 0].numpy() - expected).max() < 1e-4
        assert "as given" in notes[0]
    found = mean.enhance(UNITS[units], stretch=(low, high, "values"))
    assert found.shape == values.shape


def test_values_of_one_image_of_a_pair(mean: Fuser) -> None:
    """14-bit counts beside a grey photograph, which is not on that scale."""
    counts, grey = (7000 + 2000 * SCENE).astype(np.uint16), (255 * SCENE).astype(np.uint8)
    expected = (counts / 65535 * 65535 - 7500).clip(0, 1000) / 1000
    fused = mean.fuse(counts, grey, stretch=(7500, 8500, "a"))
    assert np.abs(fused / 65535 - (expected + grey / 255) / 2).max() < 1e-4
    fused = mean.fuse(grey, counts, stretch=(7500, 8500, "b"))
    assert np.abs(fused / 255 - (expected + grey / 255) / 2).max() < 3e-3, "rounded to 8 bits"
    with pytest.raises(InputError, match=r"stretch: b has values from 0 to 255, none of them between.*'a'"):
        mean.fuse(counts, grey, stretch=(7500, 8500, "values"))
    with pytest.raises(InputError, match="'a' is an image of a pair; give 'values'"):
        mean.enhance(counts, stretch=(7500, 8500, "a"))
    with pytest.raises(InputError, match=r"7000 to 9000; give two percentiles.*as \(7000, 9000, 'values'\)"):
        mean.enhance(counts, stretch=(7000, 9000))


def test_values_on_the_command_line(tmp_path: Path) -> None:
    path, out = tmp_path / "celsius.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, UNITS["Celsius"].astype(np.float32), photometric="minisblack")
    done = run("enhance", path, "-o", out, "--strength", "0", "--stretch=-10,30,values")
    assert done.returncode == 0, done.stderr
    expected = ((UNITS["Celsius"] + 10) / 40).clip(0, 1)
    assert np.abs(tifffile.imread(out) - expected).max() < 1e-5
    done = run("enhance", path, "-o", out, "--stretch=-10,30")
    assert done.returncode == 2
    assert "-10,30,values" in done.stderr.replace("(-10, 30, 'values')", "-10,30,values")


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_colour_keeps_its_hues(dtype: Any, mean: Fuser) -> None:
    """All channels are mapped alike."""
    values = (np.random.default_rng(1).random((40, 50, 3)) * 3000).astype(dtype)
    low, high = np.percentile(values, (1, 99))
    picture, _ = stretched(read(values, "a"), StretchLimits(1, 99))
    expected = ((values - low) / (high - low)).clip(0, 1)
    np.testing.assert_allclose(picture.pixels[0].permute(1, 2, 0), expected, atol=1e-5)


def test_only_numbers_are_given_a_scale() -> None:
    for array in (np.zeros((5, 5), bool), np.zeros((5, 5), complex)):
        with pytest.raises(InputError, match="a: dtype"):
            read(array, "a")
    with pytest.raises(InputError, match="a: dtype int16"):  # what would its alpha mean?
        read(np.zeros((5, 5, 4), np.int16), "a")
    with pytest.raises(InputError, match=r"a: alpha outside \[0, 1\]; scale colours and alpha"):
        read(np.full((5, 5, 4), 200.0), "a")
    picture = read(np.full((5, 5), 300.0), "a")
    assert isinstance(picture, UnscaledPicture)
    assert not hasattr(picture, "pixels")


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (np.arange(256.0), "divide by 255"),
        (np.arange(4000.0), "divide by 65535"),
        (np.linspace(0, 1.34, 100), "stretch=True.*which maps"),
        (np.linspace(20, 206.5, 100), "stretch=True.*which maps"),
        (np.linspace(-8, 28, 100), "stretch=True.*which maps"),
        (np.linspace(0, 254.7, 300).reshape(10, 10, 3), "divide by 255"),
        (np.linspace(0, 1.34, 300).reshape(10, 10, 3), "stretch=True.*which maps"),
    ],
)
def test_advice_fits_the_values(values: np.ndarray, advice: str, mean: Fuser) -> None:
    image = values if values.ndim == 3 else np.tile(values, (4, 1))
    with pytest.raises(InputError, match=f"they must lie in .*: .*{advice}") as raised:
        mean.enhance(image.astype(np.float32))
    if "255" not in advice:
        assert "divide by 255" not in str(raised.value)
    mean.enhance(image.astype(np.float32), stretch=True)  # the advice, followed


def test_advice_for_bands_first() -> None:
    for bands in (3, 8):
        with pytest.raises(InputError, match=r"looks like C×H×W: transpose it, by array.transpose\(1, 2, 0\)"):
            read(np.zeros((bands, 40, 50), np.uint8), "a")


def test_advice_for_stacks_can_be_followed(mean: Fuser, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra [align]")
    import gifnet

    whole = np.asarray(Image.fromarray(photo(40, 50, seed=3)).resize((250, 200), Image.Resampling.BICUBIC))
    stack = [whole, whole, np.ascontiguousarray(whole[4:-4, 5:-5])]
    with pytest.raises(InputError, match=r"c is 240×192.*one size.*gifnet\.align\(a, b\)\.warp\(b\)") as raised:
        mean.fuse(*stack)
    assert "resize" not in str(raised.value)
    with pytest.raises(InputError, match=r"for two images only.*gifnet\.align\(a, b\)\.warp\(b\)"):
        mean.fuse(*stack, resize="a")
    aligned = gifnet.align(stack[0], stack[2], motion="similarity").warp(stack[2])
    assert mean.fuse(stack[0], stack[1], aligned).shape == whole.shape


# --- out ----------------------------------------------------------------------------------------------


def mapped(path: Path, array: np.ndarray, mode: str = "r+") -> np.memmap:
    if not path.exists():
        np.memmap(path, array.dtype, "w+", shape=array.shape)[...] = array
    return np.memmap(path, array.dtype, mode, shape=array.shape)  # type: ignore[call-overload]


def test_out_may_not_be_an_input_that_is_still_read(mean: Fuser, tmp_path: Path) -> None:
    image = photo(64, 96)
    a, b = mapped(tmp_path / "a", image), mapped(tmp_path / "b", image)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for out in (a, a[:], mapped(tmp_path / "a", image), mapped(tmp_path / "link", image), a[::-1]):
        with pytest.raises(InputError, match=r"out: shares memory or a file with [abx]"):
            mean.fuse(b, a, out=out)
        with pytest.raises(InputError, match="out: shares memory or a file with x"):
            mean.enhance(a, out=out)
    np.testing.assert_array_equal(a, image)
    both = np.memmap(tmp_path / "both", np.uint8, "w+", shape=(128, 96, 3))
    both[:64] = image
    assert mean.enhance(both[:64], out=both[64:]) is not None, "another part of one file"
    np.testing.assert_array_equal(both[64:], image)
    again = np.memmap(tmp_path / "both", np.uint8, "r+", offset=64 * 96 * 3, shape=(64, 96, 3))
    mean.enhance(both[:64], out=again)


def test_out_may_be_a_small_input_in_memory(mean: Fuser) -> None:
    image = photo(64, 96)
    expected = mean.fuse(image, photo(64, 96, seed=1))
    assert mean.fuse(image, photo(64, 96, seed=1), out=image) is image
    np.testing.assert_array_equal(image, expected)


def test_out_may_not_be_an_input_in_hdf5(mean: Fuser, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"], file["b"] = photo(64, 96), np.zeros_like(photo(64, 96))
        with pytest.raises(InputError, match="out: shares memory or a file with x"):
            mean.enhance(file["a"], out=file["a"])
        mean.enhance(file["a"], out=file["b"])
        np.testing.assert_array_equal(file["b"], photo(64, 96))


def test_other_outs_that_cannot_be_right(mean: Fuser) -> None:
    image = photo(20, 30)
    spread = np.lib.stride_tricks.as_strided(np.zeros((1, 30, 3), np.uint8), (20, 30, 3), (0, 3, 1))
    with pytest.raises(InputError, match="out: several of its elements are one place"):
        mean.enhance(image, out=spread)
    with pytest.raises(InputError, match=r"out: Tensor of torch\.bfloat16; give a NumPy array"):
        mean.enhance(image, out=torch.zeros(20, 30, 3, dtype=torch.bfloat16))
    batch = torch.rand(2, 1, 20, 30)
    with pytest.raises(InputError, match=r"out: \(20, 30\) float32; the result is \(2, 1, 20, 30\) float32"):
        mean.fuse(batch, batch, out=np.zeros((20, 30), np.float32))
    with pytest.raises(InputError, match="out: NumPy has no"):
        mean.enhance(torch.rand(1, 20, 30).to(torch.bfloat16), out=np.zeros((20, 30), np.float32))
    with pytest.raises(InputError, match="out: dict is no array"):
        mean.enhance(image, out={})
