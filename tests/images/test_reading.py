"""Lists of images, file objects, pages of one file, and NumPy's files."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Passing, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError


@pytest.fixture(scope="module")
def mean() -> Fuser:
    return Fuser(Passing(), "cpu")


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("count", [2, 4])
def test_one_list_is_its_images(count: int, mean: Fuser) -> None:
    images = [photo(seed=seed) for seed in range(count)]
    expected = mean.fuse(*images)
    np.testing.assert_array_equal(mean.fuse(images), expected)
    np.testing.assert_array_equal(mean.fuse(tuple(images)), expected)
    assert isinstance(gifnet.fuse([Image.fromarray(image) for image in images], device="cpu"), Image.Image)


def test_lists_that_are_wrong(mean: Fuser) -> None:
    with pytest.raises(InputError, match=r"a list of 1 images; fusion takes two or more \(gifnet.enhance"):
        mean.fuse([photo()])
    with pytest.raises(InputError, match="a: list is no image; give a list of images alone"):
        mean.fuse([photo(), photo()], photo())
    with pytest.raises(InputError, match="b: list is no image; fusion takes one list"):
        mean.fuse(photo(), [photo(), photo()])
    with pytest.raises(InputError, match=r"b: missing .*; fusion takes two images or more"):
        mean.fuse(photo())


def test_file_objects_are_as_their_bytes(mean: Fuser, tmp_path: Path) -> None:
    contents = [png(photo(seed=seed)) for seed in range(3)]
    assert mean.fuse(io.BytesIO(contents[0]), io.BytesIO(contents[1])) == mean.fuse(*contents[:2])
    assert mean.fuse([io.BytesIO(content) for content in contents]) == mean.fuse(*contents)
    assert mean.enhance(io.BytesIO(contents[0])) == mean.enhance(contents[0])
    path = tmp_path / "a.png"
    path.write_bytes(contents[0])
    with path.open("rb") as file:
        assert mean.enhance(file) == mean.enhance(contents[0])
    with pytest.raises(InputError, match="x: a file of text; open it in binary"):
        mean.enhance(io.StringIO("P1 1 1 0"))  # type: ignore[call-overload]


def test_file_objects_of_a_stack_that_is_aligned(mean: Fuser) -> None:
    """Which is read twice."""
    pytest.importorskip("cv2", reason="needs the extra [align]")
    whole = np.asarray(Image.fromarray(photo(40, 50, seed=3)).resize((250, 200), Image.Resampling.BICUBIC))
    contents = [png(whole)] * 3
    fused = mean.fuse(*map(io.BytesIO, contents), align="translation")
    assert Image.open(io.BytesIO(fused)).size == (250, 200)


def test_pages_of_one_file_are_a_stack(mean: Fuser, tmp_path: Path) -> None:
    frames = [photo(seed=seed) for seed in range(4)]
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack(frames), photometric="rgb")
    expected = mean.fuse(*frames)
    np.testing.assert_array_equal(np.asarray(mean.fuse(path)), expected)
    fused = mean.fuse(path.read_bytes())
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(fused))), expected)
    out = gifnet.fuse_files(path, None, tmp_path / "out.png", device="cpu")
    np.testing.assert_array_equal(np.asarray(Image.open(out)), gifnet.fuse(frames, device="cpu"))
    with pytest.raises(InputError, match="holds 4 images; name one with page="):
        mean.enhance(path)


def test_files_in_a_list(tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        Image.fromarray(photo(seed=seed)).save(path)
    out = gifnet.fuse_files(paths, None, tmp_path / "out.png", device="cpu")
    expected = gifnet.fuse_files(paths[0], paths[1], tmp_path / "same.png", paths[2], device="cpu")
    assert out.read_bytes() == expected.read_bytes()
    with pytest.raises(InputError, match="no path of an image file"):
        gifnet.fuse_files([photo(), photo()], None, tmp_path / "out.png", device="cpu")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, ">u2"])
def test_npy_files(dtype: str, mean: Fuser, tmp_path: Path) -> None:
    values = photo(channels=0).astype(np.float64) / 255
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    array = (values * top).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    assert np.abs(np.asarray(mean.enhance(tmp_path / "a.npy")) / top - array / top).max() < 1e-6
    np.save(tmp_path / "rgb.npy", np.asfortranarray(photo()))
    np.testing.assert_array_equal(np.asarray(mean.enhance(tmp_path / "rgb.npy")), photo())


def test_npy_of_kelvin_in_folders(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    kelvin = 280 + 40 * photo(channels=0) / 255
    np.save(tmp_path / "in" / "frame.npy", kelvin)
    result = gifnet.enhance_folder(
        tmp_path / "in", tmp_path / "out", strength=0, stretch=(280, 320, "values"), suffix=".tif", device="cpu"
    )
    assert not result.failed
    np.testing.assert_allclose(np.asarray(Image.open(result.done[0])), (kelvin - 280) / 40, atol=1e-5)


def test_npy_files_that_are_no_images(mean: Fuser, tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", np.zeros((5, 40, 50)))
    with pytest.raises(InputError, match=r"stack\.npy: array of shape \(5, 40, 50\); save one of H×W"):
        mean.enhance(tmp_path / "stack.npy")
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(InputError, match=r"objects\.npy: array of dtype object; save numbers"):
        mean.enhance(tmp_path / "objects.npy")
    np.save(tmp_path / "cut.npy", np.zeros((40, 50)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-8])
    with pytest.raises(InputError, match=r"cut\.npy: damaged; the file ends"):
        mean.enhance(tmp_path / "cut.npy")
