"""Image files in and out: depth, alpha, metadata, pages, limits, and what happens when writing fails."""

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import Passing, photo
from PIL import Image, ImageCms

import gifnet
from gifnet import Fuser, InputError
from gifnet.batch import files as filefusion
from gifnet.files.formats import WRITABLE
from gifnet.files.metadata import Metadata
from gifnet.files.raster import Raster
from gifnet.files.reading import read_file
from gifnet.files.writing import write_file


@pytest.fixture(autouse=True)
def mean(monkeypatch: pytest.MonkeyPatch) -> Fuser:
    fuser = Fuser(Passing(), device="cpu")
    monkeypatch.setattr(filefusion, "fuser_of", lambda *_: fuser)
    return fuser


def levels(dtype: Any, channels: int, seed: int = 0) -> np.ndarray:
    """Noise that uses every bit of a depth, (H, W, C)."""
    values = np.random.default_rng(seed).random((13, 17, channels))
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else (values * np.iinfo(dtype).max).astype(dtype)


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]
INKS_PROFILE = SRGB[:16] + b"CMYK" + SRGB[20:]


def camera(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x8298] = "Maker", orientation, "The author"
    exif[0x8769] = {0x9286: b"ASCII\0\0\0a comment", 0xA002: 17, 0xA003: 13, 0x829A: 0.02}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    return exif


def assert_from_camera(path: Path) -> None:
    if path.suffix == ".tif":  # colour in floating point is nothing that Pillow opens
        exif = Image.Exif()
        exif.load(path.read_bytes())
        with tifffile.TiffFile(path) as tiff:
            profile = tiff.pages[0].iccprofile
    else:
        with Image.open(path) as image:
            exif, profile = image.getexif(), image.info["icc_profile"]
    details, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert exif[0x010F] == "Maker"
    assert exif[0x8298] == "The author"
    assert exif.get(0x0112, 1) == 1
    assert details[0x9286] == b"ASCII\0\0\0a comment"
    assert float(details[0x829A]) == pytest.approx(0.02)
    assert 0xA002 not in details, "the result need not have the size of the source"
    assert place[1] == "N"
    assert tuple(map(float, place[2])) == (52.0, 30.0, 0.0)
    assert profile == SRGB


# --- depth --------------------------------------------------------------------------------------------

EXACT = [
    (dtype, channels, suffix)
    for suffix, dtypes in {
        ".png": [np.uint8, np.uint16],
        ".tif": [np.uint8, np.uint16, np.float32],
        ".tiff": [np.uint16],
        ".bmp": [np.uint8],
    }.items()
    for dtype in dtypes
    for channels in (1, 2, 3, 4)
    if suffix != ".bmp" or channels in (1, 3)
]


