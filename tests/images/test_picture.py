"""Pictures: only loaded ones have pixels, and large or mapped arrays give what small ones in memory give."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, Passing, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.evaluation.measure import evaluate_folders
from gifnet.files.listing import images_below, images_in, stack_files
from gifnet.images import lazy
from gifnet.images.lazy import LazyPicture
from gifnet.images.picture import Picture, PictureInfo
from gifnet.images.reading import read
from gifnet.training.data import images_by_stem


def mapped(path: Path, array: np.ndarray) -> np.memmap:
    np.memmap(path, array.dtype, "w+", shape=array.shape)[...] = array
    return np.memmap(path, array.dtype, "r", shape=array.shape)


def blocks(seed: int = 0) -> np.ndarray:
    """Squares of random greys, (160, 190, 3) uint8: edges to align by."""
    squares = np.random.default_rng(seed).integers(0, 255, (16, 19)).astype(np.uint8)
    return np.repeat(np.kron(squares, np.ones((10, 10), np.uint8))[..., None], 3, axis=2)


def test_only_a_loaded_picture_has_pixels(tmp_path: Path) -> None:
    array = blocks()
    picture = read(mapped(tmp_path / "a", array), "a")
    assert isinstance(picture, LazyPicture)
    assert not hasattr(picture, "pixels")
    assert not hasattr(picture.info(), "pixels")
    assert not hasattr(read(array, "a").info(), "pixels")
    loaded, expected = picture.load(), read(array, "a")
    assert isinstance(expected, Picture)
    assert loaded.layout == picture.layout == expected.layout
    assert torch.equal(loaded.pixels, expected.pixels)


MISUSE = """
from gifnet.images.picture import Picture, PictureInfo, ReadablePicture
from gifnet.images.reading import read
from gifnet.prepare.alignment import align_pictures
read(b"", "a").pixels  # E: 6
def f(info: PictureInfo, readable: ReadablePicture, picture: Picture) -> None:
    info.pixels  # E: 8
    info.region  # E: 9
    readable.pixels  # E: 10
    align_pictures(readable, readable)  # E: 11
    align_pictures(picture, readable.load())
"""


@pytest.mark.slow
def test_the_type_checker_knows_which_pictures_have_pixels(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    module = tmp_path / "misuse.py"
    module.write_text(MISUSE.lstrip("\n"))
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", ROOT / ".mypy_cache", module],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = {int(line.split(":")[1]) for line in found.stdout.splitlines() if ": error:" in line}
    assert lines == {number for number, line in enumerate(module.read_text().splitlines(), 1) if "# E" in line}


def test_mapped_and_large_arrays_align_as_small_ones_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2", reason="needs the extra [align]")
    a = blocks()
    b = np.roll(a, (7, 5), (0, 1))
    expected = gifnet.align(a, b, motion="translation")
    assert np.abs(expected.matrix[:2, 2] - (5, 7)).max() < 0.1
    first, second = mapped(tmp_path / "a", a), mapped(tmp_path / "b", b)
    found = gifnet.align(first, second, motion="translation")
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    np.testing.assert_array_equal(found.warp(second), expected.warp(b))
    monkeypatch.setattr(lazy, "LARGE", 1)
    np.testing.assert_array_equal(gifnet.align(a, b, motion="translation").matrix, expected.matrix)
    warped = expected.warp(b)
    np.testing.assert_array_equal(warped, found.warp(second))
    assert len(np.unique(warped)) > 100


class Keeping:
    """A model whose results are arrays in memory."""

    def fuse(self, a: str, b: str, /) -> np.ndarray:
        images = [np.asarray(Image.open(path)).astype(np.uint16) for path in (a, b)]
        return (sum(images) * 128).astype(np.uint16)


def test_large_results_are_measured_as_small_ones_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        Image.fromarray(photo(40, 50, 0, seed)).save(tmp_path / name / "0.png")
    folders = tmp_path / "a", tmp_path / "b"
    expected = evaluate_folders(*folders, {"mean": Keeping()}, ["EN", "SD", "CC"], progress=False)
    monkeypatch.setattr(lazy, "LARGE", 1)
    found = evaluate_folders(*folders, {"mean": Keeping()}, ["EN", "SD", "CC"], progress=False)
    assert found.scores == expected.scores
    assert expected.summary("mean", "SD").mean > 1


def test_the_result_of_lazy_pictures_is_described_without_reading_them() -> None:
    class Unread:
        shape, dtype = (20, 30, 3), np.dtype(np.uint8)

        def __getitem__(self, key: object) -> np.ndarray:
            raise AssertionError("read")

    picture = read(Unread(), "a")  # type: ignore[arg-type]
    result = picture.fused_with(picture)
    assert type(result) is PictureInfo
    assert (result.size, result.coloured) == ("30×20", True)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def test_what_is_no_image_is_not_listed(tmp_path: Path) -> None:
    for name in ("0.png", "1.PPM", "2.jp2", "3.avif", "sub/4.tif"):
        save(tmp_path / name, photo())
    for name in ("._0.png", ".hidden.png", "@eaDir/0.png", "sub/@eaDir/4.tif", "__MACOSX/a.png", ".git/b.png"):
        save(tmp_path / name, photo())
    for name in ("notes.txt", "film.mpg", "table.h5"):
        (tmp_path / name).write_text("no image")
    assert [path.as_posix() for path in images_below(tmp_path)] == ["0.png", "1.PPM", "2.jp2", "3.avif"]
    assert [path.as_posix() for path in images_below(tmp_path, recursive=True)][4:] == ["sub/4.tif"]
    assert [path.name for path in images_in(tmp_path)] == ["0.png", "1.PPM", "2.jp2", "3.avif"]
    assert [Path(path).name for path in stack_files(tmp_path)] == ["0.png", "1.PPM", "2.jp2", "3.avif"]


def test_images_that_cannot_be_read_are_not_passed_over(tmp_path: Path) -> None:
    """A camera raw is listed, to be refused with a reason, unless its developed image lies beside it."""
    save(tmp_path / "0.jpg", photo())
    for name in ("0.NEF", "1.NEF"):
        (tmp_path / name).write_bytes(b"II*\0")
    assert [path.name for path in images_in(tmp_path)] == ["0.jpg", "1.NEF"]


def test_composed_and_decomposed_names_are_one_name(tmp_path: Path) -> None:
    name = "Gebäude é.png"
    save(tmp_path / "a" / unicodedata.normalize("NFD", name), photo(20, 30, 0))
    save(tmp_path / "b" / unicodedata.normalize("NFC", name), photo(20, 30, 0, seed=1))
    result = gifnet.fuse_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out", progress=False)
    assert (len(result.done), result.failed, result.unmatched) == (1, (), ())
    scored = evaluate_folders(tmp_path / "a", tmp_path / "b", {"mean": Keeping()}, ["EN"], progress=False)
    assert (scored.pairs, len(scored.scores)) == (1, 1)
    save(tmp_path / "a" / unicodedata.normalize("NFC", name), photo(20, 30, 0))
    with pytest.raises(InputError, match="share a stem"):
        images_by_stem(tmp_path / "a")


def test_enhancing_and_fusing_pictures_read_before() -> None:
    fuser, image = Fuser(Passing(), "cpu"), photo(20, 30, 0)
    np.testing.assert_array_equal(fuser.fuse(read(image, "a"), image), image)
