"""Pan-sharpening of arrays and tensors: grids, radiometry, kinds, dtypes, ratios, errors, and whether it helps."""

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, Mean, Passing, StandIn, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.metrics import spectral
from gifnet.networks.gifnet import GIFNet
from gifnet.pansharpening.dtypes import cast
from gifnet.pansharpening.grids import Axis, Grid, windows
from gifnet.pansharpening.method import CONTRAST, PairStatistics, sharpened

ALL = (slice(None), slice(None))


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, device="cpu", dtype="float32")


def scene(height: int = 12, width: int = 16, bands: int = 3, ratio: float = 4) -> tuple[np.ndarray, np.ndarray]:
    """Correlated bands (H, W, C) of 12 bits and their PAN, uint16."""
    fine = round(height * ratio), round(width * ratio)
    shared = photo(*fine, channels=0, seed=1).astype(float)
    own = photo(*fine, channels=bands, seed=2).astype(float).reshape(*fine, bands)
    sharp = 300 + 8 * shared[..., None] + 3 * own
    grid = Grid.of_shapes((height, width), fine)
    ms = np.stack([grid.down(band)[ALL] for band in np.moveaxis(sharp, 2, 0)], axis=2)
    return ms.round().astype(np.uint16), sharp.mean(axis=2).round().astype(np.uint16)


def bicubic(ms: np.ndarray, pan: np.ndarray) -> np.ndarray:
    grid = Grid.of_shapes(ms.shape[:2], pan.shape)
    return np.stack([grid.up(band)[ALL] for band in np.moveaxis(ms, 2, 0)], axis=2)


# --- grids ----------------------------------------------------------------------------------------


def test_up_is_pillow_s_bicubic_away_from_the_border() -> None:
    coarse = np.random.default_rng(0).random((12, 15)).astype(np.float32)
    for shape in ((24, 30), (48, 60), (42, 52)):
        ours = Grid.of_shapes(coarse.shape, shape).up(coarse)[ALL]
        pillow = np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC))
        inner = (slice(8, -8), slice(8, -8))
        np.testing.assert_allclose(ours[inner], pillow[inner], atol=1e-5)


@pytest.mark.parametrize("ratio", [2, 3.5, 4, 7])
def test_down_has_the_response_of_a_sensor(ratio: float) -> None:
    """0.3 at the coarse grid's Nyquist frequency, where its pixels are alternately at a wave's crest and trough."""
    axis = Axis(round(40 * ratio), 40, 1 / ratio, 0.5 / ratio - 0.5)
    wave = np.cos(np.pi * (np.arange(axis.fine) * axis.step + axis.offset))
    taps = axis.down(10, 30)
    coarse = (wave[taps.indices] * taps.weights).sum(axis=1)
    np.testing.assert_allclose(coarse, 0.3 * (-1.0) ** np.arange(10, 30), atol=0.01)


@pytest.mark.parametrize("ratio", [1, 2, 3.5, 4])
def test_pixels_are_areas(ratio: float) -> None:
    """A ramp in scene coordinates keeps its place through up and down: no shift by half a pixel."""
    grid = Grid.of_shapes((20, 22), (round(20 * ratio), round(22 * ratio)))
    coarse = (np.arange(20) + 0.5)[:, None] + np.zeros(22)
    fine = ((np.arange(grid.rows.fine) + 0.5) * grid.rows.step)[:, None] + np.zeros(grid.columns.fine)
    np.testing.assert_allclose(grid.up(coarse)[ALL][10:-10], fine[10:-10], atol=1e-9)
    np.testing.assert_allclose(grid.down(fine)[ALL][4:-4], coarse[4:-4], atol=1e-4)  # the Gaussian ends at 4 deviations
    assert grid.rows.overlap() == (0, 20)


def test_windows_give_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    coarse, fine = rng.random((23, 17)), rng.random((80, 60))
    grid = Grid.of_shapes(coarse.shape, fine.shape)
    for plane in (grid.up(coarse), grid.down(fine), grid.nearest(coarse), grid.up(grid.down(fine))):
        whole = plane[ALL]
        assert whole.shape == plane.shape
        for window in windows(plane.shape, 7):
            np.testing.assert_array_equal(plane[window], whole[window])