@pytest.mark.parametrize(("dtype", "channels", "suffix"), EXACT)
def test_every_depth_and_mode_comes_back_exactly(dtype: Any, channels: int, suffix: str, tmp_path: Path) -> None:
    array = levels(dtype, channels)
    path = write_file(Raster(array), tmp_path / f"image{suffix}")
    if path.suffix.startswith(".tif") and dtype == np.uint16 and channels == 2:
        array = array[..., [0, 0, 0, 1]]  # as RGBA, for Pillow reads no TIFF of grey and alpha in 16 bits
    back = read_file(path, str(path)).array
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, array)
    out = gifnet.enhance_file(path, tmp_path / f"out{suffix}", strength=0)
    np.testing.assert_array_equal(read_file(out, str(out)).array, array)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_others_read_what_is_written(channels: int, tmp_path: Path) -> None:
    """Against the codecs themselves, so that reader and writer can't share a mistake."""
    array = levels(np.uint16, channels)
    expected = array[..., 0] if channels == 1 else array
    np.testing.assert_array_equal(
        imagecodecs.png_decode(write_file(Raster(array), tmp_path / "a.png").read_bytes()), expected
    )
    path = write_file(Raster(array), tmp_path / "a.tif")
    Image.open(path).load()
    np.testing.assert_array_equal(tifffile.imread(path), array[..., [0, 0, 0, 1]] if channels == 2 else expected)
    real = levels(np.float32, channels)
    path = write_file(Raster(real), tmp_path / "b.tif")
    np.testing.assert_array_equal(tifffile.imread(path), real[..., 0] if channels == 1 else real)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossy_formats_are_close(suffix: str, channels: int, tmp_path: Path) -> None:
    array = photo(32, 40, channels=channels)
    path = write_file(Raster(array), tmp_path / f"image{suffix}")
    back = read_file(path, str(path)).array[..., :channels]
    assert np.abs(back.astype(int) - array).mean() < 5  # WebP halves the resolution of chroma


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True},
        {"compression": "deflate", "predictor": True},
        {"compression": "zstd"},
        {"compression": "packbits"},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "deflate"},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">"},
        {"rowsperstrip": 5},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_tiffs_of_many_layouts(dtype: Any, options: dict[str, Any], tmp_path: Path) -> None:
    array = levels(dtype, 3)
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, array, photometric="rgb", **options)
    np.testing.assert_array_equal(read_file(path, "image").array, array)
    tifffile.imwrite(path, np.moveaxis(array, -1, 0), photometric="rgb", planarconfig="separate", **options)
    np.testing.assert_array_equal(read_file(path, "image").array, array)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_floating_point_of_any_width_becomes_float32(dtype: Any, tmp_path: Path) -> None:
    array = levels(dtype, 3)
    tifffile.imwrite(tmp_path / "image.tif", array, photometric="rgb")
    back = gifnet.enhance_file(tmp_path / "image.tif", tmp_path / "out.tif", strength=0)
    np.testing.assert_array_equal(read_file(back, "out").array, array.astype(np.float32))


def test_tiffs_with_white_as_zero_and_with_multiplied_alpha(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    grey = levels(np.uint16, 1)
    tifffile.imwrite(path, 65535 - grey[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_file(path, "image").array, grey)
    tifffile.imwrite(path, 255 - photo(channels=0), photometric="miniswhite")
    np.testing.assert_array_equal(read_file(path, "image").array[..., 0], photo(channels=0))
    rgba = levels(np.uint16, 4)
    multiplied = rgba.copy()
    multiplied[..., :3] = np.round(rgba[..., :3].astype(float) * rgba[..., 3:] / 65535)
    tifffile.imwrite(path, multiplied, photometric="rgb", extrasamples=["assocalpha"])
    back = read_file(path, "image").array
    np.testing.assert_array_equal(back[..., 3], rgba[..., 3])
    opaque = rgba[..., 3] > 32768
    assert np.abs(back[opaque].astype(int) - rgba[opaque]).max() <= 2


def test_the_deeper_file_decides(mean: Fuser, tmp_path: Path) -> None:
    depths = {"8": np.uint8, "16": np.uint16, "real": np.float32}
    for name, dtype in depths.items():
        for kind, channels in (("grey", 1), ("rgb", 3), ("rgba", 4)):
            write_file(Raster(levels(dtype, channels)), tmp_path / f"{name}{kind}.tif")
    order = list(depths)
    for first in order:
        for second in order:
            deeper = np.dtype(depths[max(first, second, key=order.index)])
            for kinds in (("grey", "grey"), ("grey", "rgb"), ("rgb", "grey"), ("rgb", "rgba")):
                a, b = tmp_path / f"{first}{kinds[0]}.tif", tmp_path / f"{second}{kinds[1]}.tif"
                out = gifnet.fuse_files(a, b, tmp_path / "out.tif")
                array = read_file(out, "out").array
                assert array.dtype == deeper
                channels = 4 if "rgba" in kinds else 3 if "rgb" in kinds else 1
                assert array.shape == (13, 17, channels)
                fused = mean.fuse(a, b)
                if channels > 1 and deeper != np.uint8:
                    assert isinstance(fused, np.ndarray)
                    assert (fused.dtype, fused.shape) == (deeper, (13, 17, channels))
                    np.testing.assert_array_equal(fused, array)
                else:
                    np.testing.assert_array_equal(np.asarray(fused).reshape(array.shape), array)


def test_sixteen_bits_are_not_eight_in_a_larger_box(mean: Fuser, tmp_path: Path) -> None:
    """The lower byte carries the image: were it cut anywhere, nothing would remain."""
    a = levels(np.uint8, 3).astype(np.uint16) + 30000
    path = write_file(Raster(a), tmp_path / "a.png")
    fused = mean.fuse(path, path)
    assert np.abs(fused.astype(int) - a).max() <= 1
    content = mean.fuse(path.read_bytes(), path.read_bytes())
    assert np.abs(imagecodecs.png_decode(content).astype(int) - a).max() <= 1
    real = write_file(Raster(levels(np.float32, 3)), tmp_path / "real.tif")
    content = mean.enhance(real.read_bytes(), strength=0)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(content)), levels(np.float32, 3))


