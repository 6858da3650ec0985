"""Frames as they come: the order, the delay, what is steady from frame to frame, and what an error does."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Passing, photo
from video.made import moving

import gifnet
from gifnet.errors import AlignmentError, InputError
from gifnet.execution.running import Execution
from gifnet.fuser import Fuser
from gifnet.networks.gifnet import GIFNet
from gifnet.networks.gifnet.moments import MomentsOverTime
from gifnet.networks.gifnet.statistics import Moments
from gifnet.prepare.preparation import Preparation
from gifnet.video.frames import fused_frames, overlapped
from gifnet.video.pairing import with_nearest
from gifnet.video.reading import Moment
from gifnet.video.rig import Rig


@pytest.fixture
def passing() -> Fuser:
    """In place of any model: the mean of both."""
    return Fuser(Passing())


def fused(network: GIFNet, a: list[Any], b: list[Any], **options: Any) -> list[np.ndarray]:
    """By a network of random weights, as ``fuse_frames`` does."""
    rig = Rig(Preparation.checked(**options))
    return list(fused_frames(Fuser(network), rig, zip(a, b, strict=True), Execution(progress=False)))


def test_each_pair_is_fused_in_order(passing: Fuser) -> None:
    a, b = moving(7, 0), moving(9, 3, seed=1)
    results = list(gifnet.fuse_frames(iter(a), b, model=passing))
    assert len(results) == 7
    for result, x, y in zip(results, a, b, strict=False):
        assert np.array_equal(result, passing.fuse(x, y))
    assert list(gifnet.fuse_frames([], b, model=passing)) == []


def test_a_result_is_there_once_the_next_pair_has_been_read(passing: Fuser) -> None:
    """Cameras that give a frame only when told: the first result needs no third pair."""
    told = threading.Semaphore(0)

    def camera(images: list[np.ndarray]) -> Iterator[np.ndarray]:
        for image in images:
            told.acquire()
            yield image

    results = gifnet.fuse_frames(camera(moving(3, 0)), moving(3, 0, seed=1), model=passing)
    for _ in range(2):
        told.release()
    assert next(results).shape == (256, 320)
    told.release()
    assert len(list(results)) == 2


def test_reading_fusing_and_using_overlap() -> None:
    """Each of three waits for the other two to be at work on another item: one after the other, they never would be."""
    together = threading.Barrier(3, timeout=20)

    def items() -> Iterator[int]:
        yield 0
        yield 1
        together.wait()
        yield 2

    def work(item: int) -> int:
        if item == 1:
            together.wait()
        return item

    results = overlapped(items(), work)
    assert next(results) == 0
    together.wait()
    assert list(results) == [1, 2]


def test_an_error_of_a_frame_ends_it_by_name(passing: Fuser) -> None:
    a = [*moving(3, 0), np.zeros((9, 9), np.uint8)]
    results = gifnet.fuse_frames(a, moving(4, 0), model=passing)
    for _ in range(3):
        next(results)
    with pytest.raises(InputError, match="a is 9×9 pixels but b is 320×256"):
        next(results)
    with pytest.raises(InputError, match=r"^stretch"):
        gifnet.fuse_frames(a, a, stretch=(99, 1), model=passing)
    with pytest.raises(TypeError, match="tyle"):
        gifnet.fuse_frames(a, a, tyle=3, model=passing)  # type: ignore[call-arg]


# --- steady ---------------------------------------------------------------------------------------------


def noisy(scene: np.ndarray, count: int, seed: int, deviation: float = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(scene + rng.normal(0, deviation, scene.shape)).round().clip(0, 255).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("stretch", [False, True])
def test_a_static_scene_with_noise_does_not_flicker(small_network: GIFNet, stretch: bool) -> None:
    a, b = (noisy(40 + photo(120, 160, 0, seed) * 0.6, 8, seed) for seed in (0, 1))
    means = [float(frame.mean()) for frame in fused(small_network, a, b, stretch=stretch)]
    assert np.abs(np.diff(means)).max() < 0.5  # levels of 255
    assert np.ptp(means) < 1.5


def test_stretched_limits_follow_slowly(passing: Fuser) -> None:
    """A hot spot appears: black and white move by a few percent of the way, not at once."""
    cold = np.tile(np.arange(1000, 2000, dtype=np.uint16), (40, 1))
    hot = cold.copy()
    hot[:8] += 10_000
    results = list(gifnet.fuse_frames([cold, hot, hot], [cold, hot, hot], stretch=(0, 100), model=passing))
    assert (results[0].min(), results[0].max()) == (0, 65535)
    assert results[1][20:].mean() > 0.6 * results[0][20:].mean()
    assert np.array_equal(results[1][:8], np.full_like(results[1][:8], 65535))
    alone = passing.fuse(hot, hot, stretch=(0, 100))
    assert alone[20:].mean() < 0.12 * results[0][20:].mean()


def test_numbers_without_a_scale_are_stretched(passing: Fuser) -> None:
    kelvin = np.linspace(280, 320, 64 * 48, dtype=np.float32).reshape(48, 64)
    kelvin[0, 0] = np.nan
    (result,) = gifnet.fuse_frames([kelvin], [kelvin], stretch=(0, 100), model=passing)
    assert result[0, 0] == 0
    assert (float(result.min()), float(result.max())) == (0, 1)
    with pytest.raises(InputError, match="give stretch=True"):
        list(gifnet.fuse_frames([kelvin], [kelvin], model=passing))


def test_statistics_follow_and_begin_anew_with_a_new_scene() -> None:
    torch.manual_seed(0)
    scene, other = torch.randn(2000), 5 + 3 * torch.randn(2000)
    memory = MomentsOverTime()
    first = memory.smoothed("x", Moments.of(scene))
    assert first == Moments.of(scene)
    second = memory.smoothed("x", Moments.of(scene + 0.1))
    assert float(second.mean - first.mean) == pytest.approx(0.01, rel=1e-4)
    assert float(second.statistics().deviation) == pytest.approx(float(first.statistics().deviation), rel=1e-6)
    assert memory.smoothed("x", Moments.of(other)) == Moments.of(other)
    assert memory.smoothed("y", Moments.of(scene)) == Moments.of(scene)


def test_what_moves_leaves_no_trails(small_network: GIFNet) -> None:
    """A bright square crosses a still scene; where it has been, the scene is as in a video without it."""
    a = photo(128, 160, 0) // 2
    b = photo(128, 160, 0, seed=1) // 2
    crossing = []
    for i in range(8):
        frame = a.copy()
        frame[48:72, 16 * i : 16 * i + 24] = 250
        crossing.append(frame)
    with_square = fused(small_network, crossing, [b] * 8)
    still = fused(small_network, [crossing[0]] * 8, [b] * 8)
    behind = np.s_[40:80, 60:90]  # where it was in frames 3 to 5, and is not in frame 7
    assert np.abs(with_square[4][behind].astype(int) - still[4][behind]).max() > 40
    assert np.abs(with_square[7][behind].astype(int) - still[7][behind]).max() <= 3


def test_a_single_frame_is_as_fuse_gives_it(small_network: GIFNet) -> None:
    a, b = photo(64, 72, 0), photo(64, 72, 3, seed=1)
    (result,) = fused(small_network, [a], [b])
    assert np.array_equal(result, Fuser(small_network).fuse(a, b))


# --- aligned ------------------------------------------------------------------------------------------


def test_alignment_is_found_from_the_first_frames_that_can_be(passing: Fuser, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scene = (photo(150, 180, 0) // 2 + rng.integers(0, 60, (150, 180))).astype(np.uint8)
    a, b = scene[:-6, :-8], scene[6:, 8:]
    blank = np.full_like(a, 90)
    results = list(
        gifnet.fuse_frames([blank, a, a, a, a, a], [blank, b, b, b, b, b], align="translation", model=passing)
    )
    assert len(results) == 6
    assert len({result.shape for result in results}) == 1
    height, width = results[0].shape
    assert height >= 136
    assert np.median(np.abs(results[5].astype(int) - scene[6 : 6 + height, 8 : 8 + width])) <= 2
    with pytest.raises(AlignmentError, match="2 of 5 frames can be aligned"):
        list(
            gifnet.fuse_frames(
                [blank, blank, blank, a, a], [blank, blank, blank, b, b], align="translation", model=passing
            )
        )


# --- pairing ------------------------------------------------------------------------------------------


def test_the_nearest_in_time() -> None:
    def at(*times: float) -> Iterator[Moment]:
        return iter([Moment(time, None) for time in times])

    pairs = with_nearest(at(0, 0.1, 0.2, 0.3), at(-1, 0.04, 0.19, 0.26))
    assert [(one.time, other and other.time) for one, other in pairs] == [
        (0, 0.04), (0.1, 0.04), (0.2, 0.19), (0.3, 0.26),
    ]  # fmt: skip
    assert [(one.time, other) for one, other in with_nearest(at(1, 2), at())] == [(1, None), (2, None)]
    assert list(with_nearest(at(), at(1))) == []


def test_limits_by_value_and_a_known_transform() -> None:
    a = [np.full((20, 24), value, np.float32) for value in (7500, 8500)]
    b = [np.zeros((20, 24), np.uint8)] * 2
    shift = np.eye(3)
    shift[0, 2] = 4
    fused = list(gifnet.fuse_frames(a, b, stretch=(7000, 9000, "a"), align=shift, model=Fuser(Passing(), "cpu")))
    assert [frame.shape for frame in fused] == [(20, 20), (20, 20)]
    for frame, level in zip(fused, (0.25, 0.75), strict=True):  # of the range, each halved by the other's black
        np.testing.assert_allclose(frame, level / 2, atol=1e-3)
