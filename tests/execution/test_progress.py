"""Whatever becomes of stderr, the work is done: closed, missing, full, its reader gone, or of a caller's making."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Passing, photo
from PIL import Image

import gifnet
from gifnet import Fuser
from gifnet.cli import main


class Closed(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.close()


class Raising:
    """As GUIs and test frameworks put in stderr's place: incomplete, and raising what they like."""

    def write(self, text: str) -> int:
        raise RuntimeError("this window is gone")


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    def isatty(self) -> bool:
        return True


STREAMS: dict[str, Any] = {"missing": None, "closed": Closed(), "raising": Raising(), "gone": Gone()}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for seed, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for index in range(2):
            Image.fromarray(photo(24, 32, 0, seed=10 * index + seed)).save(tmp_path / name / f"{index}.png")
    (tmp_path / "a" / "2.png").write_bytes(b"no image")  # so that there is something to say
    return tmp_path


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("progress", [True, None])
def test_a_bar_that_cannot_be_shown_stops_nothing(
    stream: str, progress: bool | None, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuser = Fuser(Passing(), "cpu")
    a, b = np.random.default_rng(0).random((2, 9, 9), dtype=np.float32)
    monkeypatch.setattr(sys, "stderr", STREAMS[stream])
    np.testing.assert_allclose(fuser.fuse(a, b, progress=progress), (a + b) / 2, atol=1e-6)
    done = gifnet.fuse_folders(folders / "a", folders / "b", folders / "out", progress=True, device="cpu")
    assert (len(done.done), len(done.failed)) == (2, 1)


@pytest.mark.parametrize("stream", STREAMS)
def test_messages_of_the_command_line_stop_nothing(
    stream: str, folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", STREAMS[stream])
    a, b, out = (str(folders / name) for name in ("a", "b", "out"))
    assert main(["fuse", a, b, "-o", out]) == 1
    assert sorted(path.name for path in Path(out).glob("*.png")) == ["0.png", "1.png"]
    assert main(["enhance", str(folders / "none.png"), "-o", str(folders / "x.png")]) == 1
    assert main(["eval", a, b, "--fused", f"it={out}", "--metrics", "EN"]) in (0, 1)
    with pytest.raises(SystemExit) as stop:
        main(["fuse"])
    assert stop.value.code == 2
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert "gifnet:" not in capsys.readouterr().out, "messages are for stderr"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_the_exit_status_is_that_of_the_work(folders: Path) -> None:
    (folders / "a" / "2.png").unlink()
    command = "import os, sys; os.environ['GIFNET_DEVICE'] = 'cpu'; from gifnet.cli import main; sys.exit(main())"
    arguments = ["fuse", folders / "a", folders / "b", "-o", folders / "out"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", sys.executable, "-c", command, *map(str, arguments)],
        check=False, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"")
    assert len(list((folders / "out").glob("*.png"))) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no sh")
def test_no_file_takes_the_place_of_a_closed_stream() -> None:
    """The status is the first file that is opened after both kinds of messages, wrong usage last."""
    code = """
import os, sys
from gifnet.cli import main
assert main(["enhance", "x", "-o", "x.png"]) == 1
try:
    main(["fuse"])
except SystemExit as stop:
    assert stop.code == 2
    sys.exit(os.open(os.devnull, os.O_RDONLY))
"""
    done = subprocess.run(["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", sys.executable, "-c", code], check=False)
    assert done.returncode >= 3
