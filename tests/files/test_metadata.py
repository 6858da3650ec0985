"""What of metadata is kept, what is dropped, and what outputs do to whatever has their name."""

import io
import logging
import os
import stat
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import Passing, photo
from PIL import Image, ImageCms

import gifnet
from gifnet import Fuser, InputError
from gifnet.batch import files as filefusion
from gifnet.files.atomic import atomic_path
from gifnet.files.metadata import Metadata
from gifnet.files.raster import Raster
from gifnet.files.reading import read_file
from gifnet.files.writing import write_file
from gifnet.images.profiles import converted

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(autouse=True)
def mean(monkeypatch: pytest.MonkeyPatch) -> Fuser:
    fuser = Fuser(Passing(), device="cpu")
    monkeypatch.setattr(filefusion, "fuser_of", lambda *_: fuser)
    return fuser


def swapped() -> bytes:
    """An RGB profile in which red is sRGB's green, and green its red: conversions are easily told."""
    content = bytearray(SRGB)
    tags = {bytes(content[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(content[131])}
    red, green = (content[tags[name] + 4 : tags[name] + 12] for name in (b"rXYZ", b"gXYZ"))
    content[tags[b"rXYZ"] + 4 : tags[b"rXYZ"] + 12], content[tags[b"gXYZ"] + 4 : tags[b"gXYZ"] + 12] = green, red
    return bytes(content)


def camera() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    return exif


# --- descriptions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", [{"imagej": True}, {"ome": True}, {"shaped": True}, {}])
def test_descriptions_of_a_layout_are_dropped(kind: dict[str, bool], dtype: Any, tmp_path: Path) -> None:
    pages = np.stack([photo(24, 32, 0, seed) for seed in range(3)]).astype(dtype)
    tifffile.imwrite(tmp_path / "z.tif", pages, photometric="minisblack", metadata={"axes": "ZYX"}, **kind)
    assert tifffile.TiffFile(tmp_path / "z.tif").pages[0].description  # type: ignore[union-attr]
    for page in (0, 2):
        out = gifnet.fuse_files(tmp_path / "z.tif", tmp_path / "z.tif", tmp_path / "out.tif", page=page)
        np.testing.assert_array_equal(tifffile.imread(out), pages[page])
        with tifffile.TiffFile(out) as file:
            assert len(file.series) == 1
            assert not file.pages[0].description  # type: ignore[union-attr]


def test_other_descriptions_are_kept(tmp_path: Path) -> None:
    for text in ("A scene by the sea", "{not json", "OME, a river"):
        tifffile.imwrite(tmp_path / "a.tif", photo(16, 24), photometric="rgb", description=text, metadata=None)
        with Image.open(gifnet.enhance_file(tmp_path / "a.tif", tmp_path / "out.tif", 0)) as image:
            assert image.getexif()[270] == text


def test_one_unwritable_tag_drops_only_itself(tmp_path: Path) -> None:
    exif = camera()
    exif[0x8769] = {0x829A: 0.02, 0x9003: "2020:01:01 00:00:00"}
    whole = Image.Exif()
    whole.load(exif.tobytes())
    real = Metadata.of(whole, None, upright=True)
    assert b"2020:01:01" in real.exif

    class Damaged(Image.Exif):
        def get_ifd(self, tag: int) -> dict[int, Any]:
            found = super().get_ifd(tag)
            return {**found, 0x9004: object()} if tag == 0x8769 else found

    damaged = Damaged()
    damaged.load(exif.tobytes())
    damaged[0x8298] = object()
    assert Metadata.of(damaged, None, upright=True).exif == real.exif


# --- profiles -----------------------------------------------------------------------------------------


def test_grey_in_three_channels_is_not_in_colour(tmp_path: Path) -> None:
    """The visible's profile and EXIF are the result's, whether the infrared has one channel or three equal ones."""
    grey = photo(24, 32, 0)
    Image.fromarray(photo(24, 32, seed=1)).save(tmp_path / "visible.png", icc_profile=SRGB, exif=camera())
    for mode in ("L", "RGB"):
        for suffix in (".png", ".jpg"):
            Image.fromarray(grey).convert(mode).save(tmp_path / f"infrared{suffix}", quality=90)
            out = gifnet.fuse_files(tmp_path / f"infrared{suffix}", tmp_path / "visible.png", tmp_path / "out.png")
            with Image.open(out) as image:
                assert image.info.get("icc_profile") == SRGB
                assert image.getexif().get(0x010F) == "Maker"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_profiles_are_converted_to_the_result_s(dtype: Any, tmp_path: Path) -> None:
    """The same colours in two profiles: their fusion has those colours, in the first one's profile."""
    image = photo(24, 32).astype(dtype) * (257 if dtype == np.uint16 else 1)
    write_file(Raster(image, Metadata(icc=SRGB)), tmp_path / "a.png")
    write_file(Raster(image), tmp_path / "untagged.png")
    write_file(Raster(image[..., [1, 0, 2]], Metadata(icc=swapped())), tmp_path / "b.png")
    tolerance = 1 if dtype == np.uint8 else 300
    for first, others, expected in (
        ("a", ("b",), image),
        ("untagged", ("b",), image),
        ("b", ("a",), image[..., [1, 0, 2]]),
    ):
        names = [tmp_path / f"{name}.png" for name in (first, *others)]
        out = read_file(gifnet.fuse_files(names[0], names[1], tmp_path / "out.png"), "out")
        assert np.abs(out.array.astype(int) - expected).max() <= tolerance
        assert out.metadata.icc == {"a": SRGB, "untagged": b"", "b": swapped()}[first]


def test_profiles_of_a_stack_are_converted_to_the_first_s(mean: Fuser, tmp_path: Path) -> None:
    image = photo(24, 32)
    Image.fromarray(image).save(tmp_path / "a.png", icc_profile=SRGB)
    Image.fromarray(image[..., [1, 0, 2]]).save(tmp_path / "b.png", icc_profile=swapped())
    expected = np.asarray(mean.fuse(*[tmp_path / "a.png"] * 3))
    found = np.asarray(mean.fuse(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "b.png"))
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_deep_conversion_agrees_with_8_bits_and_is_finer() -> None:
    levels = torch.from_numpy(photo(24, 32).copy()).permute(2, 0, 1)[None].float() / 255
    exact, table = (converted(levels, SRGB, swapped(), exact=exact) for exact in (True, False))
    assert (exact - table).abs().max() < 1 / 255
    between = (levels + 0.3 / 255).clamp(0, 1)
    assert (converted(between, SRGB, swapped(), exact=False) - table).abs().mean() > 0.1 / 255
    assert torch.equal(converted(levels, b"no profile", SRGB), levels)


def test_a_long_profile_is_left_out_of_png(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    icc = SRGB + np.random.default_rng(0).bytes(1 << 21)
    for dtype in (np.uint8, np.uint16):
        with caplog.at_level(logging.INFO, "gifnet"):
            path = write_file(Raster(photo(16, 24).astype(dtype), Metadata(icc=icc)), tmp_path / "a.png")
        with Image.open(path) as image:
            image.load()
        assert "the ICC profile" in caplog.text
    path = write_file(Raster(photo(16, 24), Metadata(icc=icc)), tmp_path / "a.tif")
    assert read_file(path, "a").metadata.icc == icc


# --- resolution and georeference ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_resolution_is_kept(dtype: Any, suffix: str, tmp_path: Path) -> None:
    values = photo(16, 24)
    array = values / np.float32(255) if dtype == np.float32 else values.astype(dtype)
    source = write_file(Raster(array, Metadata(dpi=(300, 150))), tmp_path / "a.tif")
    assert read_file(source, "a").metadata.dpi == pytest.approx((300, 150), rel=1e-3)
    out = gifnet.enhance_file(source, tmp_path / f"out{suffix}", 0)
    assert read_file(out, "out").metadata.dpi == pytest.approx((300, 150), rel=1e-2)


GEO = {
    33550: (12, 3, (0.5, 0.5, 0.0)),
    33922: (12, 6, (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0)),
    34735: (3, 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)),
    42113: (2, 5, "-9999"),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_georeference_is_kept(dtype: Any, tmp_path: Path) -> None:
    values = photo(40, 48)
    array = values / np.float32(255) if dtype == np.float32 else values.astype(dtype)
    tags = [(tag, kind, count, value, True) for tag, (kind, count, value) in GEO.items()]
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extratags=tags, metadata=None)
    Image.fromarray(photo(40, 48, seed=1)).save(tmp_path / "b.png")
    for first, second in (("a.tif", "b.png"), ("b.png", "a.tif")):
        out = gifnet.fuse_files(tmp_path / first, tmp_path / second, tmp_path / "out.tif")
        with tifffile.TiffFile(out) as file:
            found = {tag.code: tag.value for tag in file.pages[0].tags.values() if tag.code in GEO}  # type: ignore[union-attr]
        assert found == {tag: value for tag, (_, _, value) in GEO.items()}
    Image.fromarray(photo(80, 96, seed=1)).save(tmp_path / "b.png")
    out = gifnet.fuse_files(tmp_path / "a.tif", tmp_path / "b.png", tmp_path / "out.tif", resize="b")
    assert 33550 not in tifffile.TiffFile(out).pages[0].tags, "its pixels lie elsewhere"  # type: ignore[union-attr]


def test_a_georeference_is_what_gdal_reads(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
    transform = rasterio.transform.from_origin(500000, 4600000, 10, 10)
    profile = {"driver": "GTiff", "width": 48, "height": 40, "crs": "EPSG:32633", "transform": transform, "nodata": 0}
    with rasterio.open(tmp_path / "a.tif", "w", count=3, dtype="uint16", **profile) as file:
        file.write(np.moveaxis(photo(40, 48), -1, 0).astype(np.uint16) * 257)
    out = gifnet.enhance_file(tmp_path / "a.tif", tmp_path / "out.tif", 0)
    with rasterio.open(out) as found:
        assert (found.crs, found.transform, found.nodata) == (rasterio.crs.CRS.from_epsg(32633), transform, 0)
        np.testing.assert_array_equal(np.moveaxis(found.read(), 0, -1), photo(40, 48).astype(np.uint16) * 257)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", [1, 3])
def test_rpcs_and_control_points_are_what_gdal_reads(tmp_path: Path, dtype: str, bands: int) -> None:
    rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
    coefficients = [f"{axis}_{part}_coeff" for axis in ("line", "samp") for part in ("num", "den")]
    offsets = ("height", "lat", "long", "line", "samp")
    values = {f"{name}_{part}": 1.5 + index for index, name in enumerate(offsets) for part in ("off", "scale")}
    rpcs = rasterio.rpc.RPC(**values, **{name: [1.0] + [0.01] * 19 for name in coefficients})
    gcps = [rasterio.control.GroundControlPoint(row=y, col=x, x=15 + x, y=48 - y) for x in (0, 48) for y in (0, 40)]
    image = (np.moveaxis(photo(40, 48), -1, 0)[:bands] / 255 * (1 if dtype == "float32" else 200)).astype(dtype)
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        width=48,
        height=40,
        count=bands,
        dtype=dtype,
        gcps=gcps,
        crs="EPSG:4326",
    ) as file:
        file.write(image)
        file.rpcs = rpcs
    Image.fromarray(photo(40, 48, channels=0)).save(tmp_path / "b.png")
    for a, b in (("a.tif", "b.png"), ("b.png", "a.tif")):
        out = gifnet.fuse_files(tmp_path / a, tmp_path / b, tmp_path / "out.tif")
        with rasterio.open(out) as found:
            assert found.rpcs.to_dict() | {"err_bias": 0, "err_rand": 0} == rpcs.to_dict() | {
                "err_bias": 0,
                "err_rand": 0,
            }
            points, crs = found.gcps
            assert crs == rasterio.crs.CRS.from_epsg(4326)
            assert [(p.row, p.col, p.x, p.y) for p in points] == [(p.row, p.col, p.x, p.y) for p in gcps]


def geotiff(path: Path, image: np.ndarray, hole: tuple[slice, slice], nodata: float) -> Path:
    """(H, W, C), with the nodata value in the hole."""
    rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
    image = image.copy()
    image[hole] = nodata
    height, width, count = image.shape
    transform = rasterio.transform.from_origin(500000, 4600000, 10, 10)
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=count, dtype=image.dtype, nodata=nodata,
        crs="EPSG:32633", transform=transform,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(image, -1, 0))
    return path


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("uint8", 255), ("uint16", 0), ("float32", 0)])
@pytest.mark.parametrize("bands", [1, 3])
def test_pixels_without_data_stay_without(tmp_path: Path, dtype: str, nodata: float, bands: int) -> None:
    rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
    full = {"uint8": 1, "uint16": 257, "float32": 1 / 255}[dtype]
    images = [(photo(40, 48, seed=seed)[..., :bands].astype(float) * full).astype(dtype) for seed in (0, 1)]
    holes = (slice(3, 9), slice(5, 11)), (slice(30, 36), slice(20, 29))
    paths = [
        geotiff(tmp_path / f"{index}.tif", image, hole, nodata)
        for index, (image, hole) in enumerate(zip(images, holes, strict=True))
    ]
    expected = [np.zeros((40, 48), bool) for _ in images]
    for hole, path, mask in zip(holes, paths, expected, strict=True):
        with rasterio.open(path) as file:
            mask |= (file.read() == nodata).all(axis=0)
        assert mask[hole].all()
    out = gifnet.fuse_files(*paths, tmp_path / "out.tif")
    with rasterio.open(out) as found:
        assert found.nodata == nodata
        np.testing.assert_array_equal((found.read() == nodata).all(axis=0), expected[0] | expected[1])
    alone = gifnet.enhance_file(paths[0], tmp_path / "alone.tif", 0.5)
    with rasterio.open(alone) as found:
        np.testing.assert_array_equal((found.read() == nodata).all(axis=0), expected[0])