@pytest.mark.parametrize("size", [16, 33, 1000])
def test_sharpening_does_not_depend_on_the_windows(fuser: Fuser, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ms, pan = scene(24, 20)
    grid = Grid.of_shapes(ms.shape[:2], pan.shape)
    expected, result = np.empty(pan.shape), np.empty(pan.shape)
    for window, values in sharpened(fuser.fuse_regions, ms[..., 0], pan, grid):
        expected[window] = values
    monkeypatch.setattr(import_module("gifnet.pansharpening.method"), "windows", lambda shape: windows(shape, size))
    for window, values in sharpened(fuser.fuse_regions, ms[..., 0], pan, grid):
        result[window] = values
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-3)  # float32 on a scale of thousands


# --- radiometry -----------------------------------------------------------------------------------


def test_statistics() -> None:
    rng = np.random.default_rng(0)
    band, valid = rng.random((30, 40)) * 1000 + 5000, rng.random((30, 40)) > 0.3
    pan = 0.5 * band + rng.random((30, 40)) * 300
    grid = Grid.of_shapes((30, 40), (60, 80))
    for mask in (None, valid):
        pair = PairStatistics.of(band, pan, grid, mask)
        x, y = (plane[ALL if mask is None else mask].ravel() for plane in (band, pan))
        expected = (x.mean(), x.std(), y.mean(), y.std(), np.corrcoef(x, y)[0, 1])
        actual = (pair.band_mean, pair.band_deviation, pair.pan_mean, pair.pan_deviation, pair.correlation)
        np.testing.assert_allclose(actual, expected)


class Drifting(StandIn):
    """In a network's place: the mean of both planes, brighter by an offset and a slow ramp."""

    def __init__(self, drift: float) -> None:
        super().__init__()
        self.drift = drift

    def form(self) -> Mean:
        drift = self.drift

        class Drift(Mean):
            def forward(self, planes: torch.Tensor) -> torch.Tensor:
                mean = planes.mean(dim=1, keepdim=True)
                return mean + drift * (1 + torch.linspace(0, 1, mean.shape[-1]))

        return Drift()


def test_low_frequencies_are_the_band_s_own() -> None:
    """Where the network drifts from the band's brightness, the result does not."""
    ms, pan = scene(24, 24)
    steady, drifting = (gifnet.pansharpen(ms, pan, model=Fuser(Drifting(x), device="cpu")) for x in (0, 0.05))
    difference = np.abs(drifting.astype(float) - steady)
    assert difference.max() < 0.03 * 0.05 * CONTRAST * ms.std(axis=(0, 1)).min(), "3 % of the drift in the band's units"
    assert np.abs(steady.astype(float) - bicubic(ms, pan)).max() > 20, "something was added"
    np.testing.assert_allclose(steady.mean(axis=(0, 1)), ms.mean(axis=(0, 1)), rtol=0.01)


def test_scale_and_offset_of_either_do_not_matter(fuser: Fuser) -> None:
    ms, pan = (image.astype(np.float64) for image in scene())
    sharp = gifnet.pansharpen(ms, pan, model=fuser)
    np.testing.assert_allclose(gifnet.pansharpen(ms, pan * 7 + 1000, model=fuser), sharp, atol=0.01)
    np.testing.assert_allclose(gifnet.pansharpen(ms * 1e-4 - 2, pan, model=fuser), sharp * 1e-4 - 2, atol=1e-6)


def test_bands_do_not_mix(fuser: Fuser) -> None:
    ms, pan = scene(bands=4)
    sharp = gifnet.pansharpen(ms, pan, model=fuser)
    for index in range(4):
        np.testing.assert_array_equal(sharp[..., index], gifnet.pansharpen(ms[..., index], pan, model=fuser))


def test_nothing_is_taken_from_a_pan_that_says_nothing(fuser: Fuser) -> None:
    ms, pan = scene()
    expected = bicubic(ms, pan).round()
    np.testing.assert_array_equal(gifnet.pansharpen(ms, np.full_like(pan, 700), model=fuser), expected)
    np.testing.assert_array_equal(gifnet.pansharpen(ms, 4000 - pan, model=fuser), expected)
    flat = np.full_like(ms, 1234)
    np.testing.assert_array_equal(gifnet.pansharpen(flat, pan, model=fuser), np.full((48, 64, 3), 1234))


