"""Tiles, memory, progress, and images that are read and written by regions."""

import logging
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, Mean, Passing, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.execution import memory
from gifnet.execution.memory import free_memory, parse_bytes
from gifnet.execution.plan import Plan
from gifnet.images import lazy
from gifnet.networks.gifnet import GIFNet
from gifnet.networks.gifnet.plan import make_plan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, "cpu", "float32")


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(0).random((2, 150, 201), dtype=np.float32)
    return a, b


# --- memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [("2GB", 2e9), ("2 gb", 2e9), ("1.5GiB", 1.5 * 2**30), ("500M", 5e8), ("64 KiB", 65536), ("100", 100), (7, 7)],
)
def test_amounts_of_memory(text: str | int, count: float) -> None:
    assert parse_bytes(text) == int(count)


@pytest.mark.parametrize("wrong", ["2 apples", "", "GB", "-1GB", 0, -5, True, float("nan"), [2], "1e3"])
def test_what_is_no_amount_of_memory(wrong: Any, fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"memory: .*'2GB'"):
        fuser.fuse(*pair, memory=wrong)


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_memory(CPU) > 0
    (tmp_path / "max").write_text("3000000000\n")
    (tmp_path / "current").write_text("1000000000\n")
    (tmp_path / "unlimited").write_text("max\n")
    monkeypatch.setattr(memory, "_system_memory", lambda: 10**13)
    monkeypatch.setattr(memory, "CGROUPS", ((tmp_path / "max", tmp_path / "current"),))
    assert free_memory(CPU) == 2 * 10**9
    monkeypatch.setattr(memory, "CGROUPS", ((tmp_path / "unlimited", tmp_path / "current"),))
    assert free_memory(CPU) == 10**13


def test_the_plan_follows_the_memory_and_is_logged(
    fuser: Fuser, pair: tuple[np.ndarray, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "gifnet"):
        whole = fuser.fuse(*pair, tile=None)
        results = [
            fuser.fuse(*pair, **options) for options in ({"memory": "190MB"}, {"memory": 163 << 20}, {"tile": 70})
        ]
    plans = [record.message for record in caplog.records if "pixels on cpu" in record.message]
    assert "201×150" in plans[0]
    assert "one piece, keeping shared, embedded, mixed" in plans[0]
    assert "tiles of 512 pixels, keeping shared" in plans[1]
    assert "keeping nothing" in plans[2]
    assert "tiles of 64 pixels" in plans[3]
    for result in results:
        np.testing.assert_allclose(result, whole, atol=1e-5, rtol=0)  # sums of statistics in another order


def test_too_little_memory_says_what_would_do(fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"memory: 201×150 pixels take \d+ MB .*only 100 MB may be used; give more"):
        fuser.fuse(*pair, memory="100.5MB")
    with pytest.raises(InputError, match="or smaller tiles"):
        fuser.fuse(*pair, memory="100.5MB", tile=128)


@pytest.mark.parametrize("wrong", [63, 0, -64, 64.0, True, "whole", (64, 64)])
def test_what_is_no_tile(wrong: Any, fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]) -> None:
    for run in (lambda: fuser.fuse(*pair, tile=wrong), lambda: fuser.enhance(pair[0], tile=wrong)):
        with pytest.raises(InputError, match=r"tile: .*64 or more"):
            run()


