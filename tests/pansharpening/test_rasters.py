"""Pan-sharpening of georeferenced rasters: placement, nodata, windows, what is written, errors, the command line."""

import errno
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run
from raster_files import EAST, METRES, NORTH, UTM, georeference, in_memory, read, scene, scene_files, write

import gifnet
from gifnet import Fuser, InputError
from gifnet.networks.gifnet import GIFNet
from gifnet.pansharpening.grids import windows
from gifnet.pansharpening.rasters import pansharpen_files

rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
from rasterio.crs import CRS  # noqa: E402
from rasterio.transform import Affine, from_origin  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:rasterio"),
]


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, device="cpu", dtype="float32")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    return scene_files(tmp_path)


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [2, 3.5, 4])
@pytest.mark.parametrize("bands", [1, 3, 4, 8])
def test_files_give_what_arrays_give(fuser: Fuser, tmp_path: Path, bands: int, ratio: float) -> None:
    ms, pan = scene(8, 10, bands, ratio)
    paths = write(tmp_path / "ms.tif", ms, **georeference()), write(tmp_path / "pan.tif", pan, **georeference(ratio))
    pansharpen_files(*paths, tmp_path / "out.tif", model=fuser)
    expected = in_memory(ms, pan, fuser)
    np.testing.assert_array_equal(read(tmp_path / "out.tif"), expected)
    np.testing.assert_array_equal(np.moveaxis(gifnet.pansharpen(*paths, model=fuser), 2, 0), expected)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert (out.count, out.dtypes[0], out.crs) == (bands, "uint16", UTM)
        assert out.transform == georeference(ratio)["transform"]
        assert out.profile["tiled"]
        assert out.nodata is None
    assert {path.name for path in tmp_path.iterdir()} == {"ms.tif", "pan.tif", "out.tif"}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_dtype_and_what_is_said_of_the_bands_are_kept(fuser: Fuser, tmp_path: Path, dtype: str) -> None:
    ms, pan = scene(bands=2)
    ms = (ms // 16).astype(dtype)
    path = write(tmp_path / "ms.tif", ms, **georeference())
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("blue", "near infrared")
        dataset.scales, dataset.offsets = (1e-4, 1e-4), (-0.1, -0.1)
        dataset.update_tags(sensor="test")
        dataset.update_tags(2, wavelength="842 nm", STATISTICS_MEAN="7")
    out = tmp_path / "out.tif"
    pansharpen_files(path, write(tmp_path / "pan.tif", pan, **georeference(4)), out, model=fuser)
    with rasterio.open(out) as dataset:
        assert dataset.dtypes == (dtype, dtype)
        assert dataset.descriptions == ("blue", "near infrared")
        assert dataset.scales == (1e-4, 1e-4)
        assert dataset.offsets == (-0.1, -0.1)
        assert dataset.tags()["sensor"] == "test"
        assert dataset.tags(2)["wavelength"] == "842 nm"
        assert "STATISTICS_MEAN" not in dataset.tags(2)
    np.testing.assert_allclose(read(out), in_memory(ms, pan, fuser), rtol=1e-6)


@pytest.mark.parametrize("size", [16, 24])
def test_windows_give_the_same_file(
    fuser: Fuser, files: tuple[Path, Path, Path], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ms, pan, out = files
    with rasterio.open(ms, "r+") as dataset:
        dataset.nodata = 0
        bands = dataset.read()
        bands[:, 5:9, 3:6] = 0
        dataset.write(bands)
    pansharpen_files(ms, pan, out, model=fuser)
    whole = read(out).astype(int)
    for module in ("gifnet.pansharpening.method", "gifnet.pansharpening.filling"):
        monkeypatch.setattr(import_module(module), "windows", lambda shape: windows(shape, size))
    pansharpen_files(ms, pan, out, model=fuser)
    np.testing.assert_array_equal(whole == 0, read(out) == 0)
    assert np.abs(read(out).astype(int) - whole).max() <= 1  # a sum's last bit may round a value the other way


def test_no_window_is_large(fuser: Fuser, files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Apart from the network's own reading, only windows and their margins are read."""
    method, filling, bands = (import_module(f"gifnet.pansharpening.{name}") for name in ("method", "filling", "bands"))
    largest = 0
    read_window = bands.Band.read

    def watched(band: Any, window: Any) -> np.ndarray:
        nonlocal largest
        values: np.ndarray = read_window(band, window)
        largest = max(largest, values.size)
        return values

    def fuse_by_regions(fuser: Fuser, a: Any, b: Any, out: Any) -> None:
        assert isinstance(out, np.memmap)
        for window in windows(a.shape, 8):
            out[window] = (a[window] + b[window]) / 2

    ms, pan = scene(64, 64, bands=1)
    write(files[0], ms, **georeference())
    write(files[1], pan, **georeference(4))
    monkeypatch.setattr(bands.Band, "read", watched)
    monkeypatch.setattr(method, "_fuse_by_regions", fuse_by_regions)
    for module in (method, filling, bands):
        monkeypatch.setattr(module, "windows", lambda shape: windows(shape, 16))
    pansharpen_files(*files, model=fuser)
    assert largest <= (16 * 4 + 2 * 9) ** 2, "a coarse window of 16 pixels, and the Gaussian's reach"


# --- placement ------------------------------------------------------------------------------------


def test_georeferences_decide_not_outer_edges(fuser: Fuser, tmp_path: Path) -> None:
    """PAN over a part of the multispectral raster: as that part alone, away from its edges."""
    ms, pan = scene(20, 24)
    path = write(tmp_path / "ms.tif", ms, **georeference())
    transform = from_origin(
        EAST + 16 * METRES / 4, NORTH - 8 * METRES / 4, METRES / 4, METRES / 4
    )  # 4 and 2 multispectral pixels in
    part = write(tmp_path / "part.tif", pan[:, 8:72, 16:80], crs=UTM, transform=transform)
    pansharpen_files(path, part, tmp_path / "out.tif", model=fuser)
    sharp = read(tmp_path / "out.tif").astype(int)
    expected = in_memory(ms[:, 2:18, 4:20], pan[:, 8:72, 16:80], fuser).astype(int)
    assert sharp.shape == (3, 64, 64)
    assert np.abs(sharp - expected)[:, 24:-24, 24:-24].max() < 0.01 * expected.mean()
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.transform == transform


def test_beyond_the_multispectral_raster_is_nodata(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan = scene(12, 16)
    transform = from_origin(EAST + 4 * METRES, NORTH, METRES, METRES)  # it begins 4 pixels east of PAN
    path = write(tmp_path / "ms.tif", ms[:, :, 4:], crs=UTM, transform=transform)
    pan_path, out = write(tmp_path / "pan.tif", pan, **georeference(4)), tmp_path / "out.tif"
    with pytest.raises(InputError, match="no nodata value"):
        pansharpen_files(path, pan_path, out, model=fuser)
    assert not out.exists()
    pansharpen_files(path, pan_path, out, nodata=0, model=fuser)
    sharp = read(out)
    assert (sharp[:, :, :14] == 0).all()
    assert (sharp[:, :, 14:] > 0).all(), "half a multispectral pixel beyond the edge is still its pixel's"


def test_no_georeference_means_the_same_edges(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan = scene()
    bare, pan_bare = write(tmp_path / "ms.tif", ms), write(tmp_path / "pan.tif", pan)
    placed, out = write(tmp_path / "placed.tif", ms, **georeference()), tmp_path / "out.tif"
    expected = in_memory(ms, pan, fuser)
    pansharpen_files(bare, pan_bare, out, model=fuser)
    np.testing.assert_array_equal(read(out), expected)
    pansharpen_files(placed, pan_bare, out, model=fuser)
    np.testing.assert_array_equal(read(out), expected)
    with rasterio.open(out) as dataset:
        assert dataset.crs == UTM
        assert dataset.transform.almost_equals(georeference(4)["transform"])


# --- nodata ---------------------------------------------------------------------------------------


def with_nodata(tmp_path: Path, value: float, dtype: str, pan_value: int | None = None) -> tuple[Path, Path]:
    """A scene with holes in the bands (and in PAN)."""
    ms, pan = scene(16, 16, bands=2)
    ms = (ms + 10).astype(dtype)
    ms[:, 4:7, 5:9] = ms[:, :, 13:] = value
    if pan_value is not None:
        pan[:, 40:50, :20] = pan_value
    return (
        write(tmp_path / f"ms{value}.tif", ms, nodata=value, **georeference()),
        write(tmp_path / f"pan{pan_value}.tif", pan, nodata=pan_value, **georeference(4)),
    )


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_nodata_stays_and_does_not_bleed(fuser: Fuser, tmp_path: Path, dtype: str) -> None:
    """Whatever value stands for nodata, the valid pixels come out the same."""
    out, results = tmp_path / "out.tif", []
    values = (0, 65535) if dtype == "uint16" else (-9999, float("nan"))
    for value, pan_value in zip(values, (0, 60000), strict=True):
        pansharpen_files(*with_nodata(tmp_path, value, dtype, pan_value), out, model=fuser)
        with rasterio.open(out) as dataset:
            np.testing.assert_equal(dataset.nodata, value)
            mask = dataset.read_masks() > 0
            results.append(np.where(mask, dataset.read(), 1))
    expected = np.ones((2, 64, 64), bool)
    expected[:, 16:28, 20:36] = expected[:, :, 52:] = expected[:, 40:50, :20] = False
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(results[0], results[1])
    ms, pan = scene(16, 16, bands=2)
    undamaged = in_memory(ms + 10, pan, fuser).astype(float)
    difference = np.abs(results[0] - undamaged)[mask]
    assert difference.mean() < 0.02 * undamaged.mean(), "close to what there is without holes"


def test_no_valid_pixel_becomes_nodata(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan = scene(bands=1)
    levels = (ms // 1024).astype(np.uint8)  # few values, so that the nodata value is sure to be among the results
    path = write(tmp_path / "ms.tif", levels + 1, nodata=2, **georeference())
    pansharpen_files(path, write(tmp_path / "pan.tif", pan, **georeference(4)), tmp_path / "out.tif", model=fuser)
    nearest = np.kron(levels[0] + 1, np.ones((4, 4), np.uint8))
    assert (nearest == 2).any()
    np.testing.assert_array_equal(read(tmp_path / "out.tif")[0] == 2, nearest == 2)


def test_a_raster_of_nodata_alone(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan = scene()
    path = write(tmp_path / "ms.tif", np.zeros_like(ms), nodata=0, **georeference())
    pansharpen_files(path, write(tmp_path / "pan.tif", pan, **georeference(4)), tmp_path / "out.tif", model=fuser)
    assert (read(tmp_path / "out.tif") == 0).all()


# --- errors and the command line ------------------------------------------------------------------


def test_errors_name_the_file_and_leave_nothing(fuser: Fuser, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    ms, pan, out = files
    out.write_text("what was there before")
    bands, grey = read(ms), read(pan)
    broken = tmp_path / "broken.tif"
    broken.write_bytes(pan.read_bytes()[:500])
    other = write(tmp_path / "other.tif", grey, crs=CRS.from_epsg(4326), transform=from_origin(15, 48, 1e-5, 1e-5))
    far = write(tmp_path / "far.tif", grey, crs=UTM, transform=from_origin(0, 0, 0.5, 0.5))
    turned = write(tmp_path / "turned.tif", grey, crs=UTM, transform=Affine(0.5, 0.05, EAST, 0.05, -0.5, NORTH))
    alpha = write(
        tmp_path / "alpha.tif", np.concatenate([bands, bands[:1]]).astype(np.uint8), photometric="rgb", alpha="yes"
    )
    imaginary = write(tmp_path / "complex.tif", bands.astype(np.complex64))
    before = {path.name for path in tmp_path.iterdir()}
    cases: list[tuple[Any, Any, Any, str]] = [
        (tmp_path / "none.tif", pan, out, r"none\.tif: no such file"),
        (ms, broken, out, r"broken\.tif: can't be read"),
        (ms, tmp_path / "out.tif", out, r"out\.tif: can't be read as a raster"),
        (ms, ms, out, r"ms\.tif: 3 bands; a panchromatic"),
        (pan, pan, tmp_path / "none" / "out.tif", "does not exist"),
        (ms, pan, tmp_path / "out.png", r"suffix must be \.tif"),
        (ms, other, out, "reproject"),
        (ms, far, out, "overlap"),
        (ms, turned, out, r"turned\.tif is rotated"),
        (alpha, pan, out, r"alpha\.tif: band 4 is declared as alpha, but varies"),
        (imaginary, pan, out, r"complex\.tif: bands of complex64"),
    ]
    for first, second, target, message in cases:
        with pytest.raises(InputError, match=message):
            pansharpen_files(first, second, target, model=fuser)
    with pytest.raises(InputError, match="70000 is no value of uint16"):
        pansharpen_files(ms, pan, out, nodata=70000, model=fuser)
    assert {path.name for path in tmp_path.iterdir()} == before
    assert out.read_text() == "what was there before"


def test_a_file_may_be_its_own_output(fuser: Fuser, files: tuple[Path, Path, Path]) -> None:
    ms, pan, out = files
    pansharpen_files(ms, pan, out, model=fuser)
    pansharpen_files(ms, pan, ms, model=fuser)
    np.testing.assert_array_equal(read(ms), read(out))


def test_a_full_disk_leaves_nothing(
    fuser: Fuser, files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("this system can't reserve disk space")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"no room for 12288 bytes.*No space left"):
        pansharpen_files(*files, model=fuser)
    assert {path.name for path in files[0].parent.iterdir()} == {"ms.tif", "pan.tif"}


def test_a_failing_network_leaves_nothing(fuser: Fuser, files: tuple[Path, Path, Path]) -> None:
    class Failing(Fuser):
        def fuse_regions(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("out of memory")

    ms, pan, out = files
    with pytest.raises(RuntimeError, match="out of memory"):
        pansharpen_files(ms, pan, out, model=Failing(fuser._network, device="cpu"))
    assert {path.name for path in ms.parent.iterdir()} == {"ms.tif", "pan.tif"}


def test_command_line(files: tuple[Path, Path, Path]) -> None:
    ms, pan, out = files
    result = run("pansharpen", ms, pan, "-o", out, "--device", "cpu", "--nodata", "0")
    assert (result.returncode, result.stderr) == (0, "")
    expected = in_memory(read(ms), read(pan), gifnet.load(device="cpu", dtype="float32"))
    np.testing.assert_array_equal(read(out), expected)
    with rasterio.open(out) as dataset:
        assert dataset.nodata == 0
    failed = run("pansharpen", pan, ms, "-o", out)
    assert failed.returncode == 1
    assert "ms.tif" in failed.stderr
    assert run("pansharpen", ms, pan).returncode == 2
