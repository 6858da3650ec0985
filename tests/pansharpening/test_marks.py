"""Rasters with pixels without data, GCPs and RPCs, several of them, and what is refused before the work."""

import errno
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from commands import run
from conftest import Passing
from raster_files import EAST, METRES, NORTH, UTM, georeference, in_memory, read, scene, scene_files, write

import gifnet
from gifnet import Fuser, InputError
from gifnet.networks.gifnet import GIFNet
from gifnet.pansharpening.rasters import pansharpen_files

rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
from rasterio.control import GroundControlPoint  # noqa: E402
from rasterio.enums import ColorInterp  # noqa: E402
from rasterio.rpc import RPC  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NodataShadowWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:rasterio"),
]


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, device="cpu", dtype="float32")


class Working(Fuser):
    """Says if the network is asked to work."""

    worked = False

    def fuse_regions(self, *arguments: Any, **options: Any) -> None:
        self.worked = True
        super().fuse_regions(*arguments, **options)


class Result(NamedTuple):
    bands: np.ndarray
    valid: np.ndarray  # of each band
    nodata: float | None
    colours: list[str]


def result_of(path: Path) -> Result:
    with rasterio.open(path) as dataset:
        colours = [colour.name for colour in dataset.colorinterp]
        return Result(dataset.read(), dataset.read_masks() > 0, dataset.nodata, colours)


HOLE, PAN_HOLE = (slice(2, 5), slice(3, 6)), (slice(30, 40), slice(50, 60))  # of a scene of 12×16 and of its PAN
EXPECTED = np.ones((48, 64), bool)
EXPECTED[8:20, 12:24] = EXPECTED[PAN_HOLE] = False


def holed(value: float = 0) -> tuple[np.ndarray, np.ndarray]:
    ms, pan = scene()
    ms[(slice(None), *HOLE)] = pan[(0, *PAN_HOLE)] = value
    return ms, pan


def with_alpha(path: Path, bands: np.ndarray, hole: tuple[slice, slice], opaque: float) -> Path:
    """The bands, and alpha that is 0 in the hole."""
    alpha = np.full(bands.shape[1:], opaque, bands.dtype)
    alpha[hole] = 0
    scale = 4 if hole is PAN_HOLE else 1
    write(path, np.concatenate([bands, alpha[None]]), **georeference(scale))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [*[ColorInterp.undefined] * len(bands), ColorInterp.alpha]
    return path


def with_mask(path: Path, bands: np.ndarray, hole: tuple[slice, slice], internal: bool) -> Path:
    mask = np.full(bands.shape[1:], 255, np.uint8)
    mask[hole] = 0
    write(path, bands, **georeference(4 if hole is PAN_HOLE else 1))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    assert Path(f"{path}.msk").exists() is not internal
    return path


# --- fill that is not declared ------------------------------------------------------------------------


