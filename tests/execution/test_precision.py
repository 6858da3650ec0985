"""The quickest precision is chosen by what a block was timed to take."""

import re

import commands
import pytest
import torch

import gifnet
from gifnet.execution import precision
from gifnet.execution.device import choose_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("share", "dtype"), [(0.4, torch.bfloat16), (0.8, torch.bfloat16), (0.9, torch.float32), (2.0, torch.float32)]
)
def test_bfloat16_where_it_is_worth_it(monkeypatch: pytest.MonkeyPatch, share: float, dtype: torch.dtype) -> None:
    monkeypatch.setattr(precision, "bfloat16_share", lambda: share)
    assert choose_dtype("fastest", CPU) is dtype
    assert gifnet.load(device="cpu", dtype="fastest").dtype is dtype
    assert choose_dtype("auto", CPU) is torch.float32


def test_on_gpus_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bfloat16_share", lambda: 1 / 0)
    assert choose_dtype("fastest", torch.device("cuda")) is torch.float16
    assert choose_dtype("fastest", torch.device("mps")) is torch.float32


def test_the_share_is_that_of_the_quickest_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that stands still but for the blocks: bfloat16's take 3, float32's 2, and some far longer."""
    clock, runs = [0.0], []

    def block(dtype: torch.dtype) -> object:
        def run() -> None:
            runs.append(dtype)
            clock[0] += (3 if dtype is torch.bfloat16 else 2) + (50 if len(runs) in (1, 2, 5, 8) else 0)

        return run

    monkeypatch.setattr(precision, "_block", block)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: clock[0])
    assert precision.bfloat16_share.__wrapped__() == 1.5
    assert len(runs) == 2 * (1 + precision.REPEATS)


def test_the_block_computes_the_same_in_both() -> None:
    whole, half = (precision._block(dtype)() for dtype in (torch.float32, torch.bfloat16))
    assert (whole - half.float()).abs().mean() < 0.02 * whole.abs().mean() + 0.01


def test_info_says_it() -> None:
    done = commands.run("info")
    assert re.search(
        r"^bfloat16 +\d+\.\d\d of float32's time here.*--dtype fastest is (bfloat16|float32)$", done.stdout, re.M
    )