# --- whether it helps -----------------------------------------------------------------------------


def test_wald_s_protocol_on_a_photograph() -> None:
    """Closer to the original bands than bicubic, with the bundled weights."""
    truth = np.asarray(Image.open(EXAMPLES / "portrait_a.jpg").crop((150, 60, 278, 156)), dtype=float)
    pan = truth @ [0.2, 0.5, 0.3]
    grid = Grid.of_shapes((24, 32), pan.shape)
    ms = np.stack([grid.down(band)[ALL] for band in np.moveaxis(truth, 2, 0)], axis=2)
    up = bicubic(ms, pan)

    def measured(image: np.ndarray) -> tuple[float, float]:
        bands = [torch.from_numpy(np.moveaxis(x, 2, 0)[None].copy()) for x in (image, truth)]
        return spectral.ergas(*bands).item(), spectral.sam(*bands).item()

    ours = measured(gifnet.pansharpen(ms, pan))
    assert ours[0] < 0.7 * measured(up)[0]
    assert ours[1] < 0.9 * measured(up)[1]


# --- kinds, dtypes, shapes ------------------------------------------------------------------------


@pytest.mark.parametrize("bands", [1, 3, 4, 8])
@pytest.mark.parametrize("ratio", [1, 2, 3.5, 4])
def test_bands_and_ratios(fuser: Fuser, bands: int, ratio: float) -> None:
    ms, pan = scene(8, 10, bands, ratio)
    sharp = gifnet.pansharpen(ms, pan, model=fuser)
    assert sharp.shape == (*pan.shape, bands)
    assert sharp.dtype == np.uint16


@pytest.mark.parametrize("shape", [(29, 45), (31, 43)])
def test_sizes_that_no_ratio_divides(fuser: Fuser, shape: tuple[int, int]) -> None:
    ms, _ = scene(9, 13)
    assert gifnet.pansharpen(ms, photo(*shape, channels=0), model=fuser).shape == (*shape, 3)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", ">u2", "uint32", "float16", "float32", "float64"])