def test_a_valid_pixel_does_not_get_the_nodata_value(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
    dark, bright = np.full((16, 16, 1), 100, np.uint8), np.full((16, 16, 1), 150, np.uint8)
    corner = (slice(0, 4), slice(0, 4))
    paths = [geotiff(tmp_path / f"{index}.tif", image, corner, 125) for index, image in enumerate((dark, bright))]
    with rasterio.open(gifnet.fuse_files(*paths, tmp_path / "out.tif")) as found:
        values = found.read(1)
    assert (values[corner] == 125).all()
    assert (values[4:] == 126).all(), "their mean is 125"


# --- outputs ------------------------------------------------------------------------------------------

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and links of POSIX")


@posix
def test_permissions_of_a_replaced_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path)
    for mode in (0o600, 0o640):
        path.chmod(mode)
        gifnet.enhance_file(path, path, 0)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    umask = os.umask(0)
    os.umask(umask)
    new = gifnet.enhance_file(path, tmp_path / "new.png", 0)
    assert stat.S_IMODE(new.stat().st_mode) == 0o666 & ~umask


@posix
def test_links_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "a.png", tmp_path / "link.png"
    Image.fromarray(photo()).save(target)
    link.symlink_to(target)
    write_file(Raster(photo(seed=1)), link)
    assert link.is_symlink()
    np.testing.assert_array_equal(read_file(target, "a").array, photo(seed=1))
    assert [path.name for path in target.parent.iterdir()] == ["a.png"]


