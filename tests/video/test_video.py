"""Videos that the tests make, fused and decoded again, against the fusion of their frames."""

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import av
import commands
import numpy as np
import pytest
import torch
from conftest import Passing
from video.made import HEIGHT, WIDTH, moving, read, write

import gifnet
from gifnet.checkpoints.format import save_weights
from gifnet.errors import AlignmentError, InputError
from gifnet.fuser import Fuser
from gifnet.networks.fast import FastConfig, FastNetwork
from gifnet.video import fusing

FAST = FastConfig(half=4, quarter=4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small network whose result has no statistics of the whole image: each frame stands for itself."""
    torch.manual_seed(0)
    network = FastNetwork(FAST)
    with torch.no_grad():
        network.choose.weight.normal_(std=0.3)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(network, path, {})
    return path


def fused_one_by_one(weights: Path, a: list[Any], b: list[Any]) -> list[np.ndarray]:
    fuser = gifnet.load(weights)
    return [np.asarray(fuser.fuse(x, y)) for x, y in zip(a, b, strict=True)]


def only(tmp_path: Path, *names: str) -> None:
    """The folder holds these files and no other."""
    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_grey_and_colour_come_out_as_their_frames_are_fused(weights: Path, tmp_path: Path) -> None:
    infrared, visible = moving(12, 0), moving(12, 3, seed=1)
    a, b = write(tmp_path / "a.mkv", infrared), write(tmp_path / "b.mkv", visible)
    result = gifnet.fuse_video(a, b, tmp_path / "out.mkv", codec="ffv1", model=weights)
    assert result == fusing.VideoResult(tmp_path / "out.mkv", 12, 0, 0)
    times, frames = read(result.path)
    assert times == pytest.approx([i / 25 for i in range(12)], abs=1e-3)
    for frame, expected in zip(frames, fused_one_by_one(weights, infrared, visible), strict=True):
        assert np.array_equal(frame, expected)
    only(tmp_path, "a.mkv", "b.mkv", "out.mkv")


def test_sixteen_bits_stay_sixteen(weights: Path, tmp_path: Path) -> None:
    infrared, visible = moving(4, 0, dtype=np.uint16), moving(4, 0, seed=1)
    infrared = [np.asarray(frame + 37, np.uint16).clip(None, 65535) for frame in infrared]
    a, b = write(tmp_path / "a.mkv", infrared), write(tmp_path / "b.mkv", visible)
    out = gifnet.fuse_video(a, b, tmp_path / "out.mkv", model=weights).path
    deep = [frame.astype(np.uint16) * 257 for frame in visible]
    for frame, expected in zip(read(out)[1], fused_one_by_one(weights, infrared, deep), strict=True):
        assert frame.dtype == np.uint16
        assert np.array_equal(frame, expected)
    ten = gifnet.fuse_video(a, b, tmp_path / "ten.mp4", model=weights).path
    with av.open(str(ten)) as container:
        assert container.streams.video[0].format.name == "yuv420p10le"
    for frame, expected in zip(read(ten)[1], fused_one_by_one(weights, infrared, deep), strict=True):
        assert np.abs(frame.mean(axis=2) - expected).mean() < 0.01 * 65535  # H.265 at its default quality


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".webm"])
def test_every_suffix_by_its_default_codec(tmp_path: Path, suffix: str) -> None:
    fuser = Fuser(Passing())
    infrared, visible = moving(10, 0), moving(10, 3, seed=1)
    a, b = write(tmp_path / "a.mkv", infrared), write(tmp_path / "b.mkv", visible)
    out = gifnet.fuse_video(a, b, tmp_path / f"out{suffix}", model=fuser).path
    times, frames = read(out)
    assert len(frames) == 10
    assert times == pytest.approx([i / 25 for i in range(10)], abs=2e-3)
    for frame, x, y in zip(frames, infrared, visible, strict=True):
        # Lossy, with chroma at half the resolution: 1.2 measured; a wrong matrix or range is off by more.
        assert np.abs(frame.astype(int) - fuser.fuse(x, y)).mean() < 1.6


def test_differing_rates_and_offsets_are_paired_by_time(tmp_path: Path) -> None:
    """Frames are flat, and their brightness tells which they are; the mean of both tells what was paired."""
    slow = [np.full((HEIGHT, WIDTH), 4 * i, np.uint8) for i in range(9)]  # 9 frames a second
    fast = [np.full((HEIGHT, WIDTH), 2 * i, np.uint8) for i in range(30)]
    a, b = write(tmp_path / "a.mkv", slow, 9), write(tmp_path / "b.mkv", fast, 30, start=1.4)
    for offset in (0.01, 0.307, -0.207):  # no frame halfway between two
        result = gifnet.fuse_video(a, b, tmp_path / "out.mkv", codec="ffv1", offset=offset, model=Fuser(Passing()))
        times, frames = read(result.path)
        expected = []
        for i in range(30):
            at = i / 30 + offset
            nearest = min(range(9), key=lambda k: abs(k / 9 - at))
            if abs(nearest / 9 - at) <= 0.5 / 9 + 2e-3:
                expected.append((at, (4 * nearest + 2 * i) / 2))
        assert result.frames == len(expected) == 30 - result.unpaired
        assert [float(frame.mean()) for frame in frames] == pytest.approx([mean for _, mean in expected], abs=0.5)
        assert times == pytest.approx([at - expected[0][0] for at, _ in expected], abs=2e-3)


def test_videos_that_do_not_overlap(weights: Path, tmp_path: Path) -> None:
    a, b = (write(tmp_path / name, moving(5, 0)) for name in ("a.mkv", "b.mkv"))
    with pytest.raises(InputError, match=r"a\.mkv from 0\.00 s to 0\.20 s and .*b\.mkv from 9\.00 s .*--offset"):
        gifnet.fuse_video(a, b, tmp_path / "out.mp4", offset=9, model=weights)
    only(tmp_path, "a.mkv", "b.mkv")


def test_the_sound_of_the_visible_is_copied(weights: Path, tmp_path: Path) -> None:
    a = write(tmp_path / "a.mkv", moving(25, 0))
    b = write(tmp_path / "b.mp4", moving(50, 0, speed=1), codec="libx264", tone=True)

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]

    out = gifnet.fuse_video(a, b, tmp_path / "out.mp4", model=weights).path
    copied, original = packets(out), packets(b)
    assert len(copied) == pytest.approx(len(original) / 2, abs=3)
    assert copied == original[: len(copied)]
    later = gifnet.fuse_video(a, b, tmp_path / "later.mp4", offset=-0.5, model=weights).path
    copied = packets(later)
    first = original.index(copied[0])
    assert first / (8000 / 1024) == pytest.approx(0.5, abs=0.2)
    assert copied == original[first : first + len(copied)]
    gifnet.fuse_video(a, b, tmp_path / "mute.mp4", mute=True, model=weights)
    with av.open(str(tmp_path / "mute.mp4")) as container:
        assert not container.streams.audio
    with pytest.raises(InputError, match=r"out\.webm: can't hold .* with aac sound: .*mute=True"):
        gifnet.fuse_video(a, b, tmp_path / "out.webm", model=weights)
    assert not (tmp_path / "out.webm").exists()


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_applied(weights: Path, tmp_path: Path, rotation: int) -> None:
    upright = moving(2, 3, seed=1)
    # What a player turns by ``rotation`` counterclockwise lies turned back in the file.
    lying = [np.ascontiguousarray(np.rot90(frame, -rotation // 90)) for frame in upright]
    turned = write(tmp_path / "b.mov", lying, codec="libx264", rotation=rotation)
    for frame, expected in zip(read(turned)[1], upright, strict=True):
        assert frame.shape == expected.shape
        assert np.abs(frame.astype(int) - expected).mean() < 4
    a = write(tmp_path / "a.mkv", moving(2, 0))
    out = gifnet.fuse_video(a, turned, tmp_path / "out.mp4", model=weights).path
    assert read(out)[1][0].shape == (HEIGHT, WIDTH, 3)


def test_a_damaged_frame_is_skipped_and_counted(weights: Path, tmp_path: Path) -> None:
    a = write(tmp_path / "a.mkv", moving(20, 0), codec="libx264", options={"g": "1"})
    b = write(tmp_path / "b.mkv", moving(20, 0, seed=1))
    with av.open(str(a)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        content = bytearray(a.read_bytes())
        for number in (7, 8):
            start = content.index(bytes(packets[number]))
            content[start + 5 : start + 600] = bytes(595)
    a.write_bytes(content)
    result = gifnet.fuse_video(a, b, tmp_path / "out.mkv", codec="ffv1", model=weights)
    assert (result.damaged, result.frames, result.unpaired) == (2, 18, 0)
    assert read(result.path)[0] == pytest.approx([i / 25 for i in range(20) if i not in (7, 8)], abs=1e-3)


def test_sides_of_odd_numbers(weights: Path, tmp_path: Path) -> None:
    odd = [frame[:-1, :-1] for frame in moving(3, 0)]
    a, b = (write(tmp_path / name, map(np.ascontiguousarray, odd)) for name in ("a.mkv", "b.mkv"))
    for name in ("out.mp4", "out.webm", "out.mkv"):
        assert read(gifnet.fuse_video(a, b, tmp_path / name, model=weights).path)[1][0].shape[:2] == (255, 319)


def test_what_is_no_video(weights: Path, tmp_path: Path) -> None:
    a = write(tmp_path / "a.mkv", moving(3, 0))
    (tmp_path / "text.mp4").write_text("no video")
    small = write(tmp_path / "small.mkv", [frame[:128] for frame in moving(3, 0)])
    fuse = gifnet.fuse_video
    for make, message in (
        (lambda: fuse(tmp_path / "none.mp4", a, tmp_path / "out.mp4"), r"none\.mp4: no such file"),
        (lambda: fuse(a, tmp_path / "text.mp4", tmp_path / "out.mp4"), r"text\.mp4: no video that can be read"),
        (lambda: fuse(a, tmp_path, tmp_path / "out.mp4"), "is a folder"),
        (lambda: fuse(a, a, tmp_path / "out.png"), r"out\.png: videos are written as \.mp4"),
        (lambda: fuse(a, a, tmp_path / "no" / "out.mp4"), "does not exist"),
        (lambda: fuse(a, a, tmp_path / "out.mp4", codec="h999"), "codec: 'h999' is no encoder"),
        (lambda: fuse(a, a, tmp_path / "out.mp4", codec="aac"), "codec: 'aac' encodes audio"),
        (lambda: fuse(a, small, tmp_path / "out.mp4", model=weights), "is 320×256 .* is 320×128.*resize"),
    ):
        with pytest.raises(InputError, match=message):
            make()
    only(tmp_path, "a.mkv", "text.mp4", "small.mkv")


def test_an_error_on_the_way_leaves_what_was_there(weights: Path, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.mkv", moving(20, 0)), write(tmp_path / "b.mkv", moving(20, 0, seed=1))
    (tmp_path / "out.mp4").write_bytes(b"before")
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 5:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        gifnet.fuse_video(a, b, tmp_path / "out.mp4", progress=stop, model=weights)
    assert seen == [(i, 20) for i in range(1, 6)]
    only(tmp_path, "a.mkv", "b.mkv", "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"before"


def test_a_result_may_replace_its_input(weights: Path, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.mkv", moving(3, 0)), write(tmp_path / "b.mkv", moving(3, 0, seed=1))
    before = read(b)[1][0]
    gifnet.fuse_video(a, b, b, model=weights)
    assert not np.array_equal(read(b)[1][0], before)


def test_a_rig_is_aligned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moved by 6 and 4 pixels: the crop is what both show, of even sides, and the frames match."""
    scene = moving(30, 0, speed=2, seed=3)
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 60, (HEIGHT, WIDTH + 60), dtype=np.uint8)
    views = [(frame // 2 + texture[:, 2 * i : 2 * i + WIDTH]).astype(np.uint8) for i, frame in enumerate(scene)]
    a = write(tmp_path / "a.mkv", [np.ascontiguousarray(view[:-4, :-6]) for view in views])
    b = write(tmp_path / "b.mkv", [np.ascontiguousarray(view[4:, 6:]) for view in views])
    fuser = Fuser(Passing())
    times = []
    found = fusing.Rig.find
    monkeypatch.setattr(fusing.Rig, "find", lambda rig, samples: times.append(len(samples)) or found(rig, samples))
    out = gifnet.fuse_video(a, b, tmp_path / "out.mkv", codec="ffv1", align="translation", model=fuser).path
    assert times == [2]  # of 30 frames, 25 apart
    for frame, view in zip(read(out)[1], views, strict=True):
        height, width = frame.shape
        assert (height % 2, width % 2) == (0, 0)
        assert height >= HEIGHT - 8 - 3
        assert width >= WIDTH - 12 - 3
        difference = np.abs(frame.astype(int) - view[4 : 4 + height, 6 : 6 + width])
        assert np.median(difference) <= 2
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 256, (HEIGHT - 4, WIDTH - 6), dtype=np.uint8) for _ in range(3)]
    with pytest.raises(AlignmentError, match="0 of 1 frames can be aligned"):
        gifnet.fuse_video(
            a, write(tmp_path / "noise.mkv", noise), tmp_path / "no.mkv", align="translation", model=fuser
        )
    assert not (tmp_path / "no.mkv").exists()


