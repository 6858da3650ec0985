"""Folders fused and enhanced: pairing, what is redone and what is not, the manifest, kills, the command line."""

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pytest
from conftest import photo
from PIL import Image

import gifnet
from gifnet import InputError, cli
from gifnet.batch import folders, run
from gifnet.batch.manifest import NAME, Manifest
from gifnet.batch.pairing import pairs, singles
from gifnet.batch.pipeline import overlapped
from gifnet.checkpoints.format import file_sha256, save_weights
from gifnet.files import lock
from gifnet.files.atomic import atomic_path, remove_leftovers
from gifnet.networks.gifnet import GIFNet

TEMPORARY = ".gifnet-0123456789abcdef.png"
OWNER = TEMPORARY.replace(".png", ".lock")
DEAD = f"4194304\n{lock.machine()}\n"  # signed by a process of this machine that no longer holds it


@pytest.fixture(scope="session")
def model(small_network: GIFNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_weights(small_network, path)
    return path


def put(path: Path, seed: int = 0, height: int = 16, width: int = 24) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(height, width, seed=seed)).save(path)
    return path


class Place:
    """Two folders of pairs, a third for results, and a model."""

    def __init__(self, root: Path, model: Path, count: int = 3) -> None:
        self.a, self.b, self.out, self.model = root / "ir", root / "vis", root / "out", model
        for index in range(count):
            put(self.a / f"{index}.png", seed=index)
            put(self.b / f"{index}.png", seed=100 + index)
        self.lines: list[str] = []

    def fuse(self, **options: Any) -> folders.FolderResult:
        self.lines.clear()
        options = {"model": self.model, "device": "cpu", "progress": False, "report": self.lines.append} | options
        return gifnet.fuse_folders(self.a, self.b, self.out, **options)

    def expected(self, name: str) -> np.ndarray[Any, Any]:
        return np.asarray(gifnet.fuse(self.a / name, self.b / name, model=self.model, device="cpu"))

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / NAME).read_text().splitlines()]

    def history(self) -> list[tuple[str, str]]:
        return [(event["output"]["path"], event["status"]) for event in self.events()]


@pytest.fixture
def place(tmp_path: Path, model: Path) -> Place:
    return Place(tmp_path, model)


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def pixels(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image)


# --- pairing --------------------------------------------------------------------------------------