@posix
def test_pipes_and_devices_are_not_replaced(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png: is no regular file"):
        gifnet.enhance_file(tmp_path / "a.png", tmp_path / "pipe.png")
    (tmp_path / "null.png").symlink_to("/dev/null")
    with pytest.raises(InputError, match=r"null\.png: is no regular file"):
        gifnet.enhance_file(tmp_path / "a.png", tmp_path / "null.png")
    with pytest.raises(InputError, match="no regular file"), atomic_path(tmp_path / "pipe.png"):
        pytest.fail("would be replaced")
    assert stat.S_ISFIFO((tmp_path / "pipe.png").stat().st_mode)


@posix
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_folder_run_leaves_linked_inputs_alone(link: Any, tmp_path: Path) -> None:
    for name in ("a", "b", "out"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        Image.fromarray(photo(20, 30)).save(tmp_path / name / "0.png")
    before = (tmp_path / "a" / "0.png").read_bytes()
    link(tmp_path / "a" / "0.png", tmp_path / "out" / "0.png")
    refused = (
        pytest.raises(InputError, match="would be an input and an output") if link is os.symlink else nullcontext()
    )
    with refused:
        gifnet.fuse_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out", overwrite=True, progress=False)
    assert (tmp_path / "a" / "0.png").read_bytes() == before


def test_bytes_keep_resolution_and_profile() -> None:
    file = io.BytesIO()
    Image.fromarray(photo()).save(file, "JPEG", dpi=(300, 300), icc_profile=SRGB)
    found = read_file(Fuser(Passing(), "cpu").enhance(file.getvalue()), "result").metadata
    assert found.icc == SRGB
    assert found.dpi == pytest.approx((300, 300), rel=1e-3)
