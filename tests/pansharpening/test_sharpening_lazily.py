"""Pan-sharpening of Dask arrays and DataArrays: what arrays in memory and files give."""

from collections.abc import Iterator
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import rasterio
import rioxarray
import torch
import xarray as xr
from conftest import photo, random_network
from rasterio.transform import Affine

import gifnet
from gifnet import InputError
from gifnet.chunked import parts
from gifnet.networks.fast import FastConfig, FastNetwork
from gifnet.pansharpening.rasters import pansharpen_files

RATIO = 4


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In this thread, and small parts, or these images were one."""
    monkeypatch.setattr(parts, "SMALLEST", 64)
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def fast() -> gifnet.Fuser:
    torch.manual_seed(0)
    network = FastNetwork(FastConfig(half=8, quarter=8, half_layers=1, quarter_layers=1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return gifnet.Fuser(network)


def scene(height: int = 60, width: int = 70, bands: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Bands (h, w, C), float64 from 1 to about 10,000, and PAN, four times as fine."""
    rng = np.random.default_rng(0)
    pan = photo(RATIO * height, RATIO * width, 0) * 37.0 + rng.integers(1, 400, (RATIO * height, RATIO * width))
    coarse = pan.reshape(height, RATIO, width, RATIO).mean((1, 3))
    noise = rng.normal(0, 30, (height, width, bands))
    return (coarse[..., None] * np.linspace(0.4, 1, bands) + noise).clip(1), pan


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_arrays(fast: gifnet.Fuser, dtype: type) -> None:
    ms, pan = (image.astype(dtype) for image in scene())
    sharp = gifnet.pansharpen(da.from_array(ms, chunks=33), da.from_array(pan, chunks=(130, 99)), model=fast)
    want = gifnet.pansharpen(ms, pan, model=fast)
    assert sharp.chunks[:2] == ((130, 110), (99, 99, 82))
    assert (sharp.dtype, sharp.shape) == (dtype, want.shape)
    # In units of the bands' range, 1e-5; integers may be rounded otherwise.
    np.testing.assert_allclose(sharp.compute(), want, atol=1e-5 * 10_000 + (dtype is np.uint16), rtol=0)


@pytest.mark.slow
def test_arrays_by_a_network_of_three_passes() -> None:
    fuser = gifnet.Fuser(random_network(growth=4, position_hidden=8))
    ms, pan = (image.astype(np.float32) for image in scene(100, 110))
    for chunks in (33, 400):
        sharp = gifnet.pansharpen(da.from_array(ms, chunks=chunks), da.from_array(pan, chunks=130), model=fuser)
        np.testing.assert_allclose(sharp.compute(), gifnet.pansharpen(ms, pan, model=fuser), atol=0.1, rtol=0)


def test_masked_arrays(fast: gifnet.Fuser) -> None:
    ms, pan = scene()
    ms, pan = np.ma.masked_greater(ms, np.percentile(ms, 95)), np.ma.MaskedArray(pan, np.zeros(pan.shape, bool))
    pan[100:140, 50:77] = np.ma.masked
    lazy = [da.from_array(image, chunks=60, asarray=False) for image in (ms, pan)]
    sharp, want = gifnet.pansharpen(*lazy, model=fast).compute(), gifnet.pansharpen(ms, pan, model=fast)
    np.testing.assert_array_equal(sharp.mask, want.mask)
    assert 0.05 < want.mask.mean() < 0.5
    assert np.abs(sharp - want).max() < 0.1


def write(path: Path, image: np.ndarray, pixel: float, nodata: float | None, x: float = 5e5, y: float = 5e6) -> None:
    bands, (height, width) = np.atleast_3d(image).transpose(2, 0, 1), image.shape[:2]
    transform = Affine(pixel, 0, x, 0, -pixel, y)
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=len(bands), dtype=image.dtype, crs="EPSG:32633",
        transform=transform, nodata=nodata,
    ) as sink:  # fmt: skip
        sink.write(bands)


