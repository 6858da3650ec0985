"""What the bits and samples of each format mean, a test per row of docs/formats.md; and what is taken for no image."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import photo
from PIL import Image

from gifnet import InputError, MissingExtraError
from gifnet.files.codestreams import avif_bits, jpeg2000_header
from gifnet.files.limits import DIRECTORIES
from gifnet.files.reading import read_file


def read(content: bytes, page: int | None = None) -> np.ndarray:
    return read_file(content, "image", page).array


def ramp(bits: int, channels: int = 0) -> np.ndarray:
    """Every fourth or so level of a depth, (16, 24[, C]), lowest and highest included."""
    shape = (16, 24, channels) if channels else (16, 24)
    values = np.linspace(0, 2**bits - 1, int(np.prod(shape))).round()
    return values.reshape(shape).astype(np.uint8 if bits <= 8 else np.uint16)


def full(values: np.ndarray, bits: int) -> np.ndarray:
    """As levels of 8 or 16 bits, computed in floating point."""
    top = 255 if bits <= 8 else 65535
    scaled = (values.astype(np.float64) * top / (2**bits - 1)).round()
    return scaled.astype(np.uint8 if bits <= 8 else np.uint16).reshape(*values.shape[:2], -1)


def tiff(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def directory(tags: dict[int, int], following: int) -> bytes:
    """A directory of a little-endian TIFF, of tags of one number each."""
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<H", len(tags)) + entries + struct.pack("<L", following)


def pil(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# --- depth --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("channels", [0, 3])
def test_tiff_of_few_bits_fills_the_range(bits: int, channels: int) -> None:
    values = ramp(bits, channels)
    content = tiff(values, bitspersample=bits, photometric="rgb" if channels else "minisblack")
    np.testing.assert_array_equal(read(content), full(values, bits))


@pytest.mark.parametrize("bits", [2, 4])
def test_tiff_and_png_below_8_bits_fill_the_range(bits: int) -> None:
    values = ramp(bits)
    packed = np.packbits(np.unpackbits(values[..., None], axis=2)[..., 8 - bits :].reshape(16, -1), axis=1)
    tags = {256: 24, 257: 16, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: packed.nbytes}
    start = 8 + packed.nbytes
    content = b"II*\0" + struct.pack("<L", start) + packed.tobytes() + directory(tags, 0)
    np.testing.assert_array_equal(read(content), full(values, bits))
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">LLBBBBB", 24, 16, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data)) for kind, data in chunks
    )
    np.testing.assert_array_equal(read(png), full(values, bits))


def test_tiff_of_16_bits_that_declares_fewer() -> None:
    values = ramp(12)
    np.testing.assert_array_equal(read(tiff(values, extratags=[(281, "H", 1, 4095, True)])), full(values, 12))
    statistics = tiff(values, extratags=[(281, "H", 1, 4000, True)])  # no depth, but the largest value met
    np.testing.assert_array_equal(read(statistics)[..., 0], values)
    np.testing.assert_array_equal(read(tiff(values))[..., 0], values)


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_jpeg_2000_of_many_bits(bits: int, channels: int) -> None:
    values = ramp(bits, channels)
    for codec in ("jp2", "j2k"):
        content = imagecodecs.jpeg2k_encode(values, level=0, bitspersample=bits, reversible=True, codecformat=codec)
        assert jpeg2000_header(content).bits == (bits,) * max(1, channels)
        np.testing.assert_array_equal(read(content), full(values, bits))


def test_jpeg_2000_of_8_bits() -> None:
    image = photo(16, 24)
    np.testing.assert_array_equal(read(pil(Image.fromarray(image), "JPEG2000", irreversible=False)), image)


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_avif_of_many_bits(bits: int, channels: int) -> None:
    values = ramp(bits, channels)
    content = imagecodecs.avif_encode(values, level=100, bitspersample=bits, speed=8)
    assert avif_bits(content) == bits
    found = read(content)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, full(values, bits))


def test_avif_of_8_bits_is_left_to_pillow() -> None:
    assert read(pil(Image.fromarray(photo(16, 24)), "AVIF")).dtype == np.uint8


@pytest.mark.parametrize("top", [255, 1023, 4095, 65535])
def test_netpbm_of_any_maximum(top: int) -> None:
    values = np.linspace(0, top, 16 * 24 * 3).round().reshape(16, 24, 3)
    kind, deepest = (">u2", 65535) if top > 255 else ("u1", 255)
    expected = (values * deepest / top).round()
    assert np.abs(read(b"P6 24 16 %d\n" % top + values.astype(kind).tobytes()) - expected).max() <= (top != deepest)
    grey = values[..., 0]
    found = read(b"P5 24 16 %d\n" % top + grey.astype(kind).tobytes())[..., 0]
    assert np.abs(found - expected[..., 0]).max() <= 1


def test_bitmaps_of_netpbm() -> None:
    black = np.random.default_rng(0).random((8, 16)) < 0.5
    expected = np.where(black, 0, 255)
    digits = "\n".join(" ".join("1" if pixel else "0" for pixel in row) for row in black)
    for text in (digits, digits.replace(" ", ""), f"{digits}  # 111\n"):
        np.testing.assert_array_equal(read(f"P1\n# made by hand\n16 8\n{text}\n".encode())[..., 0], expected)
    np.testing.assert_array_equal(read(b"P4 16 8\n" + np.packbits(black, axis=1).tobytes())[..., 0], expected)
    with pytest.raises(InputError, match="image: damaged"):
        read(b"P1\n16 8\n0 1 0")


def test_formats_that_pillow_would_cut_are_refused() -> None:
    with pytest.raises(InputError, match="16 bits a channel"):
        read(pil(Image.fromarray(photo(16, 24)), "SGI", bpc=2))
    with pytest.raises(InputError, match="PSD of 16 bits"):
        read(b"8BPS\0\1" + bytes(6) + struct.pack(">HLLHH", 3, 16, 24, 16, 3) + bytes(200))


# --- samples ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("extra", "channels"),
    [(["unspecified"], 3), (["unassalpha"], 4), (["unspecified", "unassalpha"], 4), (["unspecified"] * 2, 3)],
)
def test_extra_samples_mean_the_same_at_every_depth(bits: int, extra: list[str], channels: int) -> None:
    values = ramp(bits, 3 + len(extra))
    for planar in ("contig", "separate"):
        array = values if planar == "contig" else np.moveaxis(values, -1, 0)
        found = read(tiff(array, photometric="rgb", extrasamples=extra, planarconfig=planar))
        alpha = 3 + extra.index("unassalpha") if "unassalpha" in extra else None
        expected = values[..., :3] if alpha is None else values[..., [0, 1, 2, alpha]]
        assert found.shape[2] == channels
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_an_extra_sample(bits: int) -> None:
    values = ramp(bits, 2)
    for kind, expected in (("unspecified", values[..., :1]), ("unassalpha", values)):
        content = tiff(values, photometric="minisblack", extrasamples=[kind], planarconfig="contig")
        np.testing.assert_array_equal(read(content), expected)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_bands_of_black_is_zero_are_red_green_and_blue(bits: int, alpha: bool) -> None:
    """As GDAL writes 16-bit RGB; a fourth band is alpha only where it is declared."""
    for bands in (3, 4):
        values = ramp(bits, bands)
        extra = ["unspecified"] * (bands - 2) + (["unassalpha"] if alpha and bands == 4 else ["unspecified"])
        content = tiff(values, photometric="minisblack", planarconfig="contig", extrasamples=extra)
        np.testing.assert_array_equal(read(content), values[..., : 4 if alpha else 3])
    with pytest.raises(InputError, match="5 channels as MINISBLACK"):
        read(tiff(ramp(bits, 5), photometric="minisblack", planarconfig="contig"))


def test_signed_bytes_are_never_taken_for_unsigned_ones() -> None:
    values = np.arange(-64, 64, dtype=np.int8).reshape(8, 16)
    found = read(tiff(values, photometric="minisblack"))
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found[..., 0], values)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32])
def test_wide_integers_within_16_bits_are_levels_of_16_bits(dtype: Any) -> None:
    values = ramp(12).astype(dtype)
    np.testing.assert_array_equal(read(tiff(values, photometric="minisblack"))[..., 0], values)


# --- which image --------------------------------------------------------------------------------------


def pyramid(**main: Any) -> bytes:
    """A cloud-optimised TIFF: the image, its mask, two overviews and the mask of one."""
    image, file = photo(64, 96), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(image, photometric="rgb", metadata=None, **main)
        writer.write(np.ones((64, 96), bool), photometric="mask", subfiletype=4, metadata=None)
        writer.write(image[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
        writer.write(np.ones((32, 48), bool), photometric="mask", subfiletype=5, metadata=None)
        writer.write(image[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
    return file.getvalue()


def test_overviews_and_masks_are_no_images() -> None:
    for options in ({}, {"tile": (16, 16)}, {"compression": "deflate"}):
        np.testing.assert_array_equal(read(pyramid(**options)), photo(64, 96))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_reduced_page_before_the_image(dtype: Any) -> None:
    image = photo(64, 96).astype(dtype)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(image[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
        writer.write(image, photometric="rgb", compression="lzw", metadata=None)
    np.testing.assert_array_equal(read(file.getvalue()), image)
    np.testing.assert_array_equal(read(file.getvalue(), page=0), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_image_below_its_thumbnail(dtype: Any, tmp_path: Path) -> None:
    image = photo(64, 96).astype(dtype)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(image[::4, ::4], photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(image, photometric="rgb", compression="deflate", metadata=None)
    np.testing.assert_array_equal(read_file(path, "a").array, image)


def test_pages_are_counted_without_overviews() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in range(3):
            writer.write(photo(32, 48, seed=page), photometric="rgb", metadata=None)
            writer.write(photo(16, 24, seed=page), photometric="rgb", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read(file.getvalue(), page=2), photo(32, 48, seed=2))
    with pytest.raises(InputError, match="holds 3 images"):
        read(file.getvalue())


def raw_below_a_preview(photometric: int) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(photo(24, 32), photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(ramp(14, 0 if photometric == 32803 else 3), photometric=photometric, metadata=None)
    return file.getvalue()


RAWS = {
    "NEF": raw_below_a_preview(32803),
    "linear DNG": raw_below_a_preview(34892),
    "DNG": tiff(photo(24, 32), photometric="rgb", extratags=[(50706, "B", 4, (1, 4, 0, 0), True)]),
    "CR2": (lambda content: content[:8] + b"CR\2\0" + content[12:])(tiff(photo(24, 32), photometric="rgb")),
    "CR3": b"\0\0\0\x18ftypcrx " + bytes(100),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(200),
    "RW2": b"IIU\0" + bytes(100),
    "ORF": b"IIRO" + bytes(100),
}


@pytest.mark.parametrize("kind", RAWS)
def test_camera_raws_are_not_read_as_previews(kind: str, hide: Callable[[str], None]) -> None:
    with pytest.raises(InputError, match=r"image: can't be read as an image|image: empty"):
        read(RAWS[kind])  # they hold no sensor's values
    hide("rawpy")
    with pytest.raises(MissingExtraError, match=r"image: a camera raw needs rawpy: pip install 'gifnet\[raw\]'"):
        read(RAWS[kind])


def test_only_the_merged_image_of_layers_counts() -> None:
    """A PSD's layers are no pages."""
    pixels = photo(16, 24)
    head = b"8BPS\0\1" + bytes(6) + struct.pack(">HLLHH", 3, 16, 24, 8, 3)
    layer = struct.pack(">LLLL", 0, 0, 8, 8) + struct.pack(">H", 3)
    layer += b"".join(struct.pack(">hL", channel, 66) for channel in range(3)) + b"8BIMnorm\xff\0\0\0"
    layer += struct.pack(">L", 12) + struct.pack(">LL", 0, 0) + b"\1a\0\0"
    layers = struct.pack(">h", 2) + 2 * layer + 6 * (b"\0\0" + bytes(64))
    section = struct.pack(">L", len(layers)) + layers
    content = head + bytes(4) + bytes(4) + struct.pack(">L", len(section)) + section
    content += b"\0\0" + np.moveaxis(pixels, -1, 0).tobytes()
    for page in (None, 0, 1):
        np.testing.assert_array_equal(read(content, page), pixels)


