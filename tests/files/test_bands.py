"""Rasters of more bands than colours, RGB and near infrared: what of them is fused, kept and written."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run
from conftest import StandIn, photo
from PIL import Image

import gifnet
from gifnet import Fuser

rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
pytest.importorskip("tifffile", reason="needs the extra [files]")

CRS, TRANSFORM = "EPSG:32633", rasterio.transform.from_origin(500000, 4600000, 10, 10)
FULL = {"uint8": 1.0, "uint16": 257.0, "float32": 1 / 255}


@pytest.fixture
def mean() -> Fuser:
    return Fuser(StandIn(), "cpu")


def bands_of(count: int, seed: int, dtype: str = "uint16", size: tuple[int, int] = (40, 48)) -> np.ndarray:
    """(count, H, W), never 0."""
    levels = photo(*size, channels=count, seed=seed).reshape(*size, count).clip(1)
    return np.moveaxis(levels * FULL[dtype], 2, 0).astype(dtype)


def write(path: Path, bands: np.ndarray, **profile: Any) -> Path:
    """A GeoTIFF of grey and other bands, or of RGB and other bands, the last of which may be alpha."""
    count, height, width = bands.shape
    colours = 3 if count > 2 else 1
    profile = {"crs": CRS, "transform": TRANSFORM, "photometric": "RGB" if colours == 3 else "MINISBLACK"} | profile
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=count, dtype=bands.dtype, alpha="NO", **profile
    ) as file:
        file.write(bands)
        if count > colours:
            file.set_band_description(colours + 1, "NIR <865 nm> µ")
    return path


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        assert file.crs == rasterio.crs.CRS.from_string(CRS)
        assert file.transform == TRANSFORM
        values: np.ndarray = file.read()
        return values


def middle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.float64) + b) / 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("photometric", ["RGB", "MINISBLACK"])
def test_bands_that_both_have_are_fused(mean: Fuser, tmp_path: Path, dtype: str, photometric: str) -> None:
    a, b = bands_of(4, 1, dtype), bands_of(4, 2, dtype)
    paths = [write(tmp_path / f"{i}.tif", x, photometric=photometric, nodata=0) for i, x in enumerate((a, b))]
    out = gifnet.fuse_files(*paths, tmp_path / "out.tif", model=mean)
    result = read(out)
    assert (result.shape, result.dtype) == (a.shape, a.dtype)
    np.testing.assert_allclose(result[3], middle(a[3], b[3]), atol=0.5 if dtype != "float32" else 1e-6)
    alone = gifnet.fuse_files(*(write(tmp_path / f"c{i}.tif", x[:3]) for i, x in enumerate((a, b))),
                              tmp_path / "rgb.tif", model=mean)  # fmt: skip
    np.testing.assert_array_equal(result[:3], read(alone))
    with rasterio.open(out) as file:
        assert file.descriptions == (None, None, None, "NIR <865 nm> µ")
        assert file.nodata == 0
        assert [each.name for each in file.colorinterp[:3]] == ["red", "green", "blue"]
        assert file.colorinterp[3].name != "alpha"


@pytest.mark.parametrize("order", ["first", "second"])
def test_a_band_that_one_has_is_kept_as_it_is(mean: Fuser, tmp_path: Path, order: str) -> None:
    four, other = bands_of(4, 1, "uint8"), bands_of(1, 2, "uint16")
    paths = [write(tmp_path / "four.tif", four), write(tmp_path / "other.tif", other)]
    result = read(gifnet.fuse_files(*(paths if order == "first" else paths[::-1]), tmp_path / "o.tif", model=mean))
    assert (result.shape, result.dtype) == ((4, 40, 48), np.uint16)
    np.testing.assert_array_equal(result[3], four[3] * np.uint16(257))


def test_grey_with_a_band_and_rgb_with_a_band_and_alpha(mean: Fuser, tmp_path: Path) -> None:
    two, five = bands_of(2, 1), bands_of(5, 2)
    five[4] = 65535
    b = write(tmp_path / "five.tif", five)
    with rasterio.open(b, "r+") as file:
        names = ("red", "green", "blue", "undefined", "alpha")
        file.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]
    result = read(gifnet.fuse_files(write(tmp_path / "two.tif", two), b, tmp_path / "out.tif", model=mean))
    assert result.shape == (5, 40, 48)
    np.testing.assert_allclose(result[3], middle(two[1], five[3]), atol=0.5)
    np.testing.assert_array_equal(result[4], 65535)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert [each.name for each in file.colorinterp][-1] == "alpha"


def test_pixels_without_data(mean: Fuser, tmp_path: Path) -> None:
    """Each band has its own: they stay without, and no other pixel gets the value."""
    a, b = bands_of(4, 1, "uint8"), bands_of(4, 2, "uint8")
    a[:, :5, :5] = b[3, 10:12, :] = 0
    a[3, 20, :], b[3, 20, :] = 1, 0  # whose mean, rounded, may be 0
    a[3, 30, :] = b[3, 30, :] = 1
    paths = [write(tmp_path / f"{i}.tif", x, nodata=0) for i, x in enumerate((a, b))]
    result = read(gifnet.fuse_files(*paths, tmp_path / "out.tif", model=mean))
    np.testing.assert_array_equal(result[3] == 0, (a[3] == 0) | (b[3] == 0))
    np.testing.assert_array_equal((result[:3] == 0).all(axis=0), (a[:3] == 0).all(axis=0) | (b[:3] == 0).all(axis=0))


def test_bands_are_enhanced_each_by_itself(mean: Fuser, tmp_path: Path) -> None:
    a = bands_of(4, 1)
    path = write(tmp_path / "a.tif", a)
    np.testing.assert_array_equal(read(gifnet.enhance_file(path, tmp_path / "0.tif", 0.0, model=mean)), a)
    real = gifnet.load("gifnet", "cpu")
    band = gifnet.enhance_file(write(tmp_path / "band.tif", a[3:]), tmp_path / "enhanced.tif", model=real)
    result = read(gifnet.enhance_file(path, tmp_path / "1.tif", model=real))
    np.testing.assert_array_equal(result[3], read(band)[0])


def test_bands_move_with_the_picture(mean: Fuser, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra [align]")
    a, b = bands_of(4, 1), bands_of(4, 1)
    matrix = [[1, 0, 3], [0, 1, 2], [0, 0, 1]]  # b's pixel (x + 3, y + 2) is a's (x, y)
    b = np.roll(b, (2, 3), axis=(1, 2))
    paths = [write(tmp_path / f"{i}.tif", x) for i, x in enumerate((a, b))]
    out = gifnet.fuse_files(*paths, tmp_path / "out.tif", align=matrix, model=mean)
    with rasterio.open(out) as file:
        result = file.read()
    assert result.shape == (4, 38, 45)
    inner = (slice(4, -4), slice(4, -4))  # the resampling's kernel reaches over what np.roll brought in
    np.testing.assert_allclose(result[3][inner], a[3, :38, :45][inner], atol=64)
    small = write(tmp_path / "small.tif", np.repeat(bands_of(4, 3, size=(1, 1)), 20, axis=1).repeat(24, axis=2))
    resized = gifnet.fuse_files(paths[0], small, tmp_path / "resized.tif", resize="a", model=mean)
    with rasterio.open(small) as file, rasterio.open(resized) as other:
        np.testing.assert_allclose(other.read(4), middle(a[3], file.read(4)[0, 0]), atol=1)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_what_has_no_place_for_a_band_says_so(
    mean: Fuser, tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    path = write(tmp_path / "a.tif", bands_of(4, 1, "uint8"))
    with caplog.at_level(logging.WARNING, "gifnet"):
        out = gifnet.enhance_file(path, tmp_path / f"out.{suffix}", 0.0, model=mean)
    assert Image.open(out).mode == "RGB"
    assert re.search(rf"out\.{suffix}: band 4 left out: \w+ holds colours and alpha only", caplog.text)
    caplog.clear()
    assert mean.fuse(path, path).mode == "RGB"
    assert "band 4 left out: images in memory have colours and alpha only; fuse_files writes TIFF" in caplog.text
    caplog.clear()
    gifnet.fuse_files(path, path, tmp_path / "stack.tif", path, model=mean)
    assert "1 further bands left out of a stack" in caplog.text


def test_without_the_extra(
    mean: Fuser, tmp_path: Path, hide: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.tif", bands_of(4, 1, "uint8"))
    hide("tifffile")
    out = gifnet.enhance_file(path, tmp_path / "out.tif", 0.0, model=mean)
    np.testing.assert_array_equal(read(out), bands_of(4, 1, "uint8")[:3])
    assert "1 further bands are left out: pip install 'gifnet[files]' keeps them" in caplog.text


def test_folders(tmp_path: Path) -> None:
    model = Fuser(StandIn(), "cpu", sha256="0" * 64)
    images = [bands_of(4, seed, "uint8") for seed in (1, 2)]
    for name, image in zip("ab", images, strict=True):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "scene.tif", image)
    gifnet.fuse_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out", model=model, progress=False)
    result = read(tmp_path / "out" / "scene.tif")
    np.testing.assert_allclose(result[3], middle(images[0][3], images[1][3]), atol=0.5)


def test_a_raster_alone_is_its_near_infrared_and_its_colours(mean: Fuser, tmp_path: Path) -> None:
    a = bands_of(4, 1)
    path = write(tmp_path / "a.tif", a)
    nir, rgb = write(tmp_path / "nir.tif", a[3:]), write(tmp_path / "rgb.tif", a[:3])
    expected = read(gifnet.fuse_files(nir, rgb, tmp_path / "expected.tif", model=mean))
    result = read(gifnet.fuse_files(path, None, tmp_path / "out.tif", model=mean))
    np.testing.assert_array_equal(result, np.concatenate([expected, a[3:]]))
    in_memory = mean.fuse(path)
    np.testing.assert_array_equal(np.moveaxis(in_memory, 2, 0), expected)
    done = run("fuse", "--stack", path, "-o", tmp_path / "cli.tif", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "cli.tif").shape == (4, 40, 48)
    with pytest.raises(gifnet.InputError, match=r"rgb\.tif: holds one image; fusion takes two or more"):
        mean.fuse(rgb)
