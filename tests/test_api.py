"""fuse and enhance as users call them: kinds, dtypes, shapes, colour, alpha, devices, threads, errors."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, Passing, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.images.reading import read
from gifnet.networks.gifnet import GIFNet, GIFNetConfig


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def mean() -> Fuser:
    return Fuser(Passing(), device="cpu")


# --- kinds, dtypes, shapes ------------------------------------------------------------------------


def test_real_pair_with_the_bundled_weights(tmp_path: Path) -> None:
    """The middle of a pair, in which either is sharp somewhere."""
    crops = [Image.open(EXAMPLES / f"focus_{letter}.jpg").crop((20, 120, 260, 280)) for letter in "ab"]
    for crop, letter in zip(crops, "ab", strict=True):
        crop.save(tmp_path / f"{letter}.png")
    fused = gifnet.fuse(tmp_path / "a.png", str(tmp_path / "b.png"))
    a, b = (np.asarray(crop.convert("L")).astype(float) for crop in crops)
    assert fused.mode == "RGB"
    assert fused.size == (240, 160)
    grey = np.asarray(fused.convert("L")).astype(float)

    def detail(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean())

    assert detail(grey) > max(detail(a), detail(b)), "sharp where either input is"
    assert abs(grey.mean() - (a.mean() + b.mean()) / 2) < 4, "neither brighter nor darker than its inputs"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64, ">u2", ">f4"])
@pytest.mark.parametrize("shape", [(17, 23), (17, 23, 1), (17, 23, 3), (17, 23, 4)])
def test_arrays_come_back_as_they_went_in(mean: Fuser, dtype: Any, shape: tuple[int, ...]) -> None:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    image = (np.random.default_rng(0).random(shape) * top).astype(dtype)
    before = image.copy()
    fused = mean.fuse(image, image)
    assert isinstance(fused, np.ndarray)
    assert fused.dtype == np.dtype(dtype)
    assert fused.shape == shape
    assert fused.flags.c_contiguous  # OpenCV draws into no others
    np.testing.assert_allclose(fused.astype(float), image.astype(float), atol=1e-6 if top == 1 else 0)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
@pytest.mark.parametrize(
    "shape", [(1, 9, 8), (3, 9, 8), (4, 9, 8), (1, 1, 9, 8), (5, 1, 9, 8), (2, 3, 9, 8), (2, 4, 9, 8)]
)
def test_tensors_come_back_as_they_went_in(mean: Fuser, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    top = {torch.uint8: 255, torch.uint16: 65535}.get(dtype)
    tensor = (values * top).round().to(dtype) if top else values.to(dtype)
    fused = mean.fuse(tensor, tensor)
    assert fused.dtype == dtype
    assert fused.shape == shape
    assert torch.allclose(fused.double(), tensor.double(), atol=0 if top else 1e-2 if dtype == torch.bfloat16 else 1e-3)
    assert not fused.is_inference()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I", "F", "PA"]
)
def test_pil_modes(mean: Fuser, mode: str) -> None:
    colour = Image.fromarray(photo())
    if mode == "I;16":
        image = Image.fromarray(photo(channels=0).astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(photo(channels=0).astype(np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(photo(channels=0).astype(np.float32) / 255)
    elif mode == "LAB":
        image = Image.new("LAB", (56, 40), (120, 130, 140))
    elif mode == "PA":
        image = colour.convert("P").convert("PA")
    else:
        image = colour.convert(mode)
    fused = mean.fuse(image, image)
    expected = {
        "1": "L",
        "P": "RGB",
        "PA": "RGBA",
        "CMYK": "RGB",
        "YCbCr": "RGB",
        "HSV": "RGB",
        "LAB": "RGB",
        "I": "I;16",
    }
    assert fused.mode == expected.get(mode, mode)
    assert fused.size == image.size
    if mode in ("L", "RGB", "RGBA", "LA", "I;16"):
        difference = np.abs(np.asarray(fused).astype(int) - np.asarray(image).astype(int))
        assert difference.max() <= (0 if mode in ("L", "LA", "I;16") else 1)


def test_bytes_give_png_bytes(mean: Fuser) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "JPEG")
    fused = mean.fuse(buffer.getvalue(), buffer.getvalue())
    assert isinstance(fused, bytes)
    assert Image.open(io.BytesIO(fused)).format == "PNG"
    grey16 = io.BytesIO()
    Image.fromarray(photo(channels=0).astype(np.uint16) * 257).save(grey16, "PNG")
    assert Image.open(io.BytesIO(mean.fuse(grey16.getvalue(), grey16.getvalue()))).mode == "I;16"


def test_mixed_kinds_the_first_decides(mean: Fuser, tmp_path: Path) -> None:
    array, tensor = photo(), torch.from_numpy(photo()).permute(2, 0, 1)
    path = tmp_path / "image.png"
    Image.fromarray(array).save(path)
    encoded = path.read_bytes()
    sources = [path, encoded, Image.fromarray(array), array, tensor]
    kinds = [Image.Image, bytes, Image.Image, np.ndarray, torch.Tensor]
    for source, kind in zip(sources, kinds, strict=True):
        for other in sources:
            assert isinstance(mean.fuse(source, other), kind)
    assert mean.fuse(array, tensor.float() / 255).dtype == np.uint8
    assert mean.fuse(array, tensor[None]).shape == array.shape


def test_grey_and_colour_give_colour(mean: Fuser) -> None:
    grey, coloured = photo(channels=0, seed=1), photo(seed=2)
    assert mean.fuse(grey, coloured).shape == coloured.shape
    assert mean.fuse(coloured, grey).shape == coloured.shape
    assert mean.fuse(Image.fromarray(grey), Image.fromarray(coloured)).mode == "RGB"
    assert mean.fuse(grey, grey).shape == grey.shape


def test_alpha_is_kept(mean: Fuser) -> None:
    with_alpha = photo(channels=4, seed=3)
    opaque = photo(channels=0, seed=4)
    np.testing.assert_array_equal(mean.fuse(with_alpha, opaque)[..., 3], with_alpha[..., 3])
    np.testing.assert_array_equal(mean.fuse(opaque, with_alpha)[..., 3], with_alpha[..., 3])
    np.testing.assert_array_equal(mean.enhance(with_alpha)[..., 3], with_alpha[..., 3])
    palette = Image.fromarray(photo()).convert("P")
    palette.info["transparency"] = 0
    assert mean.fuse(palette, palette).mode == "RGBA"


def test_strides_do_not_matter(fuser: Fuser) -> None:
    image = photo(40, 40)
    flipped, transposed = image[::-1, ::-1], image.transpose(1, 0, 2)
    np.testing.assert_array_equal(fuser.fuse(flipped, transposed), fuser.fuse(flipped.copy(), transposed.copy()))
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    np.testing.assert_array_equal(fuser.enhance(tensor), fuser.enhance(tensor.contiguous()))


def test_a_batch_is_its_images(fuser: Fuser) -> None:
    a, b = (torch.from_numpy(np.stack([photo(seed=s + k) for k in range(3)])).permute(0, 3, 1, 2) for s in (0, 10))
    fused = fuser.fuse(a, b)
    assert fused.shape == a.shape
    for i in range(3):
        assert int((fused[i].int() - fuser.fuse(a[i], b[i]).int()).abs().max()) <= 1  # a half rounded either way


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (4, 4), (7, 8), (13, 17), (31, 37)])
def test_small_and_odd_sizes(fuser: Fuser, size: tuple[int, int]) -> None:
    a, b = photo(*size, seed=1), photo(*size, seed=2)
    assert fuser.fuse(a, b).shape == a.shape
    assert fuser.enhance(a).shape == a.shape


# --- colour and strength --------------------------------------------------------------------------


def test_grey_stays_grey(fuser: Fuser) -> None:
    grey = photo(channels=1)
    fused = fuser.fuse(np.repeat(grey, 3, axis=2), np.repeat(photo(channels=1, seed=1), 3, axis=2))
    assert np.ptp(fused, axis=2).max() == 0


def test_swapping_colour_inputs_changes_no_hue(mean: Fuser) -> None:
    a, b = photo(seed=1), photo(seed=2)
    np.testing.assert_array_equal(mean.fuse(a, b), mean.fuse(b, a))


def test_strength(fuser: Fuser) -> None:
    x = photo()
    np.testing.assert_array_equal(fuser.enhance(x, strength=0), x)
    whole, half = (fuser.enhance(x.astype(np.float64) / 255, strength=s) for s in (1.0, 0.5))
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(half @ luma, (whole @ luma + x @ luma / 255) / 2, atol=1e-5)
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="strength"):
            fuser.enhance(x, strength=wrong)


# --- loading, devices, threads --------------------------------------------------------------------


def test_models_are_loaded_once() -> None:
    assert gifnet.load("gifnet", device="cpu") is gifnet.load(device="cpu", dtype="float32")
    assert gifnet.load(device="cpu", dtype="bfloat16") is not gifnet.load(device="cpu")
    with ThreadPoolExecutor(8) as pool:
        assert (
            len({id(fuser) for fuser in pool.map(lambda _: gifnet.load(dtype="float16", device="cpu"), range(8))}) == 1
        )


def test_device_and_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    fuser = gifnet.load(device="cpu")
    assert fuser.device == torch.device("cpu")
    assert fuser.dtype == torch.float32
    assert fuser.to(dtype="bfloat16").dtype == torch.bfloat16
    assert "bfloat16" in repr(fuser.to(dtype="bfloat16"))
    assert fuser.dtype == torch.float32, "to() gives another object"
    monkeypatch.setenv("GIFNET_DEVICE", "cpu")
    assert gifnet.load().device == torch.device("cpu")
    monkeypatch.setenv("GIFNET_DEVICE", "toaster")
    with pytest.raises(InputError, match=r"GIFNET_DEVICE.*toaster.*cuda"):
        gifnet.load()
    monkeypatch.delenv("GIFNET_DEVICE")
    with pytest.raises(InputError, match=r"device.*meta.*cpu"):
        gifnet.load(device="meta")
    with pytest.raises(InputError, match=r"dtype.*int8.*bfloat16"):
        gifnet.load(dtype="int8")


def test_bfloat16_on_request_is_close() -> None:
    a, b = photo(64, 64, seed=1), photo(64, 64, seed=2)
    reference, half = (gifnet.fuse(a, b, device="cpu", dtype=dtype).astype(int) for dtype in ("float32", "bfloat16"))
    difference = np.abs(reference - half)
    # 8 bits of significand: seen below 4 levels on the network's output; colour spreads them.
    assert difference.max() <= 16
    assert difference.mean() <= 1


def test_float16_stays_within_a_level() -> None:
    """What ``auto`` takes on CUDA, in the same arithmetic on the CPU."""
    a, b = (np.asarray(Image.open(EXAMPLES / f"focus_{letter}.jpg").convert("L"))[100:228, 200:328] for letter in "ab")
    reference, half = (
        gifnet.load(device="cpu", dtype=dtype).fuse(a / 255, b / 255) for dtype in ("float32", "float16")
    )
    assert np.abs(reference - half).max() * 255 <= 1


def test_threads_give_what_one_gives(fuser: Fuser) -> None:
    pairs = [(photo(seed=i), photo(seed=i + 50)) for i in range(8)]
    alone = [fuser.fuse(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: fuser.fuse(*pair), pairs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_import_is_quick_and_sets_nothing() -> None:
    code = (
        "import torch, numpy, random, logging, warnings, os, time\n"
        "from PIL import Image, ImageFile\n"
        "def state():\n"
        "    return (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype(),\n"
        "            torch.initial_seed(),\n"
        "            logging.root.level, list(logging.root.handlers), list(warnings.filters), dict(os.environ),\n"
        "            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, numpy.geterr(), random.getstate())\n"
        "before = state()\n"
        "start = time.process_time()\n"
        "import gifnet\n"
        "print(time.process_time() - start)\n"
        "assert state() == before\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    # 0.3 s is the promise; processor time, not the clock, so that a busy machine does not decide.
    assert float(result.stdout) < 0.3


# --- errors ---------------------------------------------------------------------------------------

GOOD = photo(8, 8)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "NoneType is no image"),
        ([[1, 2]], "list is no image"),
        ("missing.png", "missing.png: no such file"),
        (Path(), "is a folder"),
        (b"", "not an image"),
        (b"garbage", "not an image"),
        (np.zeros((0, 8, 3), np.uint8), "empty"),
        (np.zeros((8, 8, 2), np.uint8), "H×W×3"),
        (np.zeros((8, 8, 5), np.uint8), "H×W×3"),
        (np.zeros((3, 8, 9), np.uint8), "C×H×W: transpose"),
        (np.zeros(8, np.uint8), "H×W"),
        (np.zeros((8, 8), np.int32), "int32.*uint8"),
        (np.zeros((8, 8), bool), "bool.*uint8"),
        (np.zeros((8, 8), np.complex64), "complex64.*uint8"),
        (np.full((8, 8), "x"), "dtype.*uint8"),
        (np.full((8, 8), np.nan), "NaN"),
        (np.full((8, 8), np.inf), "infinite"),
        (np.full((8, 8), 200.0), "divide by 255"),
        (np.full((8, 8), -0.5), r"from -0.5 to -0.5.*\[0, 1\]"),
        (torch.zeros(8, 8), "C×H×W"),
        (torch.zeros(2, 8, 8), "C×H×W"),
        (torch.zeros(8, 9, 3), "H×W×C: permute"),
        (torch.zeros(0, 3, 8, 8), "empty"),
        (torch.zeros(1, 8, 8, dtype=torch.int64), "int64.*uint8"),
        (torch.full((1, 8, 8), float("nan")), "NaN"),
        (torch.zeros(1, 8, 8).to_sparse(), "dense"),
        (Image.new("F", (8, 8), 3000.0), "values from 3000"),
        (Image.new("I", (8, 8), 70000), "0..65535"),
        (Image.new("L", (0, 8)), "empty"),
    ],
)
def test_bad_images_are_named(fuser: Fuser, bad: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fuser.fuse(bad, GOOD)
    with pytest.raises(InputError, match=message):
        fuser.fuse(GOOD, bad)
    with pytest.raises(InputError, match=message) as caught:
        fuser.enhance(bad)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_sizes_that_differ(fuser: Fuser, tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.fromarray(photo(8, 12)).save(path)
    with pytest.raises(InputError, match=r"a is 56×40 pixels but .*small.png is 12×8; .*resize"):
        fuser.fuse(photo(), path)
    with pytest.raises(InputError, match="a holds 2 images but b holds 3"):
        fuser.fuse(torch.zeros(2, 1, 8, 8), torch.zeros(3, 1, 8, 8))


def test_damaged_files_are_named(fuser: Fuser, tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(photo()).save(whole, "PNG")
    truncated = tmp_path / "truncated.png"
    truncated.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(InputError, match=r"truncated\.png"):
        fuser.enhance(truncated)
    pages = tmp_path / "pages.tif"
    Image.fromarray(photo()).save(pages, save_all=True, append_images=[Image.fromarray(photo(seed=1))])
    with pytest.raises(InputError, match=r"pages.tif: holds 2 images"):
        fuser.enhance(pages)


def test_decompression_bombs_say_how_to_raise_the_limit(
    fuser: Fuser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(photo()).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"large.png.*MAX_IMAGE_PIXELS"):
        fuser.enhance(path)


def test_orientation_is_applied_to_files(mean: Fuser, tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    Image.fromarray(photo(40, 56)).save(path, exif=exif)
    turned = mean.enhance(path)
    assert turned.size == (40, 56)
    assert turned.getexif().get(0x0112, 1) == 1


def test_one_picture_twice_is_fused_not_enhanced() -> None:
    torch.manual_seed(0)
    network = GIFNet(GIFNetConfig(growth=4, position_hidden=8, main="mm", enhance_main="dp")).eval()
    fuser, image = Fuser(network, device="cpu"), photo(24, 20)
    picture = read(image, "a")
    fused = fuser.fuse(picture, picture)
    np.testing.assert_array_equal(fused, fuser.fuse(image, image.copy()))
    assert not np.array_equal(fused, fuser.enhance(picture)), "or the branches do the same, and this shows nothing"
