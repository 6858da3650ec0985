"""What is shipped: the weights in the wheel and in an editable install, nothing else by accident."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from conftest import EXAMPLES, ROOT
from PIL import Image
from safetensors import safe_open

from gifnet.checkpoints.hub import resolve


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    names = ("gifnet", "weights", "examples", "pyproject.toml", "setup.cfg", "README.md", "LICENSE")
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)],
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_the_package_and_its_weights(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "gifnet/weights/gifnet.safetensors" in names
    assert "gifnet/weights/README.md" in names
    assert "gifnet/py.typed" in names
    pictures = {f"gifnet/demo/pictures/{path.name}" for path in EXAMPLES.glob("*.jpg")}
    assert pictures == {name for name in names if name.startswith("gifnet/demo/pictures/")} != set()
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "gifnet").rglob("*.py")}
    assert sources <= set(names), "a package is missing from pyproject.toml"
    assert {name.split("/")[0] for name in names} == {"gifnet", wheel.name.rsplit("-py3", 1)[0] + ".dist-info"}


def test_wheel_asks_for_what_the_core_needs_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        needs = message_from_bytes(file.read(name)).get_all("Requires-Dist") or []
    core = {re.split(r"[<>=~! ;\[]", need)[0] for need in needs if "extra ==" not in need}
    assert core == {"torch", "numpy", "pillow", "einops", "safetensors", "huggingface_hub", "tqdm"}


def test_wheel_finds_its_own_weights(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    for name in ("focus_a", "focus_b"):
        Image.open(EXAMPLES / f"{name}.jpg").crop((200, 100, 320, 180)).save(tmp_path / f"{name}.png")
    code = """
import json, runpy, sys, torch
had_compiler = "sympy" in sys.modules
import gifnet
from gifnet.checkpoints.hub import resolve
paths = [gifnet.__file__, str(resolve("gifnet").path)]
sys.argv = ["gifnet", "fuse", "focus_a.png", "focus_b.png", "-o", "fused.png"]
try:
    runpy.run_module("gifnet", run_name="__main__")
except SystemExit as stop:
    print(json.dumps([paths, stop.code, had_compiler or "sympy" not in sys.modules]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    paths, status, quick = json.loads(result.stdout)
    for path in paths:
        assert Path(path).is_relative_to(site)
    assert status == 0, result.stderr
    assert Image.open(tmp_path / "fused.png").size == (120, 80)
    assert quick, "torch's compiler, which takes a second to import, has no part in fusing"


def test_checkout_finds_its_weights() -> None:
    """In a checkout or an editable install the weights lie beside the package."""
    assert resolve("gifnet").path == ROOT / "weights" / "gifnet.safetensors"


def test_bundled_weights_are_this_project_s_own() -> None:
    """Trained here: their notes say how, and the model card repeats the file's hash."""
    path = ROOT / "weights" / "gifnet.safetensors"
    with safe_open(path, "pt") as file:
        notes = json.loads(file.metadata()["notes"])
    assert notes["trained_by"] == "gifnet"
    assert int(notes["iterations"]) > 0
    import hashlib

    assert hashlib.sha256(path.read_bytes()).hexdigest() in (ROOT / "weights" / "README.md").read_text()
