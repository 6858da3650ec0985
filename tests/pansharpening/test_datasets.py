"""Which names and formats of rasters are opened, and how errors name them."""

import os
import threading
import warnings
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from commands import run
from conftest import Passing
from PIL import Image
from raster_files import georeference, read, scene, scene_files, write

import gifnet
from gifnet import Fuser, InputError
from gifnet.pansharpening.datasets import is_local, open_raster
from gifnet.pansharpening.rasters import pansharpen_files

rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
from rasterio.enums import ColorInterp  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
VRT = """<VRTDataset rasterXSize="16" rasterYSize="12"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>
<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""
# GDAL takes it for the mask of the file beside it.
MASK = VRT.replace("<VRTRasterBand", '<Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI></Metadata><VRTRasterBand')


@pytest.fixture
def fuser() -> Fuser:
    return Fuser(Passing(), device="cpu")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    return scene_files(tmp_path)


def opened(name: str | Path) -> np.ndarray:
    with open_raster(name) as dataset:
        values: np.ndarray = dataset.read()
    return values


# --- names --------------------------------------------------------------------------------------------


def test_names_that_only_gdal_understands(fuser: Fuser, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    ms, pan, out = files
    pansharpen_files(ms, pan, out, model=fuser)
    expected = read(out)
    with zipfile.ZipFile(tmp_path / "ms.zip", "w") as archive:
        archive.write(ms, "ms.tif")
    for name in (
        f"/vsizip/{tmp_path}/ms.zip/ms.tif",
        f"zip://{tmp_path}/ms.zip!/ms.tif",
        f"GTIFF_DIR:1:{ms}",
        f"vrt://{ms}?bands=1,2,3",
        f"file://{ms}",
    ):
        pansharpen_files(name, pan, out, model=fuser)
        np.testing.assert_array_equal(read(out), expected, name)


def test_subdatasets(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((4, 5), level, np.uint8)) for level in (10, 20, 30)]
    path = tmp_path / "pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with (
        pytest.raises(InputError, match=r"pages\.tif: holds 3 rasters; name one of them: GTIFF_DIR:1:"),
        open_raster(path),
    ):
        pass
    assert (opened(f"GTIFF_DIR:2:{path}") == 20).all()


def test_variables_of_a_netcdf_file(tmp_path: Path) -> None:
    netcdf = pytest.importorskip("scipy.io").netcdf_file
    path = tmp_path / "f.nc"
    with netcdf(path, "w") as file:
        file.createDimension("y", 3)
        file.createDimension("x", 4)
        for name, level in (("red", 7), ("blue", 9)):
            file.createVariable(name, "i2", ("y", "x"))[:] = level
    with rasterio.Env() as env:
        if "netCDF" not in env.drivers():
            pytest.skip("this GDAL does not read netCDF")
    assert (opened(f'NETCDF:"{path}":blue') == 9).all()
    with pytest.raises(InputError, match=r"f\.nc: holds 2 rasters; name one of them: netcdf:.*f\.nc:red, netcdf:"):
        opened(path)
    with pytest.raises(InputError, match=r'^NETCDF:".*f\.nc":green: can\'t be read as a raster'):
        opened(f'NETCDF:"{path}":green')


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("ms.tif", True),
        ("/data/a b/ms.tif", True),
        (r"C:\data\ms.tif", True),
        ("file:///data/ms.tif", True),
        ("/vsizip/a.zip/ms.tif", False),
        ("s3://bucket/ms.tif", False),
        ("zip+https://host/a.zip!ms.tif", False),
        ('NETCDF:"a.nc":x', False),
        ("GTIFF_DIR:2:a.tif", False),
        ("vrt://a.tif?bands=1", False),
    ],
)
def test_which_names_are_paths(name: str, local: bool) -> None:
    assert is_local(name) is local


def test_a_file_may_be_named_like_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ms, _, _ = scene_files(tmp_path)
    os.rename(ms, "B2:radiance.tif")
    assert opened("B2:radiance.tif").shape == (3, 12, 16)


# --- formats ------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """An address, and the requests that came there."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", requests
        http.shutdown()


