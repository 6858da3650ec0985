"""HEIC, camera raws, DICOM, OpenEXR and Radiance HDR: each of a file that its library, or this test, makes."""

import io
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from commands import run
from conftest import Passing, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.files.light import encoded
from gifnet.files.reading import read_file

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def mean() -> Fuser:
    return Fuser(Passing(), "cpu")


def read(content: bytes, page: int | None = None) -> Array:
    return read_file(content, "image", page).array


# --- HEIC ---------------------------------------------------------------------------------------------


def heic(image: Array, mode: str = "RGB", **options: Any) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra [heif]")
    height, width = image.shape[:2]
    made = pillow_heif.from_bytes(mode, (width, height), np.ascontiguousarray(image).tobytes())
    buffer = io.BytesIO()
    made.save(buffer, quality=95, chroma=444, **options)
    return buffer.getvalue()


def test_heic(mean: Fuser, tmp_path: Path) -> None:
    image = photo(64, 96)
    content = heic(image)
    found = read(content)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - image).mean() < 2, "the codec's own loss"
    assert isinstance(mean.enhance(content), bytes)
    (tmp_path / "a.heic").write_bytes(content)
    done = run("enhance", tmp_path / "a.heic", "-o", tmp_path / "out.png", "--strength", "0", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), found)
    assert "a.png" in [path.name for path in gifnet.enhance_folder(tmp_path, tmp_path / "out", device="cpu").done]


def test_heic_of_10_bits() -> None:
    image = photo(64, 96).astype(np.uint16) * 257
    found = read(heic(image, "RGB;16"))
    assert found.dtype == np.uint16
    assert np.abs(found.astype(float) - image).mean() < 2 * 257
    white = read(heic(np.full((64, 64, 3), 65535, np.uint16), "RGB;16"))
    assert white.max() > 65000, "full scale is that of 10 bits"


def test_heic_is_turned_and_keeps_its_metadata() -> None:
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "Test camera", 6
    raster = read_file(heic(photo(64, 96), exif=exif.tobytes()), "image")
    found = Image.Exif()
    found.load(raster.metadata.exif)
    assert found[0x0110] == "Test camera"
    assert found.get(0x0112, 1) == 1
    upright = raster.array
    assert upright.shape[:2] in ((64, 96), (96, 64))
    expected = np.rot90(photo(64, 96), -1) if upright.shape[0] == 96 else photo(64, 96)
    assert np.abs(upright.astype(int) - expected).mean() < 3


