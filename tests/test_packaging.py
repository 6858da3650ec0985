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
    code = "import gifnet, json; from gifnet.checkpoints.hub import resolve; "
    code += "print(json.dumps([gifnet.__file__, str(resolve('gifnet').path)]))"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    for path in json.loads(result.stdout):
        assert Path(path).is_relative_to(site)
    out = tmp_path / "fused.png"
    subprocess.run(
        [sys.executable, "-m", "gifnet", "fuse", EXAMPLES / "focus_a.jpg", EXAMPLES / "focus_b.jpg", "-o", out],
        cwd=tmp_path, env=environment, check=True, timeout=300,
    )  # fmt: skip
    assert Image.open(out).size == (600, 400)


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
