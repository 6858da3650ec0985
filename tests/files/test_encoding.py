"""quality= and compression= of files that are written."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands import run
from conftest import photo
from PIL import Image

from gifnet import InputError, enhance_file, enhance_folder
from gifnet.files.formats import Encoding
from gifnet.files.raster import Raster
from gifnet.files.writing import write_file


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_quality_is_the_encoders(suffix: str, tmp_path: Path) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    sizes = []
    for quality in (10, 60, 95):
        path = write_file(Raster(noisy), tmp_path / f"{quality}{suffix}", Encoding(quality))
        sizes.append(path.stat().st_size)
    assert sizes == sorted(set(sizes))
    assert write_file(Raster(noisy), tmp_path / f"x{suffix}").stat().st_size == sizes[-1], "95 by default"


def test_webp_without_loss(tmp_path: Path) -> None:
    path = write_file(Raster(photo()), tmp_path / "a.webp", Encoding("lossless"))
    np.testing.assert_array_equal(np.asarray(Image.open(path)), photo())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compression_changes_the_size_alone(dtype: type, tmp_path: Path) -> None:
    image = photo(200, 300).astype(dtype) * (257 if dtype is np.uint16 else 1)
    sizes = {}
    for level in (0, 1, 9):
        path = write_file(Raster(image), tmp_path / "a.png", Encoding(compression=level))
        sizes[level] = path.stat().st_size
    assert sizes[9] < sizes[1] < sizes[0]
    assert sizes[0] >= image.nbytes
    for scheme, number in {"none": 1, "lzw": 5, "deflate": 8}.items():
        path = write_file(Raster(image), tmp_path / "a.tif", Encoding(compression=scheme))  # type: ignore[arg-type]
        with tifffile.TiffFile(path) as tiff:
            assert int(tiff.pages[0].compression) in (number, 32946 if number == 8 else number)  # type: ignore[union-attr]
            np.testing.assert_array_equal(tiff.asarray(), image)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("a.png", {"quality": 80}, "quality: 80 is not for .png; quality is for JPEG and WebP"),
        ("a.jpg", {"quality": "lossless"}, "quality: 'lossless' is not for .jpg"),
        ("a.jpg", {"compression": 9}, "compression: 9 is not for .jpg"),
        ("a.tif", {"compression": 9}, "compression: 9 is not for .tif; .*TIFF"),
        ("a.png", {"compression": "lzw"}, "compression: 'lzw' is not for .png; .*PNG"),
        ("a.jpg", {"quality": 101}, "quality: 101; give 1 "),
    ],
)
def test_what_a_format_has_no_use_for(name: str, options: dict, problem: str, tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "x.png")
    with pytest.raises(InputError, match=problem):
        enhance_file(tmp_path / "x.png", tmp_path / name, device="cpu", **options)
    with pytest.raises(InputError, match=problem):
        enhance_folder(tmp_path, tmp_path / "out", suffix=Path(name).suffix, device="cpu", **options)


def test_on_the_command_line(tmp_path: Path) -> None:
    """A rerun with another quality does all again."""
    (tmp_path / "in").mkdir()
    Image.fromarray(photo(80, 90)).save(tmp_path / "in" / "x.png")
    sizes = []
    for quality in ("90", "20"):
        done = run(
            "enhance", tmp_path / "in", "-o", tmp_path / "out", "--suffix", ".jpg", "--quality", quality,
            "--device", "cpu",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        sizes.append((tmp_path / "out" / "x.jpg").stat().st_size)
    assert sizes[1] < sizes[0]
    done = run("enhance", tmp_path / "in" / "x.png", "-o", tmp_path / "x.tif", "--compression", "none", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.tif").stat().st_size > 80 * 90 * 3
    done = run("enhance", tmp_path / "in" / "x.png", "-o", tmp_path / "x.tif", "--compression", "zip")
    assert done.returncode == 1
    assert "'deflate', 'lzw' or 'none'" in done.stderr