def test_heic_by_the_package_that_reads_only(hide: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """pi-heif is pillow-heif without its encoder, whose licence is the GPL; it is taken where it is alone."""
    content = heic(photo(64, 96))
    pillow_heif, expected = pytest.importorskip("pillow_heif"), read(content)
    hide("pillow_heif")
    monkeypatch.setitem(sys.modules, "pi_heif", pillow_heif)
    np.testing.assert_array_equal(read(content), expected)


def test_damaged_heic() -> None:
    content = heic(photo(64, 96))
    for cut in (40, 200, len(content) // 2):
        with pytest.raises(InputError, match=r"^image: can't be read as an image"):
            read(content[:cut])


# --- camera raws --------------------------------------------------------------------------------------


def dng(mosaic: Array, neutral: tuple[Fraction, Fraction, Fraction]) -> bytes:
    """A raw of a sensor whose colours are those of linear sRGB, of 14 bits, red at the top left."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    matrix = [number for value in np.linalg.inv(to_xyz).ravel() for number in (round(value * 10000), 10000)]
    as_shot = [number for value in neutral for number in (value.numerator, value.denominator)]
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Test camera", True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50717, "H", 1, 16383, True),
        (50721, "2i", 9, matrix, True),
        (50728, "2I", 3, as_shot, True),
        (50778, "H", 1, 21, True),
    ]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, mosaic, photometric=32803, extratags=tags, metadata=None, software="x")
    return buffer.getvalue()


def grey_patch(level: float) -> bytes:
    """A grey surface of this linear level, in a light in which the sensor sees little red."""
    mosaic = np.empty((96, 128))
    mosaic[::2, ::2], mosaic[1::2, 1::2] = level / 2, level * 3 / 4
    mosaic[::2, 1::2] = mosaic[1::2, ::2] = level
    return dng((mosaic * 16383).round().astype(np.uint16), (Fraction(1, 2), Fraction(1), Fraction(3, 4)))


@pytest.mark.parametrize("level", [0.1, 0.4])
def test_raws_are_developed_with_the_cameras_white_balance(level: float) -> None:
    pytest.importorskip("rawpy", reason="needs the extra [raw]")
    found = read(grey_patch(level))
    assert found.dtype == np.uint16
    assert found.shape[2] == 3
    inner = found[8:-8, 8:-8] / 65535
    expected = encoded(np.array(level))
    assert np.abs(inner - expected).max() < 0.02, "grey again, and not brightened"


def test_raws_on_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("rawpy", reason="needs the extra [raw]")
    for name, level in (("a.dng", 0.1), ("b.dng", 0.4)):
        (tmp_path / name).write_bytes(grey_patch(level))
    done = run("fuse", tmp_path / "a.dng", tmp_path / "b.dng", "-o", tmp_path / "out.png", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert imagecodecs.png_decode((tmp_path / "out.png").read_bytes()).dtype == np.uint16


def test_damaged_raws() -> None:
    pytest.importorskip("rawpy", reason="needs the extra [raw]")
    for content in (b"\0\0\0\x18ftypcrx " + bytes(100), b"FUJIFILMCCD-RAW 0201" + bytes(200), b"IIU\0" + bytes(100)):
        with pytest.raises(InputError, match=r"^image: can't be read as an image \(\w"):
            read(content)
    with pytest.raises(InputError, match=r"\(Unsupported file format or not RAW file\)"):  # not b'…'
        read(b"FUJIFILMCCD-RAW 0201" + bytes(200))


# --- DICOM --------------------------------------------------------------------------------------------


def dicom(array: Array, **tags: Any) -> bytes:
    """An uncompressed CT slice, or whatever the tags say."""
    pydicom = pytest.importorskip("pydicom", reason="needs the extra [dicom]")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4"
    colour = array.shape[-1] == 3
    dataset.Rows, dataset.Columns = array.shape[-3:-1] if colour else array.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * array.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    if colour:
        dataset.PlanarConfiguration = 0
    if array.ndim - colour == 3:
        dataset.NumberOfFrames = len(array)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = array.tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


STORED = np.arange(0, 4096, dtype=np.int16).reshape(64, 64)
HOUNSFIELD = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def levels(content: bytes, mean: Fuser, **options: Any) -> Array:
    found = np.asarray(Image.open(io.BytesIO(mean.enhance(content, 0, **options))))
    assert found.dtype == np.uint16
    return found / 65535


def test_the_window_of_a_slice_is_black_and_white(mean: Fuser) -> None:
    units = STORED.astype(float) - 1024
    content = dicom(STORED, **HOUNSFIELD, WindowCenter=[40, 300], WindowWidth=[400, 1500])
    expected = ((units - (39.5 - 199.5)) / 399).clip(0, 1)  # PS3.3, C.11.2.1.2.1
    assert np.abs(levels(content, mean) - expected).max() < 1e-4
    exact = dicom(STORED, **HOUNSFIELD, WindowCenter=40, WindowWidth=400, VOILUTFunction="LINEAR_EXACT")
    assert np.abs(levels(exact, mean) - ((units + 160) / 400).clip(0, 1)).max() < 1e-4
    whole = dicom(STORED, **HOUNSFIELD)
    assert np.abs(levels(whole, mean) - STORED / 4095).max() < 1e-4, "without one, the range of its values"


def test_stretch_is_in_hounsfield_units(mean: Fuser) -> None:
    content = dicom(STORED, **HOUNSFIELD, WindowCenter=40, WindowWidth=400)
    units = STORED.astype(float) - 1024
    found = levels(content, mean, stretch=(-1000, 1000, "values"))
    assert np.abs(found - ((units + 1000) / 2000).clip(0, 1)).max() < 1e-4


def test_low_values_may_be_white(mean: Fuser) -> None:
    content = dicom(STORED, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=4095)
    expected = 1 - (STORED / 4094).clip(0, 1)
    expected[STORED == 4095] = 0  # padding is black all the same
    assert np.abs(levels(content, mean) - expected).max() < 1e-4
    found = levels(content, mean, stretch=(0, 100))
    assert np.abs(found - expected).max() < 1e-4


def test_frames_and_colour_of_dicom(mean: Fuser) -> None:
    frames = dicom(np.stack([STORED, STORED[::-1]]))
    with pytest.raises(InputError, match="image: holds 2 images; name one"):
        read(frames)
    np.testing.assert_array_equal(read(frames, 1)[..., 0], STORED[::-1])
    assert mean.fuse(frames)[:4] == b"\x89PNG", "its frames are a stack"
    np.testing.assert_array_equal(read(dicom(photo(64, 64))), photo(64, 64))


def test_a_slice_with_an_mri_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "ct.dcm").write_bytes(dicom(STORED, **HOUNSFIELD, WindowCenter=40, WindowWidth=400))
    Image.fromarray(photo(64, 64, 0)).save(tmp_path / "mri.png")
    done = run("fuse", tmp_path / "ct.dcm", tmp_path / "mri.png", "-o", tmp_path / "out.png", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert np.asarray(Image.open(tmp_path / "out.png")).dtype == np.uint16


def test_dicom_that_is_no_image() -> None:
    content = dicom(STORED)
    with pytest.raises(InputError, match=r"^image: "):
        read(content[:-100])
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.dcmread(io.BytesIO(content))
    del dataset.PixelData
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(InputError, match="DICOM without an image"):
        read(buffer.getvalue())


# --- light without an upper end -----------------------------------------------------------------------


def exr(path: Path, **channels: Array) -> bytes:
    openexr = pytest.importorskip("OpenEXR", reason="needs the extra [exr]")
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    with openexr.File(header, channels) as file:
        file.write(str(path))
    return path.read_bytes()


LIGHT = (np.random.default_rng(0).random((40, 56, 3)) ** 3 * 8).astype(np.float32)


def test_exr_above_1_is_stretched(mean: Fuser, tmp_path: Path) -> None:
    content = exr(tmp_path / "a.exr", RGB=LIGHT)
    np.testing.assert_allclose(read(content), encoded(LIGHT), atol=1e-6)
    with pytest.raises(InputError, match=r"values from .*stretch=True"):
        mean.enhance(content)
    found = mean.enhance(tmp_path / "a.exr", 0, stretch=(0, 100))
    values = encoded(LIGHT)
    np.testing.assert_allclose(found, (values - values.min()) / np.ptp(values), atol=1e-5)
    done = run("enhance", tmp_path / "a.exr", "-o", tmp_path / "o.tif", "--stretch", "0,100", "--strength", "0")
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(tifffile.imread(tmp_path / "o.tif"), found, atol=1e-6)


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "one channel", "hdr"])
def test_the_advice_for_light_above_1_works(mean: Fuser, tmp_path: Path, kind: str) -> None:
    """What the message says, in Python and on the command line, is done, and does."""
    alpha = np.ones((40, 56, 1), np.float32)
    alpha[:10] = 0
    path = tmp_path / ("a.hdr" if kind == "hdr" else "a.exr")
    match kind:
        case "RGB":
            exr(path, RGB=LIGHT)
        case "RGBA":
            exr(path, RGBA=np.concatenate([LIGHT * alpha, alpha], axis=2))
        case "one channel":
            exr(path, Y=np.ascontiguousarray(LIGHT[..., 0]))
        case _:
            path.write_bytes(radiance(LIGHT))
    Image.fromarray(photo(40, 56)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"a\.(exr|hdr): .* must lie in \[0, 1\]: ") as refused:
        mean.fuse(path, tmp_path / "b.png")
    assert "give stretch=True" in str(refused.value)
    fused = mean.fuse(path, tmp_path / "b.png", stretch=True)
    values = read_file(path, "image").array
    low, high = np.percentile(values[10:, :, :3] if kind == "RGBA" else values, (0.1, 99.9))
    black_to_white = ((values[..., :3] - low) / (high - low)).clip(0, 1)
    assert fused.dtype == np.float32
    brightness = (fused[..., :3].mean(axis=2), (black_to_white.mean(axis=2) + photo(40, 56).mean(axis=2) / 255) / 2)
    assert np.corrcoef(*(plane[10:].ravel() for plane in brightness))[0, 1] > 0.9
    if kind == "RGBA":
        np.testing.assert_array_equal(fused[..., 3], alpha[..., 0])
    if kind not in ("RGBA", "hdr"):
        return
    arguments = ("fuse", path, tmp_path / "b.png", "-o", tmp_path / "out.tif", "--device", "cpu")
    done = run(*arguments)
    assert done.returncode == 1
    flag = re.search(r"--stretch=[0-9.,]+", done.stderr)
    assert flag, done.stderr
    done = run(*arguments, flag[0])
    assert done.returncode == 0, done.stderr
    assert tifffile.imread(tmp_path / "out.tif").shape[:2] == (40, 56)


def test_channels_of_exr(tmp_path: Path) -> None:
    half = (LIGHT / 8).astype(np.float16)
    np.testing.assert_allclose(read(exr(tmp_path / "a.exr", RGB=half)), encoded(half.astype(np.float32)), atol=1e-6)
    depth = np.ascontiguousarray(LIGHT[..., 0])
    np.testing.assert_array_equal(read(exr(tmp_path / "a.exr", Z=depth))[..., 0], depth)
    alpha = np.full((40, 56, 1), 0.5, np.float32)
    found = read(exr(tmp_path / "a.exr", RGBA=np.concatenate([LIGHT / 16, alpha], axis=2)))
    np.testing.assert_allclose(found[..., :3], encoded(LIGHT / 8), atol=1e-5)
    assert (found[..., 3] == 0.5).all()
    opaque = read(exr(tmp_path / "a.exr", RGBA=np.concatenate([LIGHT, alpha * 2], axis=2)))
    assert opaque.shape[2] == 3
    with pytest.raises(InputError, match="OpenEXR of the channels U, V; R, G and B, or one are read"):
        read(exr(tmp_path / "a.exr", U=depth, V=depth))


def test_the_curve_is_srgbs() -> None:
    light = np.array([0, 0.001, 0.0031308, 0.18, 1, 4], np.float32)
    expected = [0, 0.01292, 0.04045, 0.46136, 1, 1.055 * 4 ** (1 / 2.4) - 0.055]
    np.testing.assert_allclose(encoded(light), expected, atol=1e-4)


def radiance(light: Array) -> bytes:
    """An uncompressed file: mantissas of 8 bits and an exponent that the three channels share."""
    exponent = np.frexp(light.max(axis=2, keepdims=True))[1]
    mantissas = np.ldexp(light, 8 - exponent).astype(np.uint8)
    pixels = np.concatenate([mantissas, (exponent + 128).astype(np.uint8)], axis=2)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {light.shape[0]} +X {light.shape[1]}\n"
    return head.encode() + pixels.tobytes()


def test_radiance_hdr(mean: Fuser, tmp_path: Path) -> None:
    path = tmp_path / "a.hdr"
    light = LIGHT[..., :1] * np.array([1, 0.9, 0.8], np.float32) + np.float32(0.1)
    path.write_bytes(radiance(light))
    found = read_file(path, str(path)).array
    np.testing.assert_allclose(found, encoded(light), rtol=0.01)  # mantissas of 8 bits
    assert mean.enhance(path, stretch=True).shape == light.shape
    with pytest.raises(InputError, match="Radiance HDR that is turned or damaged"):
        read(path.read_bytes().replace(b"-Y", b"+Y"))
    with pytest.raises(InputError, match=r"^image: can't be read"):
        read(path.read_bytes()[:-900])


# --- all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        b"v/1\1" + bytes(100),
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100000 +X 100000\n" + bytes(100),
        bytes(128) + b"DICM" + bytes(100),
        b"\0\0\0\x18ftypheic" + bytes(100),
    ],
)
def test_starts_of_files_are_no_images(start: bytes) -> None:
    with pytest.raises(InputError, match=r"^image: "):
        read(start)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["npy", "heic", "dng", "dcm", "exr", "hdr"])
def test_damage_gives_an_image_or_an_input_error(kind: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, photo())
    makers: dict[str, Callable[[], bytes]] = {
        "npy": buffer.getvalue,
        "heic": lambda: heic(photo(64, 96)),
        "dng": lambda: grey_patch(0.3),
        "dcm": lambda: dicom(STORED, **HOUNSFIELD, WindowCenter=40, WindowWidth=400),
        "exr": lambda: exr(tmp_path / "a.exr", RGB=LIGHT),
        "hdr": lambda: radiance(LIGHT),
    }
    content, random = makers[kind](), Random(0)
    messages = []
    for _ in range(60):
        damaged = bytearray(content)
        if random.random() < 0.3:
            del damaged[random.randrange(len(damaged)) :]
        else:
            for _ in range(random.choice((1, 3, 20))):
                damaged[random.randrange(random.choice((64, 600, len(damaged))))] = random.randrange(256)
        try:
            read(bytes(damaged))
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(message.startswith("image: ") and "\n" not in message for message in messages)