# --- trust --------------------------------------------------------------------------------------------

NO_IMAGES = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
    "PostScript with a preview": b"\xc5\xd0\xd3\xc6" + bytes(100),
    "PDF": b"%PDF-1.7\n",
    "metafile": b"\xd7\xcd\xc6\x9a" + bytes(100),
    "FITS": b"SIMPLE  =                    T" + bytes(200),
    "JPEG XL": b"\xff\x0a" + bytes(100),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_content_that_is_not_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the suffix says; and no program is started for it."""
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / "image.png"
    path.write_bytes(NO_IMAGES[kind])
    with pytest.raises(InputError, match=rf"image\.png: is .*{kind.partition(' with')[0]}"):
        read_file(path, str(path))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "options", [{"rowsperstrip": 8}, {"tile": (16, 16)}, {"rowsperstrip": 8, "compression": "lzw"}]
)
def test_lost_strips_are_an_error(dtype: Any, options: dict[str, Any]) -> None:
    content = bytearray(tiff(photo(32, 48).astype(dtype), photometric="rgb", **options))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        counts = file.pages[0].tags[325 if "tile" in options else 279]  # type: ignore[union-attr]
        width = {3: 2, 4: 4}[counts.dtype]
        start = counts.valueoffset
    content[start + width : start + 2 * width] = bytes(width)
    with pytest.raises(InputError, match=r"image: damaged; has \d+ of \d+ strips or tiles"):
        read(bytes(content))


def test_webp_in_tiff() -> None:
    image = photo(32, 48)
    np.testing.assert_array_equal(
        read(tiff(image, photometric="rgb", compression="webp", compressionargs={"level": 101})), image
    )


def many_directories(count: int, circle: bool = False) -> bytes:
    """A TIFF of one strip and ``count`` directories that share it."""
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    size = len(directory(tags, 0))
    starts = [12 + size * index for index in range(count)]
    following = [*starts[1:], starts[0] if circle else 0]
    head = b"II*\0" + struct.pack("<L", starts[0]) + b"\x55\0\0\0"
    return head + b"".join(directory(tags, offset) for offset in following)


def test_there_are_limits_to_directories() -> None:
    assert read(many_directories(500), page=499).item() == 0x55
    begin = time.process_time()
    with pytest.raises(InputError, match=f"a TIFF of more than {DIRECTORIES} images"):
        read(many_directories(60_000), page=0)
    assert time.process_time() - begin < 10, "60,000 took a minute"
    with pytest.raises(InputError, match="in a circle"):
        read(many_directories(3, circle=True), page=0)


@pytest.mark.parametrize("compression", ["jpeg2000", "webp", "jpeg"])
def test_strips_larger_than_the_image_are_not_decoded(compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TIFF of 64×64 pixels whose one strip holds 1024×1024."""
    dtype = np.uint16 if compression == "jpeg2000" else np.uint8
    content = tiff(np.zeros((1024, 1024, 3), dtype), photometric="rgb", compression=compression, rowsperstrip=1024)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        places = [file.pages[0].tags[tag].valueoffset for tag in (256, 257, 278)]  # type: ignore[union-attr]
    small = bytearray(content)
    for place in places:
        small[place : place + 2] = struct.pack("<H", 64)
    for codec in ("jpeg2k_decode", "webp_decode"):
        monkeypatch.setattr(imagecodecs, codec, lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(InputError, match=r"image: (damaged; a strip|can't be read)"):
        read(bytes(small))


def test_what_follows_a_png_is_not_read(tmp_path: Path) -> None:
    """A file of 2 GB (a hole) with a small deep image at its start."""
    values = ramp(16, 3)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(values))
    with path.open("r+b") as file:
        file.truncate(1 << 31)
    np.testing.assert_array_equal(read_file(path, "a").array, values)
    with path.open("wb") as file:
        file.write(imagecodecs.png_encode(values)[:33] + struct.pack(">L", 1 << 30) + b"IDAT")
        file.truncate(1 << 31)
    with pytest.raises(InputError, match="a: damaged; a part of 1073741824 bytes"):
        read_file(path, "a")