# --- the command line ---------------------------------------------------------------------------------


def test_the_command(weights: Path, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.mkv", moving(6, 0)), write(tmp_path / "b.mkv", moving(6, 3, seed=1))
    done = commands.run("video", a, b, "-o", tmp_path / "out.mp4", "--model", weights)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"gifnet: {tmp_path / 'out.mp4'}: 6 frames\n"
    assert len(read(tmp_path / "out.mp4")[1]) == 6
    failed = commands.run("video", a, b, "-o", tmp_path / "no.mp4", "--model", weights, "--offset", "9")
    assert failed.returncode == 1
    assert re.fullmatch(r"gifnet: .*no frame of one was shown.*\n", failed.stderr)
    assert commands.run("video", a, "-o", tmp_path / "no.mp4").returncode == 2
    only(tmp_path, "a.mkv", "b.mkv", "out.mp4")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.mkv", moving(40, 0)), write(tmp_path / "b.mkv", moving(40, 3, seed=1))
    process = commands.Command("video", a, b, "-o", tmp_path / "out.mp4")
    deadline = time.monotonic() + 120
    while len(os.listdir(tmp_path)) == 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    done = process.result(120)
    assert (done.returncode, done.stderr) == (130, "gifnet: interrupted\n")
    only(tmp_path, "a.mkv", "b.mkv")


MEMORY = """
import sys
from pathlib import Path

import gifnet
from gifnet.fuser import Fuser
from gifnet.networks import registered

network = registered()["gifnet-fast"]
a, b, out = sys.argv[1:]
gifnet.fuse_video(a, b, out, model=Fuser(network.network(network.config()), "cpu"), progress=False)
# Not ru_maxrss, which a process inherits from who started it.
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is told in kilobytes by Linux")
def test_a_longer_video_takes_no_more_memory(tmp_path: Path) -> None:
    """160 frames more, of 0.3 MB each, would be 50 MB if they were kept."""
    peaks = []
    for count in (40, 200):
        a, b = (
            write(tmp_path / f"{name}{count}.mkv", moving(count, channels, speed=1))
            for name, channels in (("a", 0), ("b", 3))
        )
        peaks.append(int(commands.run_new(MEMORY, a, b, tmp_path / f"out{count}.mkv")))
    assert peaks[1] <= peaks[0] + 20_000