def test_grey_with_deep_alpha_is_an_array_of_four(mean: Fuser, tmp_path: Path) -> None:
    array = levels(np.uint16, 2)
    fused = mean.enhance(write_file(Raster(array), tmp_path / "a.png"), strength=0)
    np.testing.assert_array_equal(fused, array[..., [0, 0, 0, 1]])


def test_pil_images_are_rounded_where_pillow_holds_no_more(mean: Fuser, tmp_path: Path) -> None:
    grey = Image.fromarray(levels(np.uint16, 1)[..., 0])
    colour = write_file(Raster(levels(np.uint16, 3)), tmp_path / "a.png")
    assert mean.fuse(grey, grey).mode == "I;16"
    assert mean.fuse(grey, colour).mode == "RGB"


@pytest.mark.parametrize(
    ("suffix", "dtype"), [(".jpg", np.uint8), (".webp", np.uint8), (".bmp", np.uint8), (".png", np.uint16)]
)
def test_what_a_format_cannot_hold_is_rounded(suffix: str, dtype: Any, tmp_path: Path) -> None:
    smooth = photo(32, 40).astype(np.float32) / 255
    source = write_file(Raster(smooth), tmp_path / "source.tif")
    out = gifnet.enhance_file(source, tmp_path / f"out{suffix}", strength=0)
    back = read_file(out, "out").array
    assert back.dtype == dtype
    step = 1 / np.iinfo(dtype).max
    assert np.abs(back * step - smooth).mean() < (5 * step if suffix in (".jpg", ".webp") else 0.51 * step)
    deep = write_file(Raster(levels(np.uint16, 3)), tmp_path / "deep.png")
    out = gifnet.enhance_file(deep, tmp_path / "out.bmp", strength=0)
    expected = np.round(levels(np.uint16, 3) / 257).astype(np.uint8)
    np.testing.assert_array_equal(read_file(out, "out").array, expected)


def test_values_outside_the_range_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "warm.tif"
    tifffile.imwrite(path, levels(np.float32, 3) * 255, photometric="rgb")
    with pytest.raises(InputError, match=r"warm.tif: floating-point values.*divide by 255"):
        gifnet.enhance_file(path, tmp_path / "out.tif")
    Image.fromarray(levels(np.float32, 1)[..., 0] * 300 - 20).save(path)
    with pytest.raises(InputError, match=r"warm.tif: floating-point values from"):
        gifnet.enhance_file(path, tmp_path / "out.tif")
    tifffile.imwrite(path, levels(np.uint32, 3), photometric="rgb")
    with pytest.raises(InputError, match=r"warm.tif: dtype uint32; give uint8 .*, uint16 .* or floating point"):
        gifnet.enhance_file(path, tmp_path / "out.tif")
    tifffile.imwrite(path, levels(np.uint16, 7), photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match=r"warm.tif: 7 channels as MINISBLACK; give grey, RGB"):
        gifnet.enhance_file(path, tmp_path / "out.tif")


def test_other_formats_with_depth_are_refused_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "deep.sgi"
    Image.fromarray(levels(np.uint8, 3)).save(path, bpc=2)
    with pytest.raises(InputError, match=r"deep.sgi: has 16 bits.*PNG or TIFF"):
        gifnet.enhance_file(path, tmp_path / "out.png")