@pytest.mark.parametrize(
    ("dtype", "nodata", "masked", "chunks"),
    [
        ("uint16", 0, False, 64),
        ("float32", -9999, True, 64),
        ("float32", -9999, False, None),
        ("float32", None, False, 64),
    ],
)
def test_rasters(
    fast: gifnet.Fuser, tmp_path: Path, dtype: str, nodata: float | None, masked: bool, chunks: int | None
) -> None:
    """As files give it: georeference, nodata, a PAN that covers other ground; written by to_raster."""
    ms, pan = (image.astype(dtype) for image in scene())
    ms[20:30, 40:45] = np.nan if nodata is None else nodata
    if nodata is not None:
        pan[200:210, 20:90] = nodata
    write(tmp_path / "ms.tif", ms, 4.0, nodata)
    write(tmp_path / "pan.tif", pan[37:, 21:], 1.0, nodata, 5e5 + 21, 5e6 - 37)
    pansharpen_files(tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path / "want.tif", model=fast, progress=False)
    opened = [rioxarray.open_rasterio(tmp_path / name, chunks=chunks, masked=masked) for name in ("ms.tif", "pan.tif")]
    sharp = gifnet.pansharpen(*opened, model=fast)
    assert isinstance(sharp.data, np.ndarray if chunks is None else da.Array)
    assert sharp.dims == ("band", "y", "x")
    sharp.rio.to_raster(tmp_path / "sharp.tif")
    with rasterio.open(tmp_path / "sharp.tif") as ours, rasterio.open(tmp_path / "want.tif") as files:
        assert (ours.crs, ours.transform) == (files.crs, files.transform)
        np.testing.assert_equal(ours.nodata, files.nodata)
        np.testing.assert_array_equal(ours.read_masks(), files.read_masks())
        assert 0 < (files.read_masks() == 0).mean() < 0.2
        np.testing.assert_allclose(ours.read(), files.read(), atol=1, rtol=0)


def test_pan_beyond_the_bands(fast: gifnet.Fuser, tmp_path: Path) -> None:
    ms, pan = (image.astype(np.float32) for image in scene())
    write(tmp_path / "ms.tif", ms, 4.0, None)
    write(tmp_path / "pan.tif", pan, 1.0, None, 5e5 - 17, 5e6 + 33)
    pansharpen_files(tmp_path / "ms.tif", tmp_path / "pan.tif", tmp_path / "want.tif", model=fast, progress=False)
    opened = [rioxarray.open_rasterio(tmp_path / name, chunks=66) for name in ("ms.tif", "pan.tif")]
    sharp = gifnet.pansharpen(*opened, model=fast).values
    want = rioxarray.open_rasterio(tmp_path / "want.tif").values
    np.testing.assert_allclose(sharp, want, atol=0.1, rtol=0)  # NaN where NaN is
    assert np.isnan(want).mean() > 0.1
    whole = [xr.DataArray(image.round().astype(np.uint16), one.drop_vars("band").coords, ("y", "x"))
             for image, one in ((ms[..., 0], opened[0].squeeze()), (pan, opened[1].squeeze()))]  # fmt: skip
    with pytest.raises(InputError, match="no value that says so; give ms a nodata value"):
        gifnet.pansharpen(*whole, model=fast)


def test_to_zarr(fast: gifnet.Fuser, tmp_path: Path) -> None:
    ms, pan = scene()
    sharp = gifnet.pansharpen(da.from_array(ms, chunks=30), da.from_array(pan, chunks=120), model=fast)
    sharp.to_zarr(str(tmp_path / "sharp.zarr"))
    np.testing.assert_array_equal(da.from_zarr(str(tmp_path / "sharp.zarr")).compute(), sharp.compute())


MS, PAN = scene()
LABELLED = xr.DataArray(PAN, {"y": np.arange(240.0), "x": np.arange(280.0)}, ("y", "x"))


@pytest.mark.parametrize(
    ("ms", "pan", "message"),
    [
        (da.from_array(MS), da.from_array(PAN[..., None].repeat(2, 2)), "pan: 2 bands"),
        (da.from_array(PAN), da.from_array(MS[..., 0]), "pan must be the finer"),
        (da.from_array(MS), "pan.tif", "pan: str beside a Dask array"),
        (da.from_array(MS > 9), da.from_array(PAN), "ms: dtype bool"),
        (LABELLED, PAN, "one is a DataArray, the other is not"),
        (LABELLED, LABELLED[::-1], "pan is mirrored against ms"),
        (LABELLED, LABELLED.assign_coords(x=LABELLED.x + 1e4), "don't overlap"),
        (LABELLED, LABELLED[::2, ::2], "its pixels are larger"),
        (LABELLED.assign_coords(x=LABELLED.x**2), LABELLED, "not evenly spaced"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_does_not_belong_together(fast: gifnet.Fuser, ms: object, pan: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gifnet.pansharpen(ms, pan, model=fast)


def test_nan_in_plain_arrays_is_an_error(fast: gifnet.Fuser) -> None:
    ms = MS.copy()
    ms[3, 3] = np.nan
    with pytest.raises(InputError, match="ms: holds NaN"):
        gifnet.pansharpen(da.from_array(ms), da.from_array(PAN), model=fast).compute()
