"""Images that are read and written by regions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Passing, photo
from PIL import Image

from gifnet import Fuser, InputError
from gifnet.images import lazy
from gifnet.networks.gifnet import GIFNet

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, "cpu", "float32")


def values(dtype: Any, channels: int, seed: int, height: int = 90, width: int = 130) -> np.ndarray:
    image = np.random.default_rng(seed).random((height, width, channels) if channels else (height, width))
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (image * top).astype(dtype)


def mapped(path: Path, array: np.ndarray) -> np.memmap:
    target = np.memmap(path, array.dtype, "w+", shape=array.shape)
    target[...] = array
    target.flush()
    return np.memmap(path, array.dtype, "r", shape=array.shape)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float16, ">u2"])
@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 3), (0, 3), (3, 1), (4, 0), (0, 4), (3, 3)])
def test_memory_mapped_files_fuse_as_arrays_do(
    fuser: Fuser, tmp_path: Path, dtype: Any, first: int, second: int
) -> None:
    a, b = values(dtype, first, 1, 48, 112), values(np.uint8, second, 2, 48, 112)  # two tiles of 64
    expected = fuser.fuse(a, b)
    lazily = fuser.fuse(mapped(tmp_path / "a", a), mapped(tmp_path / "b", b))
    assert type(lazily) is np.ndarray
    assert lazily.dtype == expected.dtype == a.dtype
    np.testing.assert_array_equal(lazily, expected)
    out = np.memmap(tmp_path / "out", a.dtype, "w+", shape=expected.shape)
    assert fuser.fuse(mapped(tmp_path / "a", a), b, out=out, tile=64) is out
    # Another order of sums: 1e-5, which may be one level.
    level = 1 if a.dtype.kind == "u" else 1e-3 if a.dtype.itemsize == 2 else 1e-5
    np.testing.assert_allclose(out.astype(float), expected.astype(float), atol=level, rtol=0)
    del out
    again = np.memmap(tmp_path / "out", a.dtype, "r", shape=expected.shape)  # it is in the file
    np.testing.assert_allclose(again.astype(float), expected.astype(float), atol=level, rtol=0)


def test_parts_of_memory_mapped_files_are_the_parts(fuser: Fuser, tmp_path: Path) -> None:
    array = values(np.uint8, 0, 3)
    whole = mapped(tmp_path / "a", array)
    for part in (np.s_[10:60, 20:90], np.s_[::2, ::-1], np.s_[5:]):
        np.testing.assert_array_equal(fuser.enhance(whole[part]), fuser.enhance(array[part].copy()))
    turned = np.memmap(tmp_path / "a", np.uint8, "r", shape=array.shape[::-1], order="F")
    np.testing.assert_array_equal(fuser.enhance(turned), fuser.enhance(np.array(turned)))


class Recording:
    """A sliceable array that is no numpy array, as datasets of h5py are, and remembers what was read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.largest = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        part = self.array[key]
        self.largest = max(self.largest, part.size)
        return part


def test_sliceable_arrays_are_never_read_whole(fuser: Fuser) -> None:
    a, b = values(np.uint16, 0, 4, 300, 400), values(np.uint8, 0, 5, 300, 400)
    first, second = Recording(a), Recording(b)
    out = np.zeros((300, 400), np.uint16)
    fuser.fuse(first, second, out=out, tile=64)
    assert max(first.largest, second.largest) <= (64 + 16 + 2 * 22) ** 2 < a.size / 4
    np.testing.assert_allclose(out.astype(int), fuser.fuse(a, b).astype(int), atol=1)


def test_large_arrays_take_the_same_way(fuser: Fuser, monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype, channels in ((np.uint8, 3), (np.uint16, 0), (np.float32, 4)):
        a, b = values(dtype, channels, 6), values(dtype, channels, 7)
        expected, enhanced = fuser.fuse(a, b), fuser.enhance(a, 0.4)
        monkeypatch.setattr(lazy, "LARGE", 1)
        level = 1e-6 if a.dtype.kind == "f" else 0  # sums may be taken in another order where memory lies otherwise
        np.testing.assert_allclose(fuser.fuse(a, b), expected, atol=level, rtol=0)
        np.testing.assert_allclose(fuser.enhance(a, 0.4), enhanced, atol=level, rtol=0)
        np.testing.assert_allclose(fuser.enhance(a, 0), a, atol=level, rtol=0)
        monkeypatch.undo()


def test_an_array_s_values_are_checked_before_anything_is_written(fuser: Fuser) -> None:
    a = values(np.float32, 0, 8, 200, 200)
    a[190, 190] = np.nan
    out = np.full(a.shape, -1, np.float32)
    with pytest.raises(InputError, match="a: holds NaN"):
        fuser.fuse(Recording(a), values(np.float32, 0, 9, 200, 200), out=out, tile=64)
    assert (out == -1).all()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((90, 130), np.uint16), r"out: \(90, 130\) uint16; the result is \(90, 130, 3\) uint8"),
        (np.zeros((90, 131, 3), np.uint8), r"out: \(90, 131, 3\)"),
        ([[1]], "out: list is no array; give one of shape"),
    ],
)
def test_an_out_that_does_not_fit(out: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Fuser(Passing(), "cpu").fuse(photo(90, 130, 3), photo(90, 130, 0), out=out)


def test_a_read_only_out_is_refused_and_copies_on_write_are_kept(fuser: Fuser, tmp_path: Path) -> None:
    array = values(np.uint8, 0, 3)
    read_only = mapped(tmp_path / "a", array)
    with pytest.raises(InputError, match="out: is read-only"):
        fuser.enhance(array, out=read_only)
    np.testing.assert_array_equal(read_only, array)
    private = np.memmap(tmp_path / "a", np.uint8, "c", shape=array.shape)
    private[...] = 255 - array  # in memory only
    np.testing.assert_array_equal(fuser.enhance(private), fuser.enhance(255 - array))
    np.testing.assert_array_equal(private, 255 - array)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "a", np.uint8).reshape(array.shape), array)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the resident pages of a mapping are asked of Linux")
def test_pages_of_memory_mapped_files_are_let_go(tmp_path: Path) -> None:
    shape = (2000, 3000)
    for name in ("in", "out"):
        np.memmap(tmp_path / name, np.uint8, "w+", shape=shape)[...] = 7
    image, out = (np.memmap(tmp_path / name, np.uint8, "r+", shape=shape) for name in ("in", "out"))
    Fuser(Passing(), "cpu").enhance(image, out=out)
    resident = 0
    for block in Path("/proc/self/smaps").read_text().split("VmFlags")[:-1]:
        if str(tmp_path) in block:
            resident += int(block.split("Rss:")[1].split()[0]) * 1024
    assert resident < image.nbytes / 2, "of two mappings"
    assert (out == 7).all()


def test_out_for_other_kinds() -> None:
    fuser, image = Fuser(Passing(), "cpu"), photo(30, 40, 3)
    out = np.zeros_like(image)
    assert fuser.enhance(Image.fromarray(image), out=out) is out
    np.testing.assert_array_equal(out, image)


@pytest.mark.parametrize("shape", [(0, 5), (5,), (5, 5, 2), (2, 5, 5, 3)])
def test_sliceable_arrays_of_no_image_s_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"a: (array of shape|empty array)"):
        Fuser(Passing(), "cpu").fuse(Recording(np.zeros(shape, np.uint8)), photo(5, 5, 0))
    with pytest.raises(InputError, match="a: dtype int64"):
        Fuser(Passing(), "cpu").fuse(Recording(np.zeros((5, 5), np.int64)), photo(5, 5, 0))