def test_dtypes(fuser: Fuser, dtype: str) -> None:
    ms, pan = scene(8, 8)
    scale = 1 / 16 if dtype == "uint8" else 1
    values = (ms * scale).astype(dtype)
    sharp = gifnet.pansharpen(values, pan, model=fuser)
    assert sharp.dtype == np.dtype(dtype)
    deep = gifnet.pansharpen(values.astype(np.float64), pan, model=fuser)
    np.testing.assert_allclose(sharp.astype(float), deep, atol=0.51, rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("uint8", [-3.0, 0.5, 1.5, 254.6, 300.0], [0, 0, 2, 255, 255]),
        ("int8", [-200.0, -128.4, 126.6, 127.5, 1e9], [-128, -128, 127, 127, 127]),
        ("int64", [-1e300, -(2.0**63), 2.0**62, 2.0**63, 1e300], [-(2**63), -(2**63), 2**62, 2**63 - 1, 2**63 - 1]),
        ("uint64", [-1.0, 2.0**63, 2.0**64 - 2048, 2.0**64, 1e300], [0, 2**63, 2**64 - 2048, 2**64 - 1, 2**64 - 1]),
        ("float16", [-1e9, -65519.0, 0.5, 65520.0, 1e300], [-65504, -65504, 0.5, 65504, 65504]),
        ("float32", [-1e300, 0.0, 1.0, 2.0, 1e300], [-3.4028234663852886e38, 0, 1, 2, 3.4028234663852886e38]),
    ],
)
def test_cast_saturates(dtype: str, values: list[float], expected: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = cast(np.array(values), np.dtype(dtype))
    assert result.dtype == dtype
    assert result.tolist() == expected


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32"]
)
def test_values_at_the_dtype_s_end_neither_wrap_nor_overflow(dtype: str) -> None:
    """A scene of the dtype's upper half, whose sharpened edges go beyond it."""
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    pan = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((6, 6))).repeat(2, axis=0)
    low = Grid.of_shapes((24, 12), pan.shape).down(pan)[ALL]
    middle = float(limits.max) / 2
    ms = cast(middle + middle * (low - low.min()) / np.ptp(low), np.dtype(dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sharp = gifnet.pansharpen(ms, pan, model=Fuser(Passing(), device="cpu"))
    assert sharp.dtype == dtype
    assert np.isfinite(sharp).all()
    assert int(sharp.max()) == int(limits.max), "limited"
    up = cast(bicubic(ms[..., None], pan)[..., 0], np.dtype(dtype)).astype(float)
    assert np.abs(sharp.astype(float) - up).max() < 0.4 * middle, "and not wrapped"


def test_bfloat16_does_not_overflow() -> None:
    ms, pan = scene(8, 8)
    bands = torch.from_numpy(ms.astype(np.float32)).permute(2, 0, 1)
    bands = (bands / bands.max() * torch.finfo(torch.bfloat16).max).to(torch.bfloat16)
    sharp = gifnet.pansharpen(bands, torch.from_numpy(pan)[None], model=Fuser(Passing(), device="cpu"))
    assert sharp.isfinite().all()
    assert sharp.max() == torch.finfo(torch.bfloat16).max


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32, torch.bfloat16])
def test_tensors(fuser: Fuser, dtype: torch.dtype) -> None:
    ms, pan = scene()
    bands = torch.from_numpy((ms / 16).astype(np.float32)).permute(2, 0, 1).to(dtype)
    grey = torch.from_numpy(pan)[None]
    sharp = gifnet.pansharpen(bands, grey, model=fuser)
    assert sharp.dtype == dtype
    assert sharp.shape == (3, 48, 64)
    batch = gifnet.pansharpen(torch.stack([bands, bands]), torch.stack([grey, grey]), model=fuser)
    assert batch.shape == (2, 3, 48, 64)
    assert torch.equal(batch[1].float(), sharp.float())


def test_bundled_weights_by_name_and_inputs_untouched() -> None:
    ms, pan = scene(6, 6)
    before = ms.copy(), pan.copy()
    np.testing.assert_array_equal(gifnet.pansharpen(ms, pan), gifnet.pansharpen(ms, pan[..., None], model="gifnet"))
    np.testing.assert_array_equal(ms, before[0])
    np.testing.assert_array_equal(pan, before[1])


# --- masked arrays --------------------------------------------------------------------------------


def masked_scene() -> tuple[np.ma.MaskedArray, np.ma.MaskedArray, np.ndarray]:
    """A scene with holes in both, and where the result has data."""
    ms, pan = scene()
    holes, pan_hole = np.zeros(ms.shape, bool), np.zeros(pan.shape, bool)
    holes[2:5, 3:6] = holes[8, 8, 1] = pan_hole[30:40, 50:60] = True
    valid = ~(holes.repeat(4, axis=0).repeat(4, axis=1) | pan_hole[..., None])
    return np.ma.MaskedArray(ms, holes, fill_value=9), np.ma.MaskedArray(pan, pan_hole), valid


def test_masked_pixels_have_no_data(fuser: Fuser) -> None:
    ms, pan, valid = masked_scene()
    sharp = gifnet.pansharpen(ms, pan, model=fuser)
    assert isinstance(sharp, np.ma.MaskedArray)
    assert (sharp.dtype, sharp.fill_value) == (np.uint16, 9)
    np.testing.assert_array_equal(~sharp.mask, valid)
    other_ms, other_pan = ms.copy(), pan.copy()
    other_ms.data[ms.mask], other_pan.data[pan.mask] = 65535, 0
    np.testing.assert_array_equal(gifnet.pansharpen(other_ms, other_pan, model=fuser).data, sharp.data)
    whole = gifnet.pansharpen(*scene(), model=fuser).astype(float)
    assert np.abs(sharp.data - whole)[valid].mean() < 0.02 * whole.mean(), "close to what there is without holes"