class OutOfMemory(Mean):
    """Runs out of a GPU's memory a number of times."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures, self.plans = failures, []

    def make_plan(self, height: int, width: int, budget: int, tile: Any) -> Plan:
        return make_plan(height, width, 98, 2, budget, tile)

    def run(self, source: Any, sink: Any, height: int, width: int, plan: Any, progress: Any) -> None:
        self.plans.append(plan)
        if len(self.plans) <= self.failures:
            sink_part = source(lazy.Region(0, 1, 0, 1)).mean(dim=1, keepdim=True)
            sink(lazy.Region(0, 1, 0, 1), sink_part + 0.25)  # what a failed attempt has written must not remain
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        super().run(source, sink, height, width, plan, progress)


def failing(times: int) -> tuple[Fuser, OutOfMemory]:
    form = OutOfMemory(times)

    class Network:
        def inference_form(self, dtype: torch.dtype) -> OutOfMemory:
            return form

    return Fuser(Network(), "cpu"), form


@pytest.mark.parametrize("options", [{}, {"tile": None}, {"memory": "8GB"}])
def test_a_gpu_out_of_memory_is_tried_again_with_less(options: dict[str, Any]) -> None:
    a, b = np.random.default_rng(1).random((2, 2000, 2400), dtype=np.float32)
    fuser, form = failing(3)
    np.testing.assert_allclose(fuser.fuse(a, b, **options), (a + b) / 2, atol=1e-6)
    takes = [plan.bytes for plan in form.plans]
    assert len(takes) == 4
    assert all(less <= more / 2 for more, less in pairwise(takes))
    fuser, form = failing(99)
    with pytest.raises(InputError, match=r"2400×2000 pixels: out of memory on cpu, even with tiles of \d+ pixels.*cpu"):
        fuser.fuse(a, b, **options)
    assert len(form.plans) == 4


# --- progress ---------------------------------------------------------------------------------------


def test_progress_is_told_to_a_function(fuser: Fuser) -> None:
    steps: list[tuple[int, int]] = []
    batch = torch.rand(2, 1, 70, 140)
    fuser.fuse(batch, batch, tile=64, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(done, 12) for done in range(1, 13)]  # two images, three passes, two tiles

    def stop(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fuser.fuse(batch, batch, progress=stop)
    with pytest.raises(InputError, match="progress: 'yes'"):
        fuser.fuse(batch, batch, progress="yes")


def test_a_bar_is_shown_where_it_is_asked_for(fuser: Fuser, capfd: pytest.CaptureFixture[str]) -> None:
    image = torch.rand(1, 20, 20)
    fuser.enhance(image, progress=False)
    fuser.enhance(image)  # no terminal
    assert capfd.readouterr().err == ""
    fuser.enhance(image, progress=True)
    assert "3/3" in capfd.readouterr().err


# --- regions ----------------------------------------------------------------------------------------


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
    a, b = values(dtype, first, 1), values(np.uint8, second, 2)
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


# --- the command line -------------------------------------------------------------------------------


def gifnet_process(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gifnet", *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def test_tile_and_memory_on_the_command_line(tmp_path: Path) -> None:
    names = []
    for name in "ab":
        with Image.open(EXAMPLES / f"exposure_{name}.jpg") as image:
            image.crop((0, 0, 150, 100)).save(tmp_path / f"{name}.png")
        names.append(str(tmp_path / f"{name}.png"))
    options: list[tuple[str, ...]] = [("--tile", "64", "--memory", "400MB"), ("--tile", "none")]
    for index, extra in enumerate(options):
        done = gifnet_process("fuse", *names, "-o", str(tmp_path / f"{index}.png"), *extra)
        assert (done.returncode, done.stderr) == (0, "")
    one, other = (np.asarray(Image.open(tmp_path / f"{index}.png")).astype(int) for index in range(2))
    np.testing.assert_allclose(one, other, atol=1)
    check: Callable[..., Any] = gifnet_process
    for extra, message in ((("--tile", "10"), "64 or more"), (("--memory", "lots"), "2GB")):
        done = check("enhance", names[0], "-o", str(tmp_path / "x.png"), *extra)
        assert done.returncode == 2
        assert message in done.stderr
    done = gifnet_process("enhance", names[0], "-o", str(tmp_path / "x.png"), "--memory", "50MB")
    assert done.returncode == 1
    assert "may be used; give more memory" in done.stderr
    assert not (tmp_path / "x.png").exists()


def test_options_reach_the_functions_of_the_package(pair: tuple[np.ndarray, np.ndarray]) -> None:
    steps: list[int] = []
    a, b = pair[0][:60, :60], pair[1][:60, :60]
    out = np.empty_like(a)
    options: dict[str, Any] = {"tile": 64, "memory": "1GB", "progress": lambda done, _: steps.append(done), "out": out}
    assert gifnet.fuse(a, b, **options) is out
    assert gifnet.enhance(a, **options) is out
    assert len(steps) == 6
