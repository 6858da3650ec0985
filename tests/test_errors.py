"""What files say of themselves, and what they are called, is shown escaped wherever it is shown."""

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import photo, random_network
from PIL import Image

import gifnet
from gifnet import CheckpointError, InputError, cli
from gifnet.checkpoints.format import file_sha256, save_weights
from gifnet.errors import MissingExtraError, escaped
from gifnet.evaluation.report import Evaluation, Failure, Score, SetsEvaluation

RED = "\x1b[31mred"
TURNED = "a\u202egnp.exe"  # shown as "aexe.png"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ~ text\\x1b", "plain ~ text\\x1b"),
        (RED, "\\x1b[31mred"),
        ("a\nb\tc\r\b\x7f\0", "a\\nb\\tc\\r\\x08\\x7f\\x00"),
        ("\x9b31m", "\\x9b31m"),  # an escape sequence in one character
        (TURNED, "a\\u202egnp.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\udc80", "\\udc80"),  # a byte of a file name that is no text
        ("line\u2028line", "line\\u2028line"),
        ("Größe 4 × 5, µm, 図, 👩\u200d🚀", "Größe 4 × 5, µm, 図, 👩\u200d🚀"),
        ("tag\U000e0041", "tag\\U000e0041"),
    ],
)
def test_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert escaped(shown) == shown


@pytest.mark.parametrize("kind", [InputError, CheckpointError, gifnet.AlignmentError, MissingExtraError])
def test_messages_are_escaped(kind: type[InputError]) -> None:
    assert str(kind(f"{RED}\n: wrong")) == "\\x1b[31mred\\n: wrong"


def test_info_shows_its_own_rows_whatever_notes_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.safetensors"
    notes = {"sha256": "0" * 64, "gifnet": "9.9", "device": "cuda", "architecture": "other", RED: f"{RED}\nsha256 1"}
    save_weights(random_network(growth=2, position_hidden=4), path, notes)
    assert cli.main(["info", "--model", str(path), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    rows = [line.split(None, 1) for line in out.splitlines()]
    assert [row[1] for row in rows if row[0] == "sha256"] == [file_sha256(path)]
    assert [row[1] for row in rows if row[0] in ("gifnet", "device", "architecture")] == [
        gifnet.__version__,
        "cpu",
        "gifnet",
    ]
    assert ["note", f"sha256      {'0' * 64}"] in rows
    assert sum(line.startswith("note ") for line in out.splitlines()) == len(notes)


@pytest.mark.skipif(sys.platform == "win32", reason="no such file names")
def test_file_names_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index, stem in enumerate(("x", f"{RED}{name}", "bad\x1b]0;title\x07")):
            Image.fromarray(photo(16, 16, seed=index)).save(tmp_path / name / f"{stem}.png")
    (tmp_path / "a" / "bad\x1b]0;title\x07.png").write_bytes(b"damaged")
    lines: list[str] = []
    arguments = (tmp_path / "a", tmp_path / "b", tmp_path / "out")
    gifnet.fuse_folders(*arguments, model="gifnet", progress=False, report=lines.append)
    assert len(lines) == 3
    assert not any("\x1b" in line for line in lines)
    words = [*map(str, arguments[:2]), "-o", str(tmp_path / "out2")]
    assert cli.main(["fuse", *words]) == 1
    assert cli.main(["fuse", str(tmp_path / RED), str(tmp_path / "a" / "x.png"), "-o", str(tmp_path / "y.png")]) == 1
    assert cli.main(["eval", *words[:2], "--fused", f"{RED}={tmp_path / 'a'}", "--metrics", "SD", "--quiet"]) == 1
    with pytest.raises(SystemExit):
        cli.main(["fuse", *words[:2], "-o", f"x{RED}.png"])
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert captured.err.count("\\x1b") >= 5
    assert "\\x1b[31mred" in captured.out


def test_tables() -> None:
    failure = Failure(f"p{RED}", f"/x/{RED}", "no image", RED)
    evaluation = Evaluation((RED, "other"), ("SD",), 2, (Score(RED, RED, {"SD": 1.0}),), (failure,))
    both = SetsEvaluation({f"set{RED}\n": evaluation})
    for text in (evaluation.table(), evaluation.markdown(), both.table(), both.markdown()):
        assert "\x1b" not in text
        assert "\\x1b[31mred" in text
    assert json.loads(evaluation.json())["failures"][0]["model"] == RED, "data are kept"
    assert os.linesep not in both.table().splitlines()[0]
