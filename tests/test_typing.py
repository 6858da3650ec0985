"""What type checkers see of the public functions. mypy's cache of the project, if there is one, makes this quick."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

CODE = """
from typing import Any
from typing_extensions import assert_type
import io
import numpy as np
from PIL import Image
import gifnet

x: "np.ndarray[Any, Any]"
image: Image.Image
fuser: gifnet.Fuser

assert_type(gifnet.fuse(b"", x, tile=64), bytes)
assert_type(gifnet.fuse(image, x, x, stretch=(1, 99), device="cpu"), Image.Image)
assert_type(gifnet.fuse(x, x, return_depth=True)[1], "np.ndarray[Any, np.dtype[np.float32]]")
assert_type(gifnet.fuse([x, x], stretch=(7000, 9000, "values")), Any)
gifnet.fuse(image, io.BytesIO(), align=np.eye(3), colour="b")
gifnet.fuse(x, x, align=gifnet.align(x, x))
assert_type(gifnet.enhance(x, 0.5, memory="2GB"), "np.ndarray[Any, Any]")
assert_type(fuser.fuse(x, "b.png", resize="a", out=x), "np.ndarray[Any, Any]")
assert_type(fuser.enhance(image, page=1), Image.Image)
assert_type(gifnet.fuse(b"", x, model=fuser), bytes)
assert_type(gifnet.enhance(x, model=fuser), "np.ndarray[Any, Any]")
gifnet.fuse_files("a", "b", "c", model=fuser)
gifnet.enhance_file("a", "c", model=fuser)
gifnet.fuse_folders("a", "b", "c", model=fuser)
gifnet.enhance_folder("a", "c", model=fuser)
gifnet.pansharpen(x, x, model=fuser)

gifnet.fuse(x, x, tyle=3)  # wrong: tyle
gifnet.fuse(x, x, tile="all")  # wrong: No overload
gifnet.fuse(x, x, colour="c")  # wrong: No overload
gifnet.enhance(x, tyle=3)  # wrong: tyle
gifnet.enhance(x, resize="a")  # wrong: resize
fuser.fuse(x, x, tyle=3)  # wrong: tyle
fuser.fuse(x, x, device="cpu")  # wrong: device
fuser.enhance(x, strenght=1)  # wrong: strenght
gifnet.fuse_files("a", "b", "c", tyle=3)  # wrong: tyle
gifnet.enhance_file("a", "c", tyle=3)  # wrong: tyle
gifnet.fuse_folders("a", "b", "c", tyle=3)  # wrong: tyle
gifnet.fuse_folders("a", "b", "c", out=x)  # wrong: out
gifnet.enhance_folder("a", "c", tyle=3)  # wrong: tyle
gifnet.pansharpen(x, x, tyle=3)  # wrong: tyle
gifnet.align(x, x, motion="turn")  # wrong: motion
gifnet.load(devise="cpu")  # wrong: devise
gifnet.load(fuser)  # wrong: Fuser
gifnet.fuse_files("a", "b", "c", model=3)  # wrong: int
"""


@pytest.mark.slow
def test_misspelt_options_are_errors_of_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    file = tmp_path / "code.py"
    file.write_text(CODE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-pretty", file],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "MYPYPATH": str(ROOT)},
    )  # fmt: skip
    errors: dict[int, str] = {}
    for line in done.stdout.splitlines():
        place, kind, message = (*line.split(": ", 2), "", "")[:3]
        if kind == "error":
            errors.setdefault(int(place.rsplit(":", 1)[1]), "")
            errors[int(place.rsplit(":", 1)[1])] += message
    expected = {
        number: line.partition("# wrong: ")[2]
        for number, line in enumerate(CODE.splitlines(), 1)
        if "# wrong: " in line
    }
    assert errors.keys() == expected.keys(), done.stdout + done.stderr
    for number, word in expected.items():
        assert word in errors[number], errors[number]