def test_either_may_be_masked(fuser: Fuser) -> None:
    ms, pan, _ = masked_scene()
    plain = gifnet.pansharpen(ms.data, pan.data, model=fuser)
    of_ms, of_pan = (gifnet.pansharpen(*both, model=fuser) for both in ((ms, pan.data), (ms.data, pan)))
    np.testing.assert_array_equal(of_ms.mask, ms.mask.repeat(4, axis=0).repeat(4, axis=1))
    np.testing.assert_array_equal(of_pan.mask, np.stack([pan.mask] * 3, axis=2))
    nothing = gifnet.pansharpen(np.ma.MaskedArray(ms.data), pan.data, model=fuser)
    assert isinstance(nothing, np.ma.MaskedArray)
    assert not nothing.mask.any()
    np.testing.assert_array_equal(nothing.data, plain)
    grey = gifnet.pansharpen(ms[..., 0], pan, model=fuser)
    assert grey.shape == pan.shape
    np.testing.assert_array_equal(grey.mask, gifnet.pansharpen(ms, pan, model=fuser).mask[..., 0])


def test_nan_under_a_mask_is_no_fault(fuser: Fuser) -> None:
    ms, pan, valid = masked_scene()
    bands = ms.astype(np.float32)
    bands.data[ms.mask] = np.nan
    sharp = gifnet.pansharpen(np.ma.masked_invalid(bands.data), pan, model=fuser)
    np.testing.assert_array_equal(~sharp.mask, valid)
    assert np.isfinite(sharp.data).all()
    bands.data[0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"ms: holds NaN.*np\.ma\.masked_invalid"):
        gifnet.pansharpen(bands, pan, model=fuser)


def test_everything_masked(fuser: Fuser) -> None:
    ms, pan, _ = masked_scene()
    sharp = gifnet.pansharpen(np.ma.MaskedArray(ms.data, True), pan, model=fuser)
    assert sharp.mask.all()


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "pan", "message"),
    [
        (np.ones((8, 8, 3)), np.ones((32, 32, 3)), "pan: 3 bands"),
        (np.ones((32, 32, 3)), np.ones((8, 8)), "swapped"),
        (np.ones((8, 8, 3)), np.ones((32, 48)), "ratios of 6 and 4"),
        (np.ones((8, 8, 3), complex), np.ones((32, 32)), "ms: dtype complex"),
        (np.ones((8, 8), bool), np.ones((32, 32)), "ms: dtype bool"),
        (np.full((8, 8), np.nan), np.ones((32, 32)), "ms: holds NaN"),
        (np.ones((8, 8)), np.full((32, 32), np.inf), "pan: holds NaN or infinite"),
        (np.ones((8, 0, 3)), np.ones((32, 32)), r"ms: array of shape \(8, 0, 3\)"),
        (np.ones(8), np.ones((32, 32)), r"ms: array of shape \(8,\)"),
        ([[1]], np.ones((32, 32)), "ms: list"),
        (np.ones((8, 8)), Path("pan.tif"), "two paths or two arrays"),
        (torch.ones(8, 8), torch.ones(1, 32, 32), r"give \(C, H, W\)"),
        (torch.ones(3, 8, 8), np.ones((32, 32)), "pan ndarray"),
        (torch.ones(3, 8, 8, dtype=torch.bool), torch.ones(1, 32, 32), "ms: dtype bool"),
        (torch.ones(3, 8, 8).to(torch.float8_e4m3fn), torch.ones(1, 32, 32), r"ms: dtype torch\.float8"),
        (np.ones((3, 8, 10)), np.ones((32, 40)), r"if its bands come first, give np\.moveaxis\(ms, 0, 2\)"),
        (
            np.ones((8, 10, 3)),
            np.ones((1, 32, 40)),
            r"pan: 40 bands.*if its bands come first, give np\.moveaxis\(pan, 0, 2\)",
        ),
        (np.full((8, 8), 1e200) * np.eye(8), np.eye(32), "undeclared nodata value"),
        (torch.ones(2, 3, 8, 8), torch.ones(1, 1, 32, 32), "as many dimensions"),
    ],
)
def test_errors(fuser: Fuser, ms: Any, pan: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gifnet.pansharpen(ms, pan, model=fuser)