def test_without_the_extra_nothing_is_lost_silently(
    mean: Fuser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = {suffix: write_file(Raster(levels(np.uint16, 3)), tmp_path / f"deep{suffix}") for suffix in (".png", ".tif")}
    real = write_file(Raster(levels(np.float32, 3)), tmp_path / "real.tif")
    grey = write_file(Raster(levels(np.uint16, 1)), tmp_path / "grey.png")
    real_grey = write_file(Raster(levels(np.float32, 1)), tmp_path / "grey.tif")
    colour = write_file(Raster(levels(np.uint8, 3)), tmp_path / "colour.png")
    for module in ("tifffile", "imagecodecs"):
        monkeypatch.setitem(sys.modules, module, None)
    for path in (*deep.values(), real):
        with pytest.raises(InputError, match=rf"{path.name}.*pip install 'gifnet\[files\]'"):
            mean.enhance(path)
    for path in (grey, real_grey, colour):
        gifnet.enhance_file(path, tmp_path / "out.tif")
    gifnet.fuse_files(grey, colour, tmp_path / "out.jpg")
    with pytest.raises(InputError, match=r"out.png.*pip install 'gifnet\[files\]'"):
        gifnet.fuse_files(grey, colour, tmp_path / "out.png")
    assert isinstance(mean.fuse(grey, colour), np.ndarray)


# --- metadata, orientation, alpha, palettes, inks -----------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_metadata_are_carried_and_the_orientation_applied(dtype: Any, suffix: str, tmp_path: Path) -> None:
    plain = levels(dtype, 3)
    source = write_file(
        Raster(plain, Metadata(camera(6).tobytes(), SRGB)), tmp_path / ("a.tif" if dtype == np.float32 else "a.png")
    )
    out = gifnet.enhance_file(source, tmp_path / f"out{suffix}", strength=0)
    assert_from_camera(out)
    turned = read_file(out, "out").array
    assert turned.shape == (17, 13, 3)
    if suffix == ".tif":
        np.testing.assert_array_equal(turned, np.rot90(plain, -1))
    again = gifnet.enhance_file(out, tmp_path / f"again{suffix}", strength=0)
    assert_from_camera(again)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(orientation: int, tmp_path: Path) -> None:
    """As Pillow turns an image of 8 bits, so are the deep ones turned."""
    array = levels(np.uint8, 3)
    metadata = Metadata(camera(orientation).tobytes())
    shallow = write_file(Raster(array, metadata), tmp_path / "a.png")
    expected = read_file(shallow, "a").array
    for suffix in (".png", ".tif"):
        deep = write_file(Raster(array.astype(np.uint16) * 257, metadata), tmp_path / f"deep{suffix}")
        np.testing.assert_array_equal(read_file(deep, "deep").array, expected.astype(np.uint16) * 257)
    tiff = write_file(Raster(array, metadata), tmp_path / "b.tif")
    np.testing.assert_array_equal(read_file(tiff, "b").array, expected)
    big = tmp_path / "big.tif"
    tags = [(274, "H", 1, orientation, False)]
    tifffile.imwrite(big, array.astype(np.uint16) * 257, photometric="rgb", bigtiff=True, extratags=tags)
    np.testing.assert_array_equal(read_file(big, "big").array, expected.astype(np.uint16) * 257)


def test_metadata_are_of_the_first_in_colour(mean: Fuser, tmp_path: Path) -> None:
    thermal = camera()
    thermal[0x010F] = "Thermal"
    grey = write_file(Raster(levels(np.uint16, 1), Metadata(thermal.tobytes(), GREY_PROFILE)), tmp_path / "grey.png")
    colour = write_file(Raster(levels(np.uint8, 3), Metadata(camera().tobytes(), SRGB)), tmp_path / "colour.jpg")
    for pair in ((grey, colour), (colour, grey)):
        assert_from_camera(gifnet.fuse_files(*pair, tmp_path / "out.png"))
    both_grey = gifnet.fuse_files(grey, grey, tmp_path / "out.tif")
    with Image.open(both_grey) as image:
        assert image.getexif()[0x010F] == "Thermal"
        assert image.info["icc_profile"] == GREY_PROFILE
    fused = mean.fuse(colour, colour)
    assert fused.info["icc_profile"] == SRGB
    assert fused.getexif()[0x010F] == "Maker"
    with Image.open(colour) as image:
        fused = mean.fuse(image, image)
    assert fused.getexif()[0x010F] == "Maker"
    content = io.BytesIO(mean.fuse(colour.read_bytes(), grey.read_bytes()))
    assert Image.open(content).getexif()[0x010F] == "Maker"


def test_a_profile_of_another_colour_space_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path, icc_profile=GREY_PROFILE)
    with Image.open(gifnet.enhance_file(path, tmp_path / "out.png")) as image:
        assert "icc_profile" not in image.info
    Image.fromarray(photo(channels=0)).save(path, icc_profile=SRGB)
    with Image.open(gifnet.enhance_file(path, tmp_path / "out.png")) as image:
        assert "icc_profile" not in image.info