def test_nodata_is_also_what_undeclared_fill_is(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan, out = scene_files(tmp_path)
    for path, bands, scale in zip((ms, pan), holed(0), (1, 4), strict=True):
        write(path, bands, **georeference(scale))
    pansharpen_files(ms, pan, out, nodata=0, model=fuser)
    undeclared = result_of(out)
    assert undeclared.nodata == 0
    for valid in undeclared.valid:
        np.testing.assert_array_equal(valid, EXPECTED)
    for path in (ms, pan):
        with rasterio.open(path, "r+") as dataset:
            dataset.nodata = 0
    pansharpen_files(ms, pan, out, model=fuser)
    np.testing.assert_array_equal(undeclared.bands, read(out), "as if it were declared")


def test_nodata_does_not_overrule_what_a_raster_declares(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan, out = scene_files(tmp_path)
    bands, grey = scene()
    bands[:, 2:5, 3:6], bands[:, 8:10, 8:10] = 65535, 0  # nodata, and black
    write(ms, bands, nodata=65535, **georeference())
    write(pan, grey, nodata=9, **georeference(4))
    pansharpen_files(ms, pan, out, nodata=0, model=fuser)
    expected = np.ones((48, 64), bool)
    expected[8:20, 12:24] = False
    np.testing.assert_array_equal(result_of(out).valid[0], expected)


# --- masks and alpha ----------------------------------------------------------------------------------


@pytest.mark.parametrize("internal", [True, False])
def test_masks_are_respected_and_written(fuser: Fuser, tmp_path: Path, internal: bool) -> None:
    results = []
    for value in (0, 4000):  # whatever stands there
        ms, pan = holed(value)
        folder = tmp_path / str(value)
        folder.mkdir()
        paths = (
            with_mask(folder / "ms.tif", ms, HOLE, internal),
            with_mask(folder / "pan.tif", pan, PAN_HOLE, internal),
        )
        pansharpen_files(*paths, folder / "out.tif", model=fuser)
        results.append(result_of(folder / "out.tif"))
        assert not list(folder.glob("*out.tif.*")), "the mask lies in the file"
        array = gifnet.pansharpen(*paths, model=fuser)
        assert isinstance(array, np.ma.MaskedArray)
        np.testing.assert_array_equal(~np.ma.getmaskarray(array)[..., 1], EXPECTED)
        np.testing.assert_array_equal(np.moveaxis(array.data, 2, 0), results[-1].bands)
    for valid in results[0].valid:
        np.testing.assert_array_equal(valid, EXPECTED)
    assert results[0].nodata is None
    np.testing.assert_array_equal(results[0].bands, results[1].bands)


@pytest.mark.parametrize(("dtype", "opaque"), [("uint8", 255), ("uint16", 65535), ("int16", 255), ("float32", 1)])
def test_alpha_is_a_mask(fuser: Fuser, tmp_path: Path, dtype: str, opaque: float) -> None:
    ms, pan = ((image / 16).astype(dtype) for image in holed(3200))
    ms[ms == 0] = 1
    paths = with_alpha(tmp_path / "ms.tif", ms, HOLE, opaque), with_alpha(tmp_path / "pan.tif", pan, PAN_HOLE, opaque)
    pansharpen_files(*paths, tmp_path / "out.tif", model=fuser)
    result = result_of(tmp_path / "out.tif")
    assert result.colours[3:] == ["alpha"]
    np.testing.assert_array_equal(result.bands[3], np.where(EXPECTED, opaque, 0))
    assert (result.bands[:3][:, EXPECTED] > 0).all()
    plain = [(image / 16).astype(dtype) for image in scene()]
    difference = np.abs(result.bands[:3] - in_memory(*plain, fuser).astype(float))[:, EXPECTED]
    assert difference.mean() < 0.02 * plain[0].mean(), "close to what there is without holes"


def test_alpha_of_pan_alone_becomes_a_mask(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan, out = scene_files(tmp_path)
    with_alpha(pan, scene()[1], PAN_HOLE, 65535)
    pansharpen_files(ms, pan, out, model=fuser)
    result, expected = result_of(out), np.ones((48, 64), bool)
    expected[PAN_HOLE] = False
    assert "alpha" not in result.colours
    np.testing.assert_array_equal(result.valid[2], expected)


def test_masks_and_nodata_both_count(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan, out = scene_files(tmp_path)
    bands, _ = scene()
    bands[:, 9, 9] = 0
    with_mask(ms, bands, HOLE, internal=True)
    with rasterio.open(ms, "r+") as dataset:
        dataset.nodata = 0
    pansharpen_files(ms, pan, out, model=fuser)
    expected = np.ones((48, 64), bool)
    expected[8:20, 12:24] = expected[36:40, 36:40] = False
    np.testing.assert_array_equal(result_of(out).valid[0], expected)


def test_an_infrared_band_that_is_called_alpha_is_not_taken_for_a_mask(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan, out = scene_files(tmp_path)
    bands = (scene(bands=4)[0] / 16).astype(np.uint8)
    write(ms, bands, **georeference())
    with rasterio.open(ms) as dataset:
        assert dataset.colorinterp[3] is ColorInterp.alpha, "GDAL's default for four bands of 8 bits"
    with pytest.raises(InputError, match=r"ms\.tif: band 4 is declared as alpha, but varies like an image"):
        pansharpen_files(ms, pan, out, model=fuser)
    with rasterio.open(ms, "r+") as dataset:
        dataset.colorinterp = [*dataset.colorinterp[:3], ColorInterp.undefined]
    pansharpen_files(ms, pan, out, model=fuser)
    assert result_of(out).bands.shape == (4, 48, 64)


def test_nan_of_pan_and_integers_without_nodata(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan, out = scene_files(tmp_path)
    grey = scene()[1].astype(np.float32)
    grey[(0, *PAN_HOLE)] = np.nan
    write(pan, grey, **georeference(4))
    pansharpen_files(ms, pan, out, model=fuser)
    expected = np.ones((48, 64), bool)
    expected[PAN_HOLE] = False
    np.testing.assert_array_equal(result_of(out).valid[0], expected)


def test_a_mask_of_nothing_is_not_written(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan, out = scene_files(tmp_path)
    write(pan, scene()[1], nodata=7, **georeference(4))
    with_mask(ms, scene()[0], (slice(0), slice(0)), internal=True)
    pansharpen_files(ms, pan, out, nodata=None, model=fuser)
    assert result_of(out).valid.all()


# --- nodata values at the ends of dtypes --------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float32", float(np.finfo(np.float32).max)),
        ("float32", -float(np.finfo(np.float32).max)),
        ("int8", -128),
        ("int64", -9999),
        ("uint64", 2**53),
        ("uint8", 255),
    ],
)
def test_nodata_at_a_dtype_s_end(fuser: Fuser, tmp_path: Path, dtype: str, value: float) -> None:
    ms, pan, out = scene_files(tmp_path)
    bands = (scene()[0] / 64).astype(dtype)
    bands[(slice(None), *HOLE)] = value
    write(ms, bands, **georeference())
    pansharpen_files(ms, pan, out, nodata=value, model=fuser)
    result, expected = result_of(out), np.ones((48, 64), bool)
    expected[8:20, 12:24] = False
    assert result.nodata == value
    assert result.bands.dtype == dtype
    np.testing.assert_array_equal(result.valid[0], expected)
    assert np.isfinite(result.bands).all()


@pytest.mark.parametrize(("dtype", "value"), [("uint64", 2**64 - 1), ("int64", -(2**63)), ("float32", 1e300),
                                              ("uint16", float("nan")), ("uint8", 0.5)])  # fmt: skip
def test_nodata_that_no_file_can_say(fuser: Fuser, tmp_path: Path, dtype: str, value: float) -> None:
    ms, pan, out = scene_files(tmp_path)
    write(ms, (scene()[0] / 64).astype(dtype), **georeference())
    with pytest.raises(InputError, match=rf"^nodata: .* is no value of {dtype}"):
        pansharpen_files(ms, pan, out, nodata=value, model=fuser)


# --- where it lies ------------------------------------------------------------------------------------

COEFFICIENTS = {f"{axis}_{part}_coeff": [1.0] + [0.01] * 19 for axis in ("line", "samp") for part in ("num", "den")}


def rpcs(scale: float = 1, shift: float = 0) -> RPC:
    """Of a grid ``scale`` times as fine; ``shift`` pixels of it further on."""

    def centre(value: float) -> float:
        return (value + 0.5) * scale - 0.5 - shift

    return RPC(height_off=100, height_scale=500, lat_off=48, lat_scale=0.1, long_off=15, long_scale=0.1,
               line_off=centre(6), samp_off=centre(8), line_scale=6 * scale, samp_scale=8 * scale, err_bias=None,
               err_rand=None, **COEFFICIENTS)  # fmt: skip


def points(scale: float = 1) -> list[GroundControlPoint]:
    corners = ((0, 0), (0, 16), (12, 0), (12, 16))
    return [
        GroundControlPoint(row=row * scale, col=column * scale, x=15 + column / 100, y=48 - row / 100, z=0.0)
        for row, column in corners
    ]


def numbers(rpcs: RPC) -> np.ndarray:
    """All but the errors, which no GeoTIFF holds if they are unknown."""
    values = rpcs.to_dict()
    return np.hstack([values[name] for name in sorted(values) if not name.startswith("err_")])


def placed_at(gcps: list[GroundControlPoint]) -> np.ndarray:
    return np.array([(point.row, point.col, point.x, point.y) for point in gcps])


@pytest.mark.parametrize("source", ["ms", "pan"])
def test_rpcs_and_gcps_are_brought_to_the_result_s_grid(fuser: Fuser, tmp_path: Path, source: str) -> None:
    ms, pan = scene()
    paths = {"ms": write(tmp_path / "ms.tif", ms), "pan": write(tmp_path / "pan.tif", pan)}
    scale, wgs84 = (1 if source == "ms" else 4), rasterio.crs.CRS.from_epsg(4326)
    with rasterio.open(paths[source], "r+") as dataset:
        dataset.gcps = points(scale), wgs84
        dataset.rpcs = rpcs(scale)
    pansharpen_files(paths["ms"], paths["pan"], tmp_path / "out.tif", model=fuser)
    with rasterio.open(tmp_path / "out.tif") as out:
        assert out.gcps[1] == wgs84
        np.testing.assert_allclose(placed_at(out.gcps[0]), placed_at(points(4)), atol=1e-9)
        np.testing.assert_allclose(numbers(out.rpcs), numbers(rpcs(4)))
    np.testing.assert_array_equal(read(tmp_path / "out.tif"), in_memory(ms, pan, fuser))
    assert {path.name for path in tmp_path.iterdir()} == {"ms.tif", "pan.tif", "out.tif"}


def test_pan_s_rpcs_come_first_and_those_of_ms_follow_its_place(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan = scene()
    ms_path, out = write(tmp_path / "ms.tif", ms, **georeference()), tmp_path / "out.tif"
    place = from_origin(EAST + 2 * METRES, NORTH - METRES, METRES / 4, METRES / 4)  # 8 columns and 4 rows on
    pan_path = write(tmp_path / "pan.tif", pan[:, 4:40, 8:56], crs=UTM, transform=place)
    with rasterio.open(ms_path, "r+") as dataset:
        dataset.rpcs = rpcs()
    pansharpen_files(ms_path, pan_path, out, model=fuser)
    with rasterio.open(out) as dataset:
        assert dataset.transform == place
        assert dataset.rpcs.line_off == pytest.approx(rpcs(4, shift=4).line_off)
        assert dataset.rpcs.samp_off == pytest.approx(rpcs(4, shift=8).samp_off)
        assert dataset.rpcs.samp_scale == pytest.approx(32)
    own = rpcs(3)
    with rasterio.open(pan_path, "r+") as dataset:
        dataset.rpcs = own
    pansharpen_files(ms_path, pan_path, out, model=fuser)
    with rasterio.open(out) as dataset:
        np.testing.assert_allclose(numbers(dataset.rpcs), numbers(own))


def test_a_crs_without_a_transform_places_nothing(fuser: Fuser, tmp_path: Path) -> None:
    ms, pan = scene()
    paths = write(tmp_path / "ms.tif", ms, crs=UTM), write(tmp_path / "pan.tif", pan, crs=UTM)
    pansharpen_files(*paths, tmp_path / "out.tif", model=fuser)
    np.testing.assert_array_equal(read(tmp_path / "out.tif"), in_memory(ms, pan, fuser))


# --- several multispectral files ----------------------------------------------------------------------


def band_files(folder: Path) -> tuple[list[Path], Path]:
    ms, pan = scene()
    bands = [write(folder / f"B{index + 2}.tif", ms[index : index + 1], **georeference()) for index in range(3)]
    return bands, write(folder / "pan.tif", pan, **georeference(4))


def test_several_files_in_the_order_given(fuser: Fuser, tmp_path: Path) -> None:
    bands, pan = band_files(tmp_path)
    out, expected = tmp_path / "out.tif", in_memory(*scene(), fuser)
    pansharpen_files(bands[::-1], pan, out, model=fuser)
    np.testing.assert_array_equal(read(out), expected[::-1])
    with rasterio.open(out) as dataset:
        assert dataset.descriptions == ("B4", "B3", "B2")
    array = gifnet.pansharpen([str(path) for path in bands], str(pan), model=fuser)
    np.testing.assert_array_equal(np.moveaxis(array, 2, 0), expected)
    pansharpen_files([write(tmp_path / "ms.tif", scene()[0], **georeference()), bands[0]], pan, out, model=fuser)
    np.testing.assert_array_equal(read(out), expected[[0, 1, 2, 0]])


def test_files_of_different_pixels(fuser: Fuser, tmp_path: Path) -> None:
    """Bands of 10 m and of 20 m of one sensor: each on its own grid."""
    bands, pan = band_files(tmp_path)
    coarse = write(tmp_path / "B8.tif", scene()[0][:1, ::2, ::2], **georeference(0.5))
    pansharpen_files([bands[0], coarse], pan, tmp_path / "out.tif", model=fuser)
    for index, path in enumerate((bands[0], coarse)):
        pansharpen_files(path, pan, tmp_path / "one.tif", model=fuser)
        np.testing.assert_array_equal(read(tmp_path / "out.tif")[index], read(tmp_path / "one.tif")[0])


def test_several_files_on_the_command_line(tmp_path: Path) -> None:
    bands, pan = band_files(tmp_path)
    out = tmp_path / "out.tif"
    assert run("pansharpen", *bands[::-1], pan, "-o", out).returncode == 0
    with rasterio.open(out) as dataset:
        assert dataset.descriptions == ("B4", "B3", "B2")
    wrong = run("pansharpen", bands[0], write(tmp_path / "f.tif", scene()[0].astype(np.float32)), pan, "-o", out)
    assert wrong.returncode == 1
    assert "bands of float32, uint16; give one dtype for all" in wrong.stderr


def test_what_is_no_list_of_paths(fuser: Fuser, tmp_path: Path) -> None:
    bands, pan = band_files(tmp_path)
    for ms in ([], [bands[0], np.zeros((12, 16))], 5):
        with pytest.raises(InputError, match="ms, pan: one is a path"):
            gifnet.pansharpen(ms, pan, model=fuser)
        with pytest.raises(InputError, match=r"^ms: .*; give a path, or a list of paths$"):
            pansharpen_files(ms, pan, tmp_path / "out.tif", model=fuser)  # type: ignore[arg-type]


# --- what is known beforehand is refused beforehand ---------------------------------------------------


def test_errors_come_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuser = Working(Passing(), device="cpu")
    ms, pan, out = scene_files(tmp_path)
    large = write(tmp_path / "large.tif", np.pad(scene()[1], ((0, 0), (0, 0), (0, 4))), **georeference(4))
    (tmp_path / "folder.tif").mkdir()
    cases: list[tuple[Any, Any, str]] = [
        (large, out, r"large\.tif: some pixels of the latter lie beyond the multispectral raster"),
        (pan, tmp_path / "folder.tif", r"folder\.tif: is a folder"),
        (pan, "/vsimem/out.tif", r"/vsimem/out\.tif: the result is written as a local file"),
        (pan, "s3://bucket/out.tif", r"s3://bucket/out\.tif: the result is written as a local file"),
        (pan, tmp_path / "none" / "out.tif", "does not exist"),
    ]
    for grey, target, message in cases:
        with pytest.raises(InputError, match=message):
            pansharpen_files(ms, grey, target, model=fuser)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**6, 10**6, 9000))  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="no room for the result, which takes 9216 bytes or more: 9000 are free"):
        pansharpen_files(ms, pan, out, model=fuser)
    assert not fuser.worked
    assert not out.exists()


def test_a_folder_that_can_t_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    fuser = Working(Passing(), device="cpu")
    ms, pan, out = scene_files(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", denied)
    with pytest.raises(InputError, match=rf"out\.tif: can't be written into {tmp_path} \(Permission denied\)"):
        pansharpen_files(ms, pan, out, model=fuser)
    assert not fuser.worked


@pytest.mark.parametrize("pixels", [1, 2])
def test_a_small_overhang_is_no_fault(fuser: Fuser, tmp_path: Path, pixels: int) -> None:
    """Up to half a multispectral pixel, as grids of sensors are laid on each other."""
    ms, _, out = scene_files(tmp_path)
    grey = np.pad(scene()[1], ((0, 0), (0, 0), (0, pixels)), mode="edge")
    pansharpen_files(ms, write(tmp_path / "pan.tif", grey, **georeference(4)), out, model=fuser)
    assert read(out).shape == (3, 48, 64 + pixels)