def test_pairs_have_the_same_path_but_for_the_suffix(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for path in ("1.png", "2.JPG", "3.gif", "v1.2.bmp", "sub/4.tif", "sub/deep/1.webp"):
        put(a / path)
    for path in ("1.bmp", "2.png", "3.png", "v1.2.png", "sub/4.jpg", "sub/deep/1.png"):
        put(b / path)
    (a / "notes.txt").write_text("no image")
    (b / "1.txt").write_text("no image")
    put(b / ".hidden.png")
    put(b / ".cache" / "5.png")
    flat = pairs(a, b, tmp_path / "out")
    assert [match.output.as_posix() for match in flat.matches] == ["1.png", "2.JPG", "3.png", "v1.2.bmp"]
    assert flat.matches[1].inputs == (a / "2.JPG", b / "2.png")
    deep = pairs(a, b, tmp_path / "out", recursive=True)
    assert [match.name for match in deep.matches] == ["1", "2", "3", "sub/4", "sub/deep/1", "v1.2"]
    assert not deep.unmatched
    assert not deep.ambiguous
    assert {match.output.suffix for match in pairs(a, b, tmp_path / "out", True, ".tif").matches} == {".tif"}


def test_files_without_a_partner_or_with_several(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for path in ("fine.png", "only_a.png", "twice.png", "sub/other.png"):
        put(a / path)
    for path in ("fine.png", "only_b.png", "twice.png", "twice.jpg", "other.png"):
        put(b / path)
    pairing = pairs(a, b, tmp_path / "out", recursive=True)
    assert [match.name for match in pairing.matches] == ["fine"]
    assert [failure.name for failure in pairing.unmatched] == ["only_a", "only_b", "other", "sub/other"]
    assert pairing.unmatched[1].inputs == (b / "only_b.png",)
    assert str(a) in pairing.unmatched[1].reason
    (twice,) = pairing.ambiguous
    assert twice.inputs == (a / "twice.png", b / "twice.jpg", b / "twice.png")
    assert all(str(path) in twice.reason for path in twice.inputs)
    assert len(pairing.files) == 9


def test_single_images_are_ambiguous_where_their_outputs_are_one(tmp_path: Path) -> None:
    put(tmp_path / "x.png")
    put(tmp_path / "x.jpg")
    assert [match.output.name for match in singles(tmp_path, tmp_path / "out").matches] == ["x.jpg", "x.png"]
    (failure,) = singles(tmp_path, tmp_path / "out", suffix=".png").ambiguous
    assert "x.jpg" in failure.reason
    assert "x.png" in failure.reason


def test_no_pair_says_what_differs(tmp_path: Path) -> None:
    put(tmp_path / "a" / "1_ir.png")
    put(tmp_path / "b" / "1_vis.png")
    with pytest.raises(InputError, match="1_ir and 1_vis"):
        pairs(tmp_path / "a", tmp_path / "b", tmp_path / "out")
    put(tmp_path / "c" / "sub" / "1_ir.png")
    with pytest.raises(InputError, match=r"c: holds no image.*--recursive"):
        pairs(tmp_path / "a", tmp_path / "c", tmp_path / "out")
    put(tmp_path / "a" / "1_ir.jpg")
    put(tmp_path / "d" / "1_ir.png")
    with pytest.raises(InputError, match="several files could be paired"):
        pairs(tmp_path / "a", tmp_path / "d", tmp_path / "out")


# --- results --------------------------------------------------------------------------------------


def test_results_are_those_of_single_pairs_in_the_same_subfolders(place: Place) -> None:
    put(place.a / "night" / "7.png", seed=7)
    put(place.b / "night" / "7.png", seed=8)
    result = place.fuse(recursive=True)
    assert [path.relative_to(place.out).as_posix() for path in result.done] == [
        "0.png",
        "1.png",
        "2.png",
        "night/7.png",
    ]
    assert (result.skipped, result.failed, result.unmatched) == ((), (), ())
    for name in ("0.png", "1.png", "2.png", "night/7.png"):
        np.testing.assert_array_equal(pixels(place.out / name), place.expected(name))
    assert sorted(os.listdir(place.out)) == ["0.png", "1.png", "2.png", NAME, "night"]


def test_files_are_those_of_single_pairs_with_depth_and_metadata(tmp_path: Path, model: Path) -> None:
    place = Place(tmp_path, model, count=1)
    deep = photo(16, 24, channels=0).astype(np.uint16) * 251
    Image.fromarray(deep).save(place.a / "deep.png")
    Image.fromarray(deep[::-1]).save(put(place.b / "deep.tif"))
    exif = Image.Exif()
    exif[0x0110] = "a camera"
    Image.fromarray(photo(16, 24)).save(place.a / "camera.jpg", exif=exif)
    put(place.b / "camera.png", seed=5)
    Image.fromarray(photo(16, 24)).save(
        place.a / "pages.tif", save_all=True, append_images=[Image.fromarray(photo(16, 24, seed=3))]
    )
    put(place.b / "pages.png", seed=6)
    result = place.fuse(page=1)
    assert names(result.done) == ["0.png", "camera.jpg", "deep.png", "pages.tif"]
    for one, match in zip(result.done, pairs(place.a, place.b, place.out).matches, strict=True):
        single = tmp_path / f"single{one.suffix}"
        gifnet.fuse_files(*match.inputs, single, page=1, model=model, device="cpu")
        assert one.read_bytes() == single.read_bytes(), one.name
    assert pixels(place.out / "deep.png").dtype == np.uint16
    with Image.open(place.out / "camera.jpg") as image:
        assert image.getexif()[0x0110] == "a camera"
    assert names(place.fuse(page=1).skipped) == names(result.done)
    assert [failure.name for failure in place.fuse().failed] == ["pages"]


def test_enhance_folder(place: Place) -> None:
    options = {"model": place.model, "device": "cpu", "progress": False}
    assert len(gifnet.enhance_folder(place.a, place.out, strength=0.5, **options).done) == 3
    np.testing.assert_array_equal(
        pixels(place.out / "1.png"), gifnet.enhance(place.a / "1.png", 0.5, model=place.model, device="cpu")
    )
    assert len(gifnet.enhance_folder(place.a, place.out, strength=0.5, **options).skipped) == 3
    assert len(gifnet.enhance_folder(place.a, place.out, strength=0.6, **options).done) == 3
    with pytest.raises(InputError, match="strength"):
        gifnet.enhance_folder(place.a, place.out, strength=2, **options)


def test_a_failure_leaves_the_rest_alone(place: Place) -> None:
    whole = (place.b / "1.png").read_bytes()
    (place.b / "1.png").write_bytes(whole[: len(whole) // 2])
    put(place.b / "0.png", height=9)
    put(place.a / "alone.png")
    result = place.fuse()
    assert names(result.done) == ["2.png"]
    assert [failure.name for failure in result.failed] == ["alone", "0", "1"]
    assert str(place.b / "1.png") in result.failed[2].reason
    assert result.unmatched == result.failed[:1]
    assert sorted(os.listdir(place.out)) == ["2.png", NAME]
    assert [line.split(":")[0] for line in place.lines] == ["alone", "0", "1"]
    errors = {event["output"]["path"]: event["error"] for event in place.events() if event["status"] == "failed"}
    assert errors == {"0.png": result.failed[1].reason, "1.png": result.failed[2].reason}

    (place.b / "1.png").write_bytes(whole)
    result = place.fuse(skip_unmatched=True)
    assert names(result.done) == ["1.png"]
    assert names(result.skipped) == ["2.png"]
    assert [failure.name for failure in result.failed] == ["0"]
    assert [failure.name for failure in result.unmatched] == ["alone"]
    assert place.lines[0] == "left out, having no partner: 1"


def test_pairing_is_reported_before_any_work(place: Place) -> None:
    put(place.a / "alone.png")

    def stop(line: str) -> None:
        raise RuntimeError(line)

    with pytest.raises(RuntimeError, match="alone"):
        place.fuse(report=stop)
    assert not place.out.exists()


def test_what_can_not_be_written_fails_with_the_name_of_the_output(place: Place) -> None:
    Image.fromarray(photo(16, 24, channels=4)).save(place.a / "0.png")  # alpha, of which JPEG has none
    result = place.fuse(suffix=".jpg")
    assert names(result.done) == ["1.jpg", "2.jpg"]
    assert str(place.out / "0.jpg") in result.failed[0].reason
    assert ".gifnet-" not in result.failed[0].reason
    assert sorted(os.listdir(place.out)) == ["1.jpg", "2.jpg", NAME]


# --- what is redone -------------------------------------------------------------------------------


def test_finished_pairs_are_skipped(place: Place) -> None:
    place.fuse()
    before = {path: path.stat() for path in place.out.glob("*.png")}
    result = place.fuse()
    assert names(result.skipped) == ["0.png", "1.png", "2.png"]
    assert result.done == ()
    assert {path: path.stat() for path in place.out.glob("*.png")} == before


@pytest.mark.parametrize(
    "change",
    [
        lambda place: put(place.b / "1.png", seed=50),
        lambda place: os.utime(place.a / "1.png"),
        lambda place: (place.out / "1.png").unlink(),
    ],
    ids=["content", "time", "output gone"],
)
def test_a_changed_pair_is_redone(place: Place, change: Callable[[Place], object]) -> None:
    place.fuse()
    change(place)
    result = place.fuse()
    assert names(result.done) == ["1.png"]
    assert names(result.skipped) == ["0.png", "2.png"]
    np.testing.assert_array_equal(pixels(place.out / "1.png"), place.expected("1.png"))


def test_other_settings_redo_everything(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.fuse()
    assert len(place.fuse(dtype="bfloat16").done) == 3
    other = tmp_path / "copy.safetensors"
    other.write_bytes(place.model.read_bytes())
    assert len(place.fuse(dtype="bfloat16", model=other).skipped) == 3  # another file of the same weights
    assert len(place.fuse().done) == 3
    monkeypatch.setattr("gifnet.version.__version__", "0.0.0")
    assert len(place.fuse().done) == 3
    assert len(place.fuse(suffix=".bmp").done) == 3
    assert len(place.fuse().skipped) == 3  # the results of before are still on record


def test_files_of_others_are_not_replaced(place: Place) -> None:
    place.out.mkdir()
    (place.out / "0.png").write_text("someone's")
    (place.out / "1.png").mkdir()
    result = place.fuse()
    assert names(result.done) == ["2.png"]
    assert [NAME in failure.reason or "folder" in failure.reason for failure in result.failed] == [True, True]
    assert "--overwrite" in result.failed[0].reason
    assert (place.out / "0.png").read_text() == "someone's"
    put(place.b / "2.png", seed=9)
    (place.out / "2.png").write_text("edited")
    result = place.fuse()
    assert "changed since" in result.failed[2].reason
    assert (place.out / "2.png").read_text() == "edited"

    (place.out / "1.png").rmdir()
    assert names(place.fuse(overwrite=True).done) == ["0.png", "1.png", "2.png"]
    np.testing.assert_array_equal(pixels(place.out / "0.png"), place.expected("0.png"))
    assert names(place.fuse(overwrite=True).done) == ["0.png", "1.png", "2.png"]
    assert len(place.fuse().skipped) == 3


def test_an_output_folder_within_the_input_is_not_read(place: Place) -> None:
    place.out = place.a / "fused"
    assert len(place.fuse(recursive=True).done) == 3
    result = place.fuse(recursive=True)
    assert (len(result.skipped), result.failed) == (3, ())
    place.out = place.a
    with pytest.raises(InputError, match="folder of inputs"):
        place.fuse()


def test_an_output_never_replaces_an_input(tmp_path: Path, model: Path) -> None:
    put(tmp_path / "ir" / "ir" / "1.png")
    kept = put(tmp_path / "ir" / "1.png")
    for name in ("1.png", "ir/1.png"):
        put(tmp_path / "vis" / name)
    before = kept.read_bytes()
    with pytest.raises(InputError, match="an input and an output"):
        gifnet.fuse_folders(tmp_path / "ir", tmp_path / "vis", tmp_path, recursive=True, overwrite=True, model=model)
    assert kept.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["ir", "vis"]


def test_a_function_is_told_of_images_done(place: Place) -> None:
    told: list[tuple[int, int]] = []
    place.fuse(progress=lambda done, count: told.append((done, count)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    (place.a / "0.png").write_bytes(b"damaged")
    told.clear()
    place.fuse(progress=lambda done, count: told.append((done, count)))
    assert told == [(1, 1)], "what is finished is no work, what fails is"

    def stop(done: int, count: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        place.fuse(progress=stop, overwrite=True)
    with pytest.raises(InputError, match="progress: 'yes'"):
        place.fuse(progress="yes")


def test_options_that_do_not_exist_are_refused_at_once(place: Place) -> None:
    with pytest.raises(TypeError, match="melt"):
        place.fuse(melt=True)
    assert not place.out.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "none"}, "none: no such folder"),
        ({"b": "ir/0.png"}, "is a file; give a folder"),
        ({"out": "ir/0.png"}, "is a file; give a folder"),
        ({"out": "none/out"}, "none does not exist"),
        ({"suffix": ".xyz"}, r"'\.xyz'; use \.png"),
        ({"model": "nonsense"}, "nonsense"),
        ({"device": "toaster"}, "toaster"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_is_made(
    place: Place, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    for name in change.keys() & {"a", "b", "out"}:
        setattr(place, name, tmp_path / change.pop(name))
    with pytest.raises(InputError, match=message):
        place.fuse(**change)
    assert sorted(os.listdir(tmp_path)) == ["ir", "vis"]


# --- the manifest ---------------------------------------------------------------------------------


def test_the_manifest_tells_what_was_done(place: Place) -> None:
    (place.b / "1.png").write_bytes(b"damaged")
    place.fuse()
    assert sorted(place.history()) == [
        ("0.png", "done"), ("0.png", "writing"), ("1.png", "failed"), ("2.png", "done"), ("2.png", "writing")
    ]  # fmt: skip
    for event in place.events():
        assert datetime.fromisoformat(event["time"]).utcoffset().total_seconds() == 0  # type: ignore[union-attr]
        assert event["settings"] == {
            "task": "fuse", "page": None, "model": file_sha256(place.model), "dtype": "float32",
            "gifnet": gifnet.__version__,
        }  # fmt: skip
        assert event["device"] == "cpu"
        name = event["output"]["path"]
        for stamp, path in zip(event["inputs"], (place.a / name, place.b / name), strict=True):
            found = path.stat()
            assert stamp == {"path": str(path), "bytes": found.st_size, "mtime_ns": found.st_mtime_ns}
        if event["status"] == "failed":
            assert "1.png" in event["error"]
            assert event["output"] == {"path": "1.png"}
        else:
            assert event["error"] is None
            size = (place.out / name).stat().st_size
            assert event["output"] == {"path": name, "bytes": size, "width": 24, "height": 16}
            assert 0 < event["seconds"] < 60


def test_a_torn_last_line_counts_for_nothing(place: Place) -> None:
    place.fuse()
    manifest = place.out / NAME
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])  # killed in the last "done"
    result = place.fuse()
    assert names(result.done) == ["2.png"]
    assert len(result.skipped) == 2
    assert len(place.fuse().skipped) == 3


def test_opening_the_manifest_drops_what_is_obsolete(place: Place) -> None:
    place.fuse()
    place.fuse(overwrite=True)
    assert len(place.events()) == 3 + 6
    place.fuse()
    assert sorted(place.history()) == [("0.png", "done"), ("1.png", "done"), ("2.png", "done")]
    place.b.joinpath("1.png").write_bytes(b"damaged")
    for _ in range(3):
        place.fuse()
    assert sorted(place.history()) == [
        ("0.png", "done"), ("1.png", "done"), ("1.png", "failed"), ("1.png", "failed"), ("2.png", "done")
    ]  # fmt: skip


def record(path: object, count: object = 1, status: object = "done") -> str:
    return json.dumps({"output": {"path": path, "bytes": count}, "status": status})


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1}',
        "[]",
        "text",
        "null",
        '{"output": {"path": "0.png"}, "status": "done"}',
        '{"output": [], "status": "done"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        record("../ir/0.png"),
        record("sub/../../ir/0.png"),
        record("/etc/passwd"),
        record(""),
        record("a\0b"),
        record(["0.png"]),
        record(7),
        record("0.png", "1"),
        record("0.png", True),
        record("0.png", -1),
        record("0.png", 1.5),
        record("0.png", 1, ["done"]),
        record("0.png", 1, "lost"),
    ],
)
def test_a_manifest_of_something_else_is_refused_and_kept(place: Place, line: str) -> None:
    place.out.mkdir()
    content = f"{line}\n"
    (place.out / NAME).write_text(content)
    with pytest.raises(InputError, match=rf"{NAME}: line 1 .* move this file away"):
        place.fuse()
    assert (place.out / NAME).read_text() == content
    assert os.listdir(place.out) == [NAME]


@pytest.mark.parametrize("depth", [100, *range(900, 1000, 9)])
def test_a_manifest_as_deep_as_can_be_read(place: Place, depth: int) -> None:
    place.out.mkdir()
    event = json.loads(record("0.png")) | {"inputs": 0}
    text = json.dumps(event).replace('"inputs": 0', '"inputs": ' + "[" * depth + "]" * depth)
    (place.out / NAME).write_text(f"{text}\n{text}\n")
    with suppress(InputError):
        assert len(place.fuse().done) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "broken link"])
def test_a_manifest_that_is_no_file_of_the_folder(place: Place, tmp_path: Path, kind: str) -> None:
    place.out.mkdir()
    manifest, elsewhere = place.out / NAME, tmp_path / "elsewhere.jsonl"
    if kind == "pipe":
        os.mkfifo(manifest)
    elif kind == "folder":
        manifest.mkdir()
    else:
        manifest.symlink_to(elsewhere)
        elsewhere.write_text("") if kind == "link" else None
    with pytest.raises(InputError, match=f"{manifest}: is no regular file; move it away"):
        place.fuse()
    assert os.listdir(place.out) == [NAME]
    assert not elsewhere.exists() or elsewhere.read_text() == ""


def test_nothing_is_cleared_up_elsewhere(place: Place, tmp_path: Path) -> None:
    """A record of an output that lies behind a link to a folder elsewhere."""
    other = tmp_path / "other"
    other.mkdir()
    (other / TEMPORARY).write_text("")
    (other / OWNER).write_text(DEAD)
    place.out.mkdir()
    (place.out / "sub").symlink_to(other)
    (place.out / NAME).write_text(record("sub/1.png") + "\n")
    place.fuse()
    assert sorted(os.listdir(other)) == sorted([OWNER, TEMPORARY])


def test_an_event_that_can_not_be_written_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def event(status: str) -> dict[str, Any]:
        return {"output": {"path": "x.png", "bytes": 1}, "status": status}

    real, calls = os.write, iter([5])

    def full(descriptor: int, line: bytes) -> int:
        for count in calls:
            return real(descriptor, line[:count])
        raise OSError(28, "No space left on device")

    with Manifest(tmp_path / NAME) as manifest:
        manifest.append(event("writing"))
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(InputError, match="No space left"):
            manifest.append(event("done"))
        monkeypatch.setattr(os, "write", real)
        assert manifest.finished("x.png") is None
        manifest.append(event("done"))
    assert [json.loads(line)["status"] for line in (tmp_path / NAME).read_text().splitlines()] == ["writing", "done"]


HOLD = """
import pathlib, sys
from gifnet.files.{module} import {name}
with {call} as held:
    print(held, flush=True)
    sys.stdin.read()
"""


@contextmanager
def process_that(script: str, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that works until the block ends, when it is killed, and the line that it said."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            yield other, other.stdout.readline().strip()
        finally:
            other.kill()


def test_one_process_at_a_time(place: Place) -> None:
    place.out.mkdir()
    held = place.out / folders.LOCK
    script = HOLD.format(module="lock", name="locked", call="locked(pathlib.Path(sys.argv[1]), 'writes')")
    with process_that(script, held) as (other, _):
        with pytest.raises(InputError, match=f"{held}: process {other.pid} writes here; wait for its end"):
            place.fuse()
        assert os.listdir(place.out) == [held.name]
    assert len(place.fuse().done) == 3
    assert not held.exists()


# --- overlap --------------------------------------------------------------------------------------


def test_stages_overlap_in_order_and_in_bounds() -> None:
    events: list[tuple[str, int]] = []
    held: list[int] = []  # how many jobs were read and not yet written, at each step
    computing, written = threading.Event(), threading.Event()

    def read(job: int) -> int:
        if job == 2:
            assert computing.wait(10), "nothing was computed while reading went on"
        events.append(("read", job))
        held.append(sum(kind == "read" for kind, _ in events) - sum(kind == "write" for kind, _ in events))
        return job * 10

    def compute(job: int, source: int) -> int:
        assert threading.current_thread() is threading.main_thread()
        computing.set()
        if job == 4:
            assert written.wait(10), "nothing was written while computing went on"
        events.append(("compute", job))
        return source + 1

    def write(job: int, result: int) -> None:
        assert result == job * 10 + 1
        if job == 3:
            written.set()
        events.append(("write", job))

    outcomes = list(overlapped(range(20), read, compute, write, ahead=2))
    assert outcomes == [(job, None) for job in range(20)]
    for stage in ("read", "compute", "write"):
        assert [job for kind, job in events if kind == stage] == list(range(20))
    assert max(held) <= 6  # three read or computed, and up to three whose writing isn't over


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
def test_a_failing_stage_is_that_job_s_failure(stage: str) -> None:
    def step(name: str) -> Callable[..., int]:
        def run(job: int, *_: int) -> int:
            if name == stage and job in (0, 3, 4):
                raise ValueError(f"{name} {job}")
            return job

        return run

    outcomes = list(overlapped(range(6), step("read"), step("compute"), step("write")))  # type: ignore[arg-type]
    assert [job for job, _ in outcomes] == list(range(6))
    assert [str(error) for _, error in outcomes if error] == [f"{stage} {job}" for job in (0, 3, 4)]


def test_an_interrupt_reads_no_more_and_writes_what_is_computed() -> None:
    read: list[int] = []
    written: list[int] = []

    def compute(job: int, _: None) -> None:
        if job == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(overlapped(range(100), read.append, compute, lambda job, _: written.append(job), ahead=2))
    assert written == [0, 1, 2]
    assert read == list(range(len(read)))
    assert len(read) <= 6


# --- killed ---------------------------------------------------------------------------------------


def assert_whole(place: Place) -> None:
    """All that has a result's name is that result."""
    for path in place.out.iterdir():
        if not path.name.startswith(".gifnet-") and path.name != NAME:
            np.testing.assert_array_equal(pixels(path), place.expected(path.name))


def command(place: Place, *more: object) -> list[str]:
    arguments = ("fuse", place.a, place.b, "-o", place.out, "--model", place.model, "--device", "cpu", *more)
    return [str(argument) for argument in arguments]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_at_any_moment_and_finished_by_a_rerun(tmp_path: Path, model: Path) -> None:
    place = Place(tmp_path, model, count=0)
    for index in range(12):
        put(place.a / f"{index:02}.png", index, 96, 128)
        put(place.b / f"{index:02}.png", index + 100, 96, 128)
    delays = random.Random(0)
    finished: set[str] = set()
    for lines in (0, 3, 8):  # that a run adds to the manifest before the delay begins
        process = commands.Command(*command(place, "--quiet"))
        start = (place.out / NAME).read_bytes().count(b"\n") if finished else 0
        until = time.monotonic() + 120
        while process.is_alive() and time.monotonic() < until:
            if (place.out / NAME).exists() and (place.out / NAME).read_bytes().count(b"\n") >= start + lines:
                break
            time.sleep(0.002)
        time.sleep(delays.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.result()
        assert_whole(place)
        # What was finished once is never undone.
        done = {path.name for path in place.out.glob("[!.]*.png")}
        assert finished <= done
        finished = done
    assert finished
    (place.out / TEMPORARY).write_bytes(b"half")
    (place.out / OWNER).write_text(DEAD)
    result = commands.run(*command(place))
    assert result.returncode == 0, result.stderr
    done, skipped = (int(number) for number in re.findall(r"(\d+) (?:done|skipped)", result.stderr))
    assert done + skipped == 12
    assert skipped >= len(finished) - 1  # of one at most, the rename had happened and the record of it had not
    assert sorted(os.listdir(place.out)) == [*(f"{index:02}.png" for index in range(12)), NAME]
    assert_whole(place)


KILLS = {
    "in the file": "Path.write_bytes = lambda path, content: (open(path, 'wb').write(content[:99]), kill())",
    "before the rename": "os.replace = lambda old, new: kill() if new == RESULT else real(old, new)",
    "after the rename": "os.replace = lambda old, new: (real(old, new), new == RESULT and kill())",
}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
@pytest.mark.parametrize("moment", KILLS)
def test_killed_at_the_worst_moments(place: Place, moment: str) -> None:
    script = "import os, signal\nfrom pathlib import Path\nkill = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
    script += f"RESULT = Path({str(place.out / '0.png')!r})\nreal = os.replace\n"
    script += f"import gifnet.cli\n{KILLS[moment]}\ngifnet.cli.main({command(place, '--quiet')})"
    killed = commands.forked(exec, script, {})
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL
    left = {path.suffix for path in place.out.iterdir() if path.name.startswith(".gifnet-")}
    assert left == ({".lock"} if moment == "after the rename" else {".lock", ".png"})
    assert_whole(place)
    result = place.fuse()
    assert len(result.done) == 3
    assert sorted(os.listdir(place.out)) == ["0.png", "1.png", "2.png", NAME]
    assert_whole(place)


def test_leftovers_are_cleaned_and_nothing_else(place: Place) -> None:
    put(place.a / "sub" / "1.png")
    put(place.b / "sub" / "1.png")
    kept = [".gifnet-notes.txt", ".gifnet-0123456789abcdeg.png", "gifnet-0123456789abcdef.png", ".gifnet"]
    for folder in (place.out, place.out / "sub", place.out / "elsewhere"):
        folder.mkdir()
        for name in (*kept, TEMPORARY):
            (folder / name).write_text("")
        (folder / OWNER).write_text(DEAD)
    (place.out / f"{TEMPORARY}.d").mkdir()
    place.fuse(recursive=True)
    left = {path.relative_to(place.out).as_posix() for path in place.out.rglob("*") if path.name in (TEMPORARY, OWNER)}
    assert left == {"elsewhere/" + TEMPORARY, "elsewhere/" + OWNER}  # no run has written there
    assert all((place.out / folder / name).exists() for folder in ("", "sub") for name in kept)


def test_a_run_leaves_what_another_process_is_writing(place: Place) -> None:
    """As ``pansharpen`` does, or a run into a subfolder; once that process is killed, a run clears up after it."""
    place.out.mkdir()
    script = HOLD.format(module="atomic", name="atomic_path", call="atomic_path(pathlib.Path(sys.argv[1]))")
    with process_that(script, place.out / "sharp.tif") as (_, name):
        temporary = Path(name)
        assert temporary.parent == place.out
        temporary.write_bytes(b"half")
        place.fuse()
        assert temporary.read_bytes() == b"half"
        assert temporary.with_suffix(".lock").exists()
    place.fuse()
    assert sorted(os.listdir(place.out)) == ["0.png", "1.png", "2.png", NAME]


def test_two_runs_at_once_one_in_a_subfolder_of_the_other_lose_nothing(tmp_path: Path, model: Path) -> None:
    outer, inner = Place(tmp_path / "outer", model, 8), Place(tmp_path / "inner", model, 8)
    inner.out = outer.out / "sub"
    for index in range(8):
        put(outer.a / "sub" / f"x{index}.png", index)
        put(outer.b / "sub" / f"x{index}.png", index + 100)
    inner.out.mkdir(parents=True)
    both = command(outer, "--recursive", "--quiet"), command(inner, "--quiet")
    running = [commands.Command(*one) for one in both]
    results = [process.result(120) for process in running]
    assert [result.returncode for result in results] == [0, 0], results
    assert not list(outer.out.rglob(".gifnet-*"))
    assert {path.name for path in inner.out.glob("*.png")} == {f"{x}{n}.png" for x in ("", "x") for n in range(8)}


@pytest.mark.parametrize(
    ("owner", "age", "goes"),
    [
        (None, 0, False),  # of an earlier gifnet, or of a file system without locks
        (None, 8, True),
        ("4194304\nanother machine\n", 0, False),
        ("4194304\nanother machine\n", 6, False),
        ("4194304\nanother machine\n", 8, True),
        (DEAD, 0, True),
        ("", 0, True),
    ],
)
def test_whose_owner_is_not_known_goes_after_a_week(tmp_path: Path, owner: str | None, age: int, goes: bool) -> None:
    temporary, held = tmp_path / TEMPORARY, tmp_path / OWNER
    temporary.write_bytes(b"half")
    if owner is not None:
        held.write_text(owner)
    then = time.time() - age * 24 * 3600
    for path in tmp_path.iterdir():
        os.utime(path, (then, then))
    remove_leftovers(tmp_path)
    assert (not temporary.exists(), not held.exists()) == (goes, goes or owner is None)


def test_without_locks_nothing_of_the_living_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(file: int, wait: bool) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", no_locks)
    with atomic_path(tmp_path / "x.png") as temporary:
        temporary.write_bytes(b"half")
        remove_leftovers(tmp_path)
        assert temporary.exists()
    assert os.listdir(tmp_path) == ["x.png"]


# --- the command line -----------------------------------------------------------------------------


def main(place: Place, *more: object) -> int:
    return cli.main(command(place, *more))


def test_exit_status_and_summary(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(place) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"gifnet: 3 done, 0 skipped, 0 failed; see {place.out / NAME}\n"
    assert main(place, "--resume", "--quiet") == 0
    assert capsys.readouterr().err == ""
    put(place.a / "alone.png")
    assert main(place) == 1
    err = capsys.readouterr().err.splitlines()
    assert err == [
        f"gifnet: alone: {place.a / 'alone.png'} has no partner in {place.b}",
        f"gifnet: 0 done, 3 skipped, 1 failed; see {place.out / NAME}",
    ]
    assert main(place, "--skip-unmatched", "--overwrite", "--suffix", ".tif") == 0
    assert "3 done, 0 skipped, 0 failed" in capsys.readouterr().err
    (place.b / "0.png").write_bytes(b"damaged")
    assert main(place, "--skip-unmatched", "--quiet") == 1
    assert len(capsys.readouterr().err.splitlines()) == 3
    (place.out / NAME).write_text("spoilt\n")
    assert main(place) == 1
    assert "line 1" in capsys.readouterr().err


def test_enhance_command(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["enhance", str(place.a), "-o", str(place.out), "--model", str(place.model), "--strength", "0"]
    assert cli.main([*arguments, "--suffix", ".bmp", "--device", "cpu"]) == 0
    assert "3 done" in capsys.readouterr().err
    np.testing.assert_array_equal(pixels(place.out / "2.bmp"), pixels(place.a / "2.png"))


def test_an_interrupt_is_130_and_keeps_what_is_done(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = gifnet.Fuser.fuse_images
    calls = iter(range(3))

    def fuse(self: gifnet.Fuser, *images: Any, **options: Any) -> Any:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *images, **options)

    monkeypatch.setattr(gifnet.Fuser, "fuse_images", fuse)
    assert main(place) == 130
    assert capsys.readouterr().err == "gifnet: interrupted\n"
    assert sorted(os.listdir(place.out)) == ["0.png", "1.png", NAME]
    monkeypatch.undo()
    result = place.fuse()
    assert names(result.skipped) == ["0.png", "1.png"]
    assert names(result.done) == ["2.png"]


@pytest.mark.parametrize(
    ("a", "b", "more", "words"),
    [
        ("ir", "vis/0.png", [], ["ir is a folder", "vis/0.png is an image file"]),
        ("ir/0.png", "vis", [], ["vis is a folder", "ir/0.png is an image file"]),
        ("ir", "none", [], ["none is not there"]),
        ("ir/0.png", "vis/0.png", ["--recursive"], ["--recursive is for folders"]),
        ("ir/0.png", "vis/0.png", ["--skip-unmatched"], ["--skip-unmatched is for folders"]),
        ("ir", "vis", ["--resume", "--overwrite"], ["not allowed with"]),
        ("ir", "vis", ["-o", "fused.png"], ["fused.png is named like an image"]),
        ("ir/0.png", "vis/0.png", [], ["unknown image suffix"]),
    ],
)
def test_wrong_usage(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], a: str, b: str, more: list[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["fuse", str(tmp_path / a), str(tmp_path / b), "-o", str(place.out), *more])  # the last "-o" counts
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words), err
    assert not place.out.exists()


def test_memory_is_bounded_by_a_few_images(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(3, 12):
        put(place.a / f"{index}.png", seed=index)
        put(place.b / f"{index}.png", seed=index)
    alive = most = 0
    real = run.RunHere.read

    class Counted(list[Any]):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def read(self: Any, job: Any) -> Any:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return Counted(real(self, job))

    monkeypatch.setattr(run.RunHere, "read", read)
    assert len(place.fuse().done) == 12
    assert alive == 0
    assert most <= 4