def test_damaged_or_long_metadata_stop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(photo()).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09garbage", icc_profile=b"garbage")
    gifnet.enhance_file(path, tmp_path / "out.tif")
    long = camera()
    long[0x010E] = "a" * 70000
    source = write_file(Raster(levels(np.uint8, 3), Metadata(long.tobytes(), SRGB)), tmp_path / "long.png")
    for suffix in WRITABLE:
        out = gifnet.enhance_file(source, tmp_path / f"out{suffix}")
        with Image.open(out) as image:
            assert (0x010E in image.getexif()) == (suffix in (".png", ".tif", ".tiff", ".webp"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_kept(dtype: Any, suffix: str, tmp_path: Path) -> None:
    with_alpha = write_file(Raster(levels(dtype, 4)), tmp_path / "alpha.png")
    opaque = write_file(Raster(levels(dtype, 1)), tmp_path / "opaque.png")
    for pair in ((with_alpha, opaque), (opaque, with_alpha)):
        out = gifnet.fuse_files(*pair, tmp_path / f"out{suffix}")
        np.testing.assert_array_equal(read_file(out, "out").array[..., 3], levels(dtype, 4)[..., 3])
    for refusing in ("out.jpg", "out.bmp"):
        with pytest.raises(InputError, match=rf"{refusing}: (JPEG|BMP) holds no alpha"):
            gifnet.fuse_files(with_alpha, opaque, tmp_path / refusing)


def test_transparency_by_colour(tmp_path: Path) -> None:
    path = tmp_path / "key.png"
    grey = photo(channels=0).astype(np.uint16) * 257
    Image.fromarray(grey).save(path, transparency=int(grey[3, 4]))
    array = read_file(path, "key").array
    np.testing.assert_array_equal(array[..., 1], np.where(grey == grey[3, 4], 0, 65535))
    Image.fromarray(photo(channels=0)).save(path, transparency=int(photo(channels=0)[3, 4]))
    array = read_file(path, "key").array
    np.testing.assert_array_equal(array[..., 1] == 0, photo(channels=0) == photo(channels=0)[3, 4])
    palette = Image.fromarray(photo()).convert("P")
    palette.save(path)
    np.testing.assert_array_equal(read_file(path, "key").array, np.asarray(palette.convert("RGB")))
    palette.save(path, transparency=0)
    np.testing.assert_array_equal(read_file(path, "key").array, np.asarray(Image.open(path).convert("RGBA")))


def test_inks_become_light(tmp_path: Path) -> None:
    path = tmp_path / "inks.jpg"
    inks = Image.fromarray(photo()).convert("CMYK")
    inks.save(path, quality=100, subsampling=0)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_file(path, "inks").array, expected)
    inks.save(path, quality=100, subsampling=0, icc_profile=INKS_PROFILE)  # says CMYK, but is none
    np.testing.assert_array_equal(read_file(path, "inks").array, expected)
    with Image.open(gifnet.enhance_file(path, tmp_path / "out.png")) as image:
        assert "icc_profile" not in image.info
    deep = levels(np.uint16, 4)
    tifffile.imwrite(tmp_path / "inks.tif", deep, photometric="separated")
    light = (1 - deep[..., :3] / 65535) * (1 - deep[..., 3:] / 65535) * 65535
    back = read_file(tmp_path / "inks.tif", "inks").array
    assert back.dtype == np.uint16
    assert np.abs(back - light).max() < 1


# --- pages, limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["8.tif", "16.tif", "real.tif", "mixed.tif", "moving.gif", "moving.png", "moving.webp"]
)
def test_of_several_images_one_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    depths = {"16": np.uint16, "real": np.float32}
    arrays = [levels(depths.get(path.stem, np.uint8), 3, seed) for seed in range(3)]
    if path.stem == "mixed":
        arrays[2] = levels(np.float32, 3)
        with tifffile.TiffWriter(path) as tiff:
            for array in arrays:
                tiff.write(array, photometric="rgb")
    elif path.stem in depths:
        tifffile.imwrite(path, np.stack(arrays), photometric="rgb")
    else:
        images = [Image.fromarray(array) for array in arrays]
        lossless = {"lossless": True} if kind.endswith("webp") else {}
        images[0].save(path, save_all=True, append_images=images[1:], **lossless)
    with pytest.raises(InputError, match=rf"{kind}: holds 3 images; name one with page= or --page, from 0 to 2"):
        gifnet.enhance_file(path, tmp_path / "out.tif")
    with pytest.raises(InputError, match=rf"{kind}: has no page 3; it holds 3 images"):
        gifnet.enhance_file(path, tmp_path / "out.tif", page=3)
    for page, array in enumerate(arrays):
        out = gifnet.enhance_file(path, tmp_path / "out.tif", strength=0, page=page)
        if not kind.endswith("gif"):
            np.testing.assert_array_equal(read_file(out, "out").array, array)


