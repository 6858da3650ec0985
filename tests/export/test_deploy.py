"""docs/deploy.md: its code gives the colours that gifnet gives, in each of its languages."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, Mean, StandIn, photo
from PIL import Image

import gifnet
from gifnet import Fuser
from gifnet.networks.fast import FastConfig, FastNetwork


def code(language: str) -> str:
    """The document's block in a language."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


def pair() -> tuple[np.ndarray, np.ndarray]:
    """Grey (H, W), with black and white among it, and vivid colours (H, W, 3)."""
    grey = photo(45, 60, channels=0, seed=1).copy()
    grey[:8], grey[-8:] = 0, 255
    colours = photo(45, 60, seed=2).copy()
    colours[:, :20] = [255, 30, 10]
    colours[:, 20:24] = 200  # without colour
    return grey, colours


def assert_alike(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal, but for values that lie between two levels and are rounded either way."""
    difference = np.abs(found.astype(int) - wanted)
    assert found.shape == wanted.shape
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = FastNetwork(FastConfig()).eval()
    with torch.no_grad():
        network.choose.weight.normal_(std=0.3)
    fuser = Fuser(network, "cpu")
    monkeypatch.chdir(tmp_path)
    for image, name in zip(pair(), ("ir.png", "vis.png"), strict=True):
        Image.fromarray(image).save(name)
    gifnet.export_onnx("gifnet.onnx", fuser)
    exec(code("python"), {})
    assert_alike(np.asarray(Image.open("fused.png")), fuser.fuse(*pair()))


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


@pytest.mark.slow
def test_javascript(tmp_path: Path) -> None:
    """With Node.js and its package onnxruntime-node, where NODE_PATH or a folder above leads to it."""
    node = shutil.which("node")
    there = node and subprocess.run(
        [node, "-e", "require.resolve('onnxruntime-node')"], capture_output=True, check=False
    )
    if not there or there.returncode:
        pytest.skip("Node.js with onnxruntime-node is not at hand; npm install it, and set NODE_PATH")
    assert node
    grey, colours = pair()
    height, width = grey.shape
    for image, name in ((rgb(grey), "infrared"), (colours, "visible")):
        alpha = np.full((height, width, 1), 200, np.uint8)
        (tmp_path / name).write_bytes(np.concatenate([image, alpha], axis=-1).tobytes())
    gifnet.export_onnx(tmp_path / "gifnet.onnx", gifnet.load(device="cpu"))
    driver = f"""
const fs = require("fs");
(async () => {{
  const session = await ort.InferenceSession.create("gifnet.onnx");
  const [infrared, visible] = ["infrared", "visible"].map((name) => new Uint8Array(fs.readFileSync(name)));
  fs.writeFileSync("fused", await fuse(session, infrared, visible, {width}, {height}));
}})();
"""
    (tmp_path / "fuse.js").write_text(code("js") + driver)
    subprocess.run([node, "fuse.js"], cwd=tmp_path, check=True, timeout=300)
    fused = np.frombuffer((tmp_path / "fused").read_bytes(), np.uint8).reshape(height, width, 4)
    assert (fused[..., 3] == 200).all()
    assert_alike(fused[..., :3], gifnet.fuse(grey, colours, device="cpu"))


class Larger(Mean):
    """The larger of both planes, as the header in stand_in has it."""

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return planes.amax(dim=1, keepdim=True)


class LargerNetwork(StandIn):
    def form(self) -> Mean:
        return Larger()


@pytest.mark.slow
def test_cpp(tmp_path: Path) -> None:
    """The colours: with a header in onnxruntime's place, for onnxruntime's own comes with no package."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        pytest.skip("no C++ compiler is at hand")
    grey, colours = pair()
    height, width = grey.shape
    for image, name in ((rgb(grey), "infrared"), (colours, "visible")):
        (tmp_path / name).write_bytes(image.tobytes())
    driver = f"""
#include <fstream>
#include <iterator>
int main() {{
    const auto read = [](const char* name) {{
        std::ifstream file(name, std::ios::binary);
        return Bytes(std::istreambuf_iterator<char>(file), {{}});
    }};
    Ort::Session session;
    const Bytes fused = fuse(session, read("infrared"), read("visible"), {height}, {width});
    std::ofstream("fused", std::ios::binary).write(reinterpret_cast<const char*>(fused.data()), fused.size());
}}
"""
    (tmp_path / "fuse.cpp").write_text(code("cpp") + driver)
    stand_in = ROOT / "tests" / "export" / "stand_in"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", str(stand_in)]
    subprocess.run([compiler, *flags, "fuse.cpp", "-o", "fuse"], cwd=tmp_path, check=True, timeout=300)
    subprocess.run([tmp_path / "fuse"], cwd=tmp_path, check=True, timeout=60)
    fused = np.frombuffer((tmp_path / "fused").read_bytes(), np.uint8).reshape(height, width, 3)
    assert_alike(fused, Fuser(LargerNetwork(), "cpu").fuse(grey, colours))
