"""Tiles, memory and progress."""

import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import run
from conftest import EXAMPLES, Mean, StandIn
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.execution.memory import show_bytes
from gifnet.execution.plan import Plan
from gifnet.images import lazy
from gifnet.networks.gifnet import GIFNet
from gifnet.networks.gifnet.plan import make_plan
from gifnet.options.values import parse_bytes


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


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1 bytes"), (999, "999 bytes"), (1000, "1 KB"), (999_499, "999 KB"), (999_500, "1 MB"), (1_500_000, "2 MB"),
        (999_499_999, "999 MB"), (999_500_000, "1.0 GB"), (1_540_000_000, "1.5 GB"),
    ],
)  # fmt: skip
def test_amounts_are_shown_in_their_own_unit(count: int, text: str) -> None:
    assert show_bytes(count) == text


@pytest.mark.parametrize("wrong", ["2 apples", "", "GB", "-1GB", 0, -5, True, float("nan"), [2], "1e3"])
def test_what_is_no_amount_of_memory(wrong: Any, fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"memory: .*'2GB'"):
        fuser.fuse(*pair, memory=wrong)


def test_the_plan_follows_the_memory_and_is_logged(
    fuser: Fuser, pair: tuple[np.ndarray, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "gifnet"):
        whole = fuser.fuse(*pair, tile=None)
        results = [
            fuser.fuse(*pair, **options) for options in ({"memory": "224MB"}, {"memory": 195 << 20}, {"tile": 70})
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
    for work in (lambda: fuser.fuse(*pair, tile=wrong), lambda: fuser.enhance(pair[0], tile=wrong)):
        with pytest.raises(InputError, match=r"tile: .*64 or more"):
            work()


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

    class Network(StandIn):
        def form(self) -> OutOfMemory:
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
    with pytest.raises(InputError, match=r"2400×2000 pixels: out of memory on cpu, even with tiles of \d+.*free some"):
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


# --- the command line -------------------------------------------------------------------------------


def test_tile_and_memory_on_the_command_line(tmp_path: Path) -> None:
    names = []
    for name in "ab":
        with Image.open(EXAMPLES / f"exposure_{name}.jpg") as image:
            image.crop((0, 0, 150, 100)).save(tmp_path / f"{name}.png")
        names.append(str(tmp_path / f"{name}.png"))
    options: list[tuple[str, ...]] = [("--tile", "64", "--memory", "400MB"), ("--tile", "none")]
    for index, extra in enumerate(options):
        done = run("fuse", *names, "-o", str(tmp_path / f"{index}.png"), *extra)
        assert (done.returncode, done.stderr) == (0, "")
    one, other = (np.asarray(Image.open(tmp_path / f"{index}.png")).astype(int) for index in range(2))
    np.testing.assert_allclose(one, other, atol=1)
    for extra, message in ((("--tile", "10"), "64 or more"), (("--memory", "lots"), "2GB")):
        done = run("enhance", names[0], "-o", str(tmp_path / "x.png"), *extra)
        assert done.returncode == 2
        assert message in done.stderr
    done = run("enhance", names[0], "-o", str(tmp_path / "x.png"), "--memory", "50MB")
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


def test_too_little_memory_is_named_as_it_is(fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match=r"memory: the images themselves take 362 KB, but only 1 KB may be used; give"):
        fuser.fuse(*pair, memory="1KB")
    with pytest.raises(InputError, match=r"only 638 KB may be used; give more memory"):
        fuser.fuse(*pair, memory="1MB")