def test_page_elsewhere(mean: Fuser, tmp_path: Path) -> None:
    single, pages = tmp_path / "one.png", tmp_path / "pages.tif"
    images = [Image.fromarray(photo(seed=seed)) for seed in range(2)]
    images[0].save(single)
    images[0].save(pages, save_all=True, append_images=images[1:])
    fused = np.asarray(mean.fuse(pages, single, page=1))
    np.testing.assert_array_equal(fused, np.asarray(mean.fuse(images[1], images[0])))
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(mean.enhance(pages.read_bytes(), page=1, strength=0)))), photo(seed=1)
    )
    for wrong in (-1, 1.5, "0", True):
        with pytest.raises(InputError, match="page"):
            mean.enhance(single, page=wrong)  # type: ignore[call-overload]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_large_files_are_refused_as_pillow_does(dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_file(Raster(levels(dtype, 3)), tmp_path / "large.tif")  # 221 pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 111)
    with pytest.warns(Image.DecompressionBombWarning) if dtype == np.uint8 else pytest.MonkeyPatch.context():
        gifnet.enhance_file(path, tmp_path / "out.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 110)
    with pytest.raises(InputError, match=r"large.tif: Image size \(221 pixels\).*raise PIL.Image.MAX_IMAGE_PIXELS"):
        gifnet.enhance_file(path, tmp_path / "out.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    gifnet.enhance_file(path, tmp_path / "out.png")


# --- what can't be read or written --------------------------------------------------------------------


def test_what_is_no_file(tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    for wrong, words in ((tmp_path / "none.png", "no such file"), (tmp_path, "is a folder"), ("a\0b", "no such file")):
        with pytest.raises(InputError, match=words):
            gifnet.enhance_file(wrong, out)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="pipe: is no regular file"):  # and doesn't wait for a writer
            gifnet.enhance_file(tmp_path / "pipe", out)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match=r"notes.txt: not an image"):
        gifnet.enhance_file(tmp_path / "notes.txt", out)
    assert not out.exists()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return write_file(Raster(photo()), folder / "a.png")


def test_output_may_be_an_input(source: Path) -> None:
    before = source.read_bytes()
    other = write_file(Raster(photo(8, 8)), source.with_name("b.png"))
    with pytest.raises(InputError, match="8×8"):
        gifnet.fuse_files(source, other, source)
    assert source.read_bytes() == before, "a failure must leave the input"
    gifnet.fuse_files(source, write_file(Raster(photo(seed=1)), other), source)
    assert source.read_bytes() != before
    assert {path.name for path in source.parent.iterdir()} == {"a.png", "b.png"}


def test_output_folder_is_missing_or_no_image_can_be_there(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder .*none does not exist"):
        gifnet.enhance_file(source, tmp_path / "none" / "out.png")
    (tmp_path / "out.png").mkdir()
    with pytest.raises(InputError, match="is a folder; give a file name"):
        gifnet.enhance_file(source, tmp_path / "out.png")
    with pytest.raises(InputError, match=r"unknown image suffix '.xyz'; use .png"):
        gifnet.enhance_file(source, tmp_path / "out.xyz")


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("content", [np.uint8, np.uint16, np.float32])
def test_a_full_disk(error: int, content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_file(Raster(levels(content, 3)), tmp_path / "a.tif")
    out = tmp_path / "out.tif"
    out.write_bytes(b"what was there before")

    def write(path: Path, data: bytes) -> int:
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(InputError, match=rf"out.tif: can't be written \({os.strerror(error)}\)"):
        gifnet.enhance_file(source, out)
    monkeypatch.undo()
    assert out.read_bytes() == b"what was there before"
    assert {path.name for path in tmp_path.iterdir()} == {"a.tif", "out.tif"}


def test_a_read_only_folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder)  # root may write anywhere
    with pytest.raises(InputError, match="no permission to write in the folder"):
        gifnet.enhance_file(source, folder / "out.png")
    monkeypatch.undo()
    folder.chmod(0o500)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write in read-only folders")
        with pytest.raises(InputError, match="no permission to write in the folder"):
            gifnet.enhance_file(source, folder / "out.png")
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65501), (".webp", 16384)])
def test_sides_that_a_format_cannot_hold(suffix: str, side: int, tmp_path: Path) -> None:
    source = write_file(Raster(np.zeros((1, side, 1), np.uint8)), tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"out{suffix}: {side}×1 pixels; .* a side"):
        gifnet.enhance_file(source, tmp_path / f"out{suffix}")