@pytest.mark.parametrize("start", [b"RIFF\xf0\xff\xff\x7fWEBPVP8L", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1"])
def test_files_that_are_read_whole_have_a_limit(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(start)
    with path.open("r+b") as file:
        file.truncate(1 << 31)
    with pytest.raises(InputError, match="a: 2147483648 bytes are too many"):
        read_file(path, "a")


def test_tags_of_a_large_tiff_are_read_without_the_rest(tmp_path: Path) -> None:
    """Of a TIFF of 2 GB, with a hole behind a small deep image, no more than needed."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, ramp(16, 3), photometric="rgb")
    with path.open("r+b") as file:
        file.truncate(1 << 31)
    begin = time.process_time()
    np.testing.assert_array_equal(read_file(path, "a").array, ramp(16, 3))
    assert time.process_time() - begin < 1


# --- the remaining rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "GIF", "TGA", "PCX", "QOI", "ICO", "SGI", "TIFF"])
def test_8_bits_are_levels_of_255(kind: str) -> None:
    image = np.repeat(np.repeat(np.array([[0, 1], [128, 255]], np.uint8), 16, 0), 16, 1)[..., None].repeat(3, 2)
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "ICO": {"sizes": [(32, 32)]}}.get(kind, {})
    found = read(pil(Image.fromarray(image), kind, **options))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[..., :3], image)


def test_jpeg_2000_below_8_bits_fills_the_range() -> None:
    content = imagecodecs.jpeg2k_encode(ramp(4), level=0, bitspersample=4, reversible=True)
    np.testing.assert_array_equal(read(content), full(ramp(4), 4))


def test_floating_point_maps_of_netpbm() -> None:
    values = np.linspace(0, 1, 16 * 24, dtype=np.float32).reshape(16, 24)
    np.testing.assert_array_equal(read(b"Pf\n24 16\n-1.0\n" + values[::-1].astype("<f4").tobytes())[..., 0], values)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_of_tiff_is_kept(dtype: Any) -> None:
    values = np.linspace(-3, 300, 16 * 24).reshape(16, 24).astype(dtype)
    values[0, 0] = np.nan
    found = read(tiff(values, photometric="minisblack"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[..., 0], values.astype(np.float32))


def test_plain_ppm_of_more_than_8_bits() -> None:
    content = b"P3 2 1 1023 # wide\n1023 0 512 # half\n 1 2 3\n"
    expected = (np.array([[[1023, 0, 512], [1, 2, 3]]]) * 65535 / 1023).round()
    np.testing.assert_array_equal(read(content), expected)
    assert read(content).dtype == np.uint16
    with pytest.raises(InputError, match="damaged; the file ends before its pixels do"):
        read(b"P3 2 1 1023\n1023 0 512 1 2\n")


def test_more_that_would_be_cut_is_refused() -> None:
    header = struct.pack("<7L44x", 124, 0x1007, 16, 16, 256, 0, 0) + struct.pack("<LL4s20x", 32, 4, b"DX10")
    header += struct.pack("<5L", 0x1000, 0, 0, 0, 0) + struct.pack("<5L", 95, 3, 0, 1, 0)  # 95: BC6H
    with pytest.raises(InputError, match="16 bits a channel"):
        read(b"DDS " + header + bytes(256))


def test_the_photograph_of_several_in_a_jpeg() -> None:
    """An MPO: the first image, not a second view or preview."""
    first, second = (Image.fromarray(np.full((16, 24, 3), level, np.uint8)) for level in (200, 50))
    found = read(pil(first, "MPO", save_all=True, append_images=[second]))
    assert np.abs(found.astype(int) - 200).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_lerc_in_tiff(dtype: Any) -> None:
    values = (photo(32, 48, 0) / np.float32(255) if dtype == np.float32 else photo(32, 48, 0)).astype(dtype)
    content = tiff(values, photometric="minisblack", compression="lerc", rowsperstrip=8)
    np.testing.assert_array_equal(read(content)[..., 0], values)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        place = file.pages[0].tags[256].valueoffset  # type: ignore[union-attr]
    narrow = content[:place] + struct.pack("<H", 16) + content[place + 2 :]
    with pytest.raises(InputError, match="image: damaged; a strip or tile of 16×8 pixels holds 48×8"):
        read(narrow)