def test_content_in_disguise_opens_no_files(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.tif", np.full((1, 12, 16), 7, np.uint16))
    for name in ("ms.tif", "ms.png", "ms", "ms.xml"):
        (tmp_path / name).write_text(VRT.format(source=secret))
        with pytest.raises(InputError, match=rf"{name}: can't be read as a raster .*refers to other files.*\.vrt"):
            opened(tmp_path / name)
    (tmp_path / "ms.vrt").write_text(VRT.format(source=secret))
    assert (opened(tmp_path / "ms.vrt") == 7).all()
    assert (opened(f"vrt://{tmp_path / 'ms.tif'}") == 7).all()


def test_content_in_disguise_asks_no_server(
    fuser: Fuser, files: tuple[Path, Path, Path], server: tuple[str, list[str]]
) -> None:
    ms, pan, out = files
    address, requests = server
    texts = (
        VRT.format(source=f"/vsicurl/{address}/x.tif"),
        f"<GDAL_WMS><Service name='TMS'><ServerUrl>{address}/${{z}}.png</ServerUrl></Service></GDAL_WMS>",
    )
    for text in texts:
        ms.write_text(text)
        with pytest.raises(InputError, match=r"ms\.tif: can't be read"):
            pansharpen_files(ms, pan, out, model=fuser)
    assert requests == []
    with pytest.raises(InputError, match=f"{address}/there.tif: can't be read as a raster"):  # the user's own wish
        pansharpen_files(f"{address}/there.tif", pan, out, model=fuser)
    assert "/there.tif" in requests


@pytest.mark.parametrize("suffix", [".msk", ".ovr", ".MSK"])
def test_what_lies_beside_a_file_is_no_way_around(
    fuser: Fuser, files: tuple[Path, Path, Path], server: tuple[str, list[str]], suffix: str
) -> None:
    ms, pan, out = files
    address, requests = server
    Path(f"{ms}{suffix}").write_text(MASK.format(source=f"/vsicurl/{address}/mask.tif"))
    with pytest.raises(InputError, match=rf"ms\.tif\{suffix}: can't be read as a raster"):
        pansharpen_files(ms, pan, out, model=fuser)
    assert requests == []


@pytest.mark.parametrize("suffix", [".msk", ".MSK"])
def test_nor_in_an_archive(
    fuser: Fuser, files: tuple[Path, Path, Path], server: tuple[str, list[str]], suffix: str
) -> None:
    ms, pan, out = files
    address, requests = server
    archive = ms.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(ms, "ms.tif")
        packed.writestr(f"ms.tif{suffix}", MASK.format(source=f"/vsicurl/{address}/mask.tif"))
    with pytest.raises(InputError, match=rf"ms\.tif\{suffix}: can't be read as a raster"):
        pansharpen_files(f"/vsizip/{archive}/ms.tif", pan, out, model=fuser)
    assert requests == []


@pytest.mark.parametrize(("driver", "suffix"), [("GTiff", "tif"), ("COG", "tif"), ("PNG", "png"), ("ENVI", "img"),
                                                ("HFA", "img"), ("PCIDSK", "pix"), ("JP2OpenJPEG", "jp2")])  # fmt: skip
def test_formats_that_hold_their_pixels(tmp_path: Path, driver: str, suffix: str) -> None:
    ms, _ = scene()
    options = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    with rasterio.Env() as env:
        if driver not in env.drivers():
            pytest.skip(f"this GDAL has no {driver}")
    path = write(tmp_path / f"ms.{suffix}", ms, driver=driver, **options)
    np.testing.assert_array_equal(opened(path), ms)


# --- errors and warnings ------------------------------------------------------------------------------


def test_errors_name_what_was_asked_for(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    empty = tmp_path / "empty.tif"
    empty.touch()
    for name, message in {
        tmp_path / "none.tif": "none.tif: no such file",
        tmp_path / "pipe.tif": "pipe.tif: is a pipe or a device",
        empty: "empty.tif: can't be read as a raster",
        f"/vsizip/{tmp_path}/none.zip/ms.tif": "/none.zip/ms.tif: can't be read as a raster",
        f"GTIFF_DIR:9:{files[0]}": "ms.tif: can't be read as a raster",
    }.items():
        with pytest.raises(InputError, match=f"^[^ ]*{message}"):
            opened(name)


def test_no_warnings_reach_users(fuser: Fuser, tmp_path: Path) -> None:
    """Neither of rasters without georeference nor of nodata beside an alpha band."""
    ms, pan = scene()
    ms = np.concatenate([ms, np.full_like(ms[:1], 65535)])
    paths = write(tmp_path / "ms.tif", ms, nodata=0), write(tmp_path / "pan.tif", pan)
    with rasterio.open(paths[0], "r+") as dataset:
        dataset.colorinterp = [*dataset.colorinterp[:3], ColorInterp.alpha]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pansharpen_files(*paths, tmp_path / "out.tif", model=fuser)
        gifnet.pansharpen(*paths, model=fuser)
    assert [str(one.message) for one in caught if one.category.__module__.startswith("rasterio")] == []
    result = run("pansharpen", *paths, "-o", tmp_path / "cli.tif")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_failing_command_says_one_line(tmp_path: Path) -> None:
    _, pan, out = scene_files(tmp_path)
    for name in ("/vsizip/none.zip/a.tif", "GTIFF_DIR:3:none.tif", f"{tmp_path}/none.tif"):
        result = run("pansharpen", name, pan, "-o", out)
        assert result.returncode == 1
        assert result.stderr.startswith(f"gifnet: {name}: ")
        assert result.stderr.count("\n") == 1


def test_the_command_takes_gdal_s_names(tmp_path: Path) -> None:
    ms, pan, out = scene_files(tmp_path)
    assert run("pansharpen", f"GTIFF_DIR:1:{ms}", pan, "-o", out).returncode == 0
    with rasterio.open(out) as dataset:
        assert dataset.transform == georeference(4)["transform"]