def test_the_steps_are_usable_apart(mean: Fuser, source: Path, tmp_path: Path) -> None:
    """What a runner over folders does in threads."""
    pictures = filefusion.read_image(source), filefusion.read_image(str(source))
    filefusion.check_result(tmp_path / "out.png", *pictures)
    assert filefusion.write_image(mean.fuse(*pictures), tmp_path / "out.png") == tmp_path / "out.png"
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), np.asarray(mean.fuse(source, source)))


def test_the_command_line_keeps_depth_and_takes_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gifnet.cli import main

    deep = write_file(Raster(levels(np.uint16, 3), Metadata(camera().tobytes(), SRGB)), tmp_path / "deep.png")
    pages = tmp_path / "pages.tif"
    images = [Image.fromarray(levels(np.uint8, 3, seed)) for seed in range(2)]
    images[0].save(pages, save_all=True, append_images=images[1:])
    out = tmp_path / "out.png"
    assert main(["fuse", str(deep), str(pages), "-o", str(out)]) == 1
    assert "pages.tif: holds 2 images; name one with page= or --page" in capsys.readouterr().err
    assert main(["fuse", str(deep), str(pages), "--page", "1", "-o", str(out)]) == 0
    assert read_file(out, "out").array.dtype == np.uint16
    assert_from_camera(out)
    assert main(["enhance", str(pages), "--page", "1", "--strength", "0", "-o", str(out)]) == 0
    np.testing.assert_array_equal(read_file(out, "out").array, levels(np.uint8, 3, 1))
