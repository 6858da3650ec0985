"""``torch.hub.load`` of a checkout, as users call it: from another folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from gifnet.checkpoints.format import file_sha256, save_weights
from gifnet.networks.fast import FastConfig, FastNetwork

LOADED = """
import json, sys
import numpy as np
import torch

repository, weights = sys.argv[1:]
fuser = torch.hub.load(repository, "gifnet", source="local", device="cpu")
fast = torch.hub.load(repository, "gifnet_fast", weights=weights, source="local")
image = np.arange(30 * 40, dtype=np.uint8).reshape(30, 40)
fused = fuser.fuse(image, image[::-1])
try:
    torch.hub.load(repository, "tita", weights="no such file.safetensors", source="local")
except ValueError as error:
    message = str(error)
sys.path.insert(0, repository)
import hubconf
offered = [name for name, value in vars(hubconf).items() if callable(value) and not name.startswith("_")]
print(json.dumps([sorted(offered), fuser.sha256, str(fused.dtype), fused.shape, fast.sha256, message]))
"""


@pytest.mark.slow
def test_from_another_folder(tmp_path: Path) -> None:
    weights = tmp_path / "fast.safetensors"
    save_weights(FastNetwork(FastConfig(half=2, quarter=4)), weights)
    code = [sys.executable, "-c", LOADED, str(ROOT), str(weights)]
    done = subprocess.run(code, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    offered, bundled, dtype, shape, fast, message = json.loads(done.stdout)
    assert offered == ["gifnet", "gifnet_fast", "tita"]  # what torch.hub.list shows
    assert bundled == file_sha256(ROOT / "weights" / "gifnet.safetensors")
    assert (dtype, shape) == ("uint8", [30, 40])
    assert fast == file_sha256(weights)
    assert message.startswith("no such file.safetensors: no such file")


def test_what_it_depends_on_is_what_the_core_needs() -> None:
    names: dict[str, object] = {}
    text = (ROOT / "hubconf.py").read_text(encoding="utf-8")
    exec(next(line for line in text.splitlines() if line.startswith("dependencies = ")), names)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = project.partition("\ndependencies = [")[2].partition("]")[0]
    core = {line.strip().strip('",').partition(">")[0] for line in needed.splitlines() if line.strip()}
    assert set(names["dependencies"]) == core - {"pillow"} | {"PIL"}  # type: ignore[call-overload]
