"""A run's folder: one process at a time, interruptions, damage, a full disk."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, photo
from PIL import Image
from safetensors.torch import load_file

from gifnet.checkpoints.format import save_weights
from gifnet.cli import main
from gifnet.errors import CheckpointError, InputError
from gifnet.files.lock import locked
from gifnet.networks.gifnet import GIFNet, GIFNetConfig
from gifnet.training.curves import read_rows
from gifnet.training.data import DataConfig, TrainingData, load_luminance
from gifnet.training.validation import Validation


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that trains a small network for three iterations, without its ``-o``."""
    root = tmp_path_factory.mktemp("run")
    for seed, name in enumerate(("ir", "vis")):
        (root / name).mkdir()
        Image.fromarray(photo(60, 60, 0, seed=seed)).save(root / name / "1.png")
    save_weights(GIFNet(GIFNetConfig(growth=2, position_hidden=4)), root / "start.safetensors")
    settings = ("iterations=3", "data.crop=48", "data.batch=1", "train_only=decoder")
    options = [option for setting in settings for option in ("--set", setting)]
    init = ["--init", str(root / "start.safetensors")]
    return ["train", str(root / "ir"), str(root / "vis"), "--device", "cpu", *init, *options]


@pytest.fixture(scope="module")
def finished(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, not to be changed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    assert main([*arguments, "-o", str(run)]) == 0
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in finished.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def fails(command: list[str], capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """Status 1, and one line on stderr that has these words."""
    capsys.readouterr()
    assert main(command) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gifnet: ")]
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]


# The lock


def test_a_second_run_in_one_folder_is_refused(
    arguments: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with locked(run / "training.lock", "trains"):
        fails([*arguments, "-o", str(run)], capsys, str(run / "training.lock"), f"process {os.getpid()} trains here")
        assert (run / "training.lock").read_text().startswith(f"{os.getpid()}\n")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert main([*arguments, "-o", str(run)]) == 0


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    code = (
        "import os, sys, pathlib; from gifnet.files.lock import locked\n"
        f"with locked(pathlib.Path({str(path)!r}), 'works'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"x.lock: process {process.pid} works here"), locked(path, "works"):
            pass
    finally:
        process.kill()
        process.communicate()
    assert path.read_text().startswith(f"{process.pid}\n"), "killed, it could not remove it"
    with locked(path, "works"):
        assert path.read_text().startswith(f"{os.getpid()}\n")
    assert not path.exists()


# Interruptions


class Sender:
    """In the place of a trainer's step: sends this process signals after the first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *signals: int) -> None:
        from gifnet.training.trainer import Trainer

        step = Trainer.step

        def send(trainer: Trainer, batch: object) -> dict[str, float]:
            row = step(trainer, batch)
            for number in signals if trainer.iteration == 1 else ():
                os.kill(os.getpid(), number)
                time.sleep(0.01)  # handlers run between two of Python's steps
            return row

        monkeypatch.setattr(Trainer, "step", send)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent so there")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_saves_and_goes_on(
    arguments: list[str],
    finished: Path,
    tmp_path: Path,
    number: int,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(number)
    Sender(monkeypatch, number)
    command = [*arguments, "-o", str(tmp_path / "run")]
    assert main(command) == status
    assert signal.getsignal(number) is before
    assert "the same command goes on from there" in capsys.readouterr().err
    assert [row["iteration"] for row in read_rows(tmp_path / "run" / "curves.csv", 9)] == [0]
    monkeypatch.undo()
    assert main(command) == 0
    for name in ("last.safetensors", "curves.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes(), name
    state = load_file(finished / "state.safetensors")
    for name, value in load_file(tmp_path / "run" / "state.safetensors").items():
        assert torch.equal(value, state[name]), name
    assert not (tmp_path / "run" / "training.lock").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent so there")
def test_a_second_interrupt_ends_it_at_once(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Sender(monkeypatch, signal.SIGINT, signal.SIGINT)
    assert main([*arguments, "-o", str(tmp_path / "run")]) == 130
    assert not (tmp_path / "run").exists(), "nothing was saved"


# Damage


@pytest.mark.parametrize("content", [b"", b"noise" * 100, None])
def test_a_damaged_state(
    arguments: list[str], run: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-50] if content is None else content)
    fails([*arguments, "-o", str(run)], capsys, f"{path}: damaged")


def test_a_state_without_what_belongs_to_it(
    arguments: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "state.safetensors"
    path.write_bytes((run / "last.safetensors").read_bytes())
    fails([*arguments, "-o", str(run)], capsys, f"{path}: damaged", "iteration")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("iteration", "it"),
        lambda text: text.replace("\n1,", "\nx,"),
        lambda text: text.replace("\n1,", "\n1,2,"),
        lambda text: text.replace("\n1,", "\n0,"),
        lambda text: text.replace("\n1,", "\n0.5,"),
        lambda text: text.replace("\n1,", "\nnan,"),
        lambda text: text.replace("\n1,", "\n\x00"),
        lambda text: '"' + text,
        lambda text: "\udcff" + text,
    ],
)
def test_damaged_curves(run: Path, damage: object) -> None:
    assert callable(damage)
    path = run / "curves.csv"
    text = path.read_bytes().decode()
    path.write_bytes(damage(text).encode(errors="surrogateescape"))
    with pytest.raises(CheckpointError, match=r"curves\.csv: damaged \(.*\); move it away"):
        read_rows(path, 3)


def test_curves_of_other_columns(arguments: list[str], run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "curves.csv"
    path.write_text(path.read_text().replace("decoder_fusion", "main_fusion"))
    fails([*arguments, "-o", str(run)], capsys, f"{path}: holds rate, main_fusion")
    text = (run / "curves.csv").read_text().replace("main_fusion", "decoder_fusion")
    path.write_text("".join(text.splitlines(keepends=True)[:-1]))
    fails([*arguments, "-o", str(run)], capsys, f"{path}: damaged (it ends before iteration 3")
    path.unlink()
    assert main([*arguments, "-o", str(run)]) == 0, "without them, it goes on"


# A full disk


@contextmanager
def little_room() -> Iterator[None]:
    """No file may grow beyond 100 bytes, which fails as a full disk does; nor may a file that pytest reports to."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["last.safetensors", "curves.png", "state.safetensors"])
def test_a_full_disk(
    arguments: list[str],
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name != "last.safetensors":  # what is written before it is let off
        monkeypatch.setattr("gifnet.training.trainer.save_weights", lambda *_: None)
    if name == "state.safetensors":
        monkeypatch.setattr("gifnet.training.trainer.draw", lambda *_: None)
        monkeypatch.setattr("gifnet.training.trainer.write_rows", lambda *_: None)
    if name == "curves.png":
        monkeypatch.setattr("gifnet.training.trainer.write_rows", lambda *_: None)
    run = tmp_path / "run"
    with little_room():
        fails([*arguments, "-o", str(run)], capsys, f"{run / name}: can't be written (", "make room")
    assert not run.exists() or not list(run.iterdir()), "nothing is left half written"


def test_a_folder_that_can_t_be_made(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    fails([*arguments, "-o", str(tmp_path / "file" / "run")], capsys, "can't be made a folder for the run")
    fails([*arguments, "-o", str(tmp_path / "file")], capsys, f"{tmp_path / 'file'}: ")


# Images are read as by gifnet.fuse


def test_sixteen_bits_and_orientation(tmp_path: Path) -> None:
    thermal = (np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 3 + 7000).astype(np.uint16)
    upright = photo(60, 80, 0, seed=3)
    for name in ("ir", "vis"):
        (tmp_path / name).mkdir()
    Image.fromarray(thermal).save(tmp_path / "ir" / "1.png")
    turned = Image.fromarray(np.rot90(upright, 1))  # as a camera held upright saves it: turned, and said to be
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned.save(tmp_path / "vis" / "1.jpg", quality=100, subsampling=0, exif=exif)

    full, half = load_luminance([tmp_path / "ir" / "1.png", tmp_path / "vis" / "1.jpg"])
    assert full.dtype == half.dtype == np.uint16
    assert half.shape == (2, 30, 40)
    np.testing.assert_array_equal(full[0], thermal)
    assert np.abs(full[1] / 257 - upright).max() <= 3  # JPEG
    means = thermal.reshape(30, 2, 40, 2).mean(axis=(1, 3))
    assert np.abs(half[0].astype(float) - means)[2:-2, 2:-2].max() < 100  # 241 are between two rows

    config = DataConfig(crop=48, batch=4, tone_share=0, invert_share=0, half_share=0)
    batch = TrainingData(tmp_path / "ir", tmp_path / "vis", None, config, 0).batch(0)
    assert float(batch.infrared.min()) >= 7000 / 65535 - 1e-6
    assert float(batch.infrared.max()) <= thermal.max() / 65535 + 1e-6
    assert len(batch.infrared.unique()) > 1000, "not cut to 8 bits"

    (case,) = Validation((tmp_path / "ir", tmp_path / "vis"), None).cases
    np.testing.assert_array_equal(case.a[0].numpy(), np.rint(thermal / 257))
    assert np.abs(case.b[0].numpy().astype(int) - upright).max() <= 3
