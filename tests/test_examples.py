"""The examples that do more than one call, on data made here."""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from conftest import ROOT
from PIL import Image


def example(name: str, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(ROOT / "examples" / name)
    monkeypatch.setattr("sys.argv", [path, *map(str, arguments)])
    runpy.run_path(path, run_name="__main__")


def scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((30, 40)).astype(np.float32)
    return cv2.resize(coarse, (240, 180), interpolation=cv2.INTER_CUBIC).clip(0, 1)


@pytest.mark.slow
def test_thermal_fixed_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts of a 14-bit camera, 5 pixels beside the visible one; the second frame is blank, and can't be aligned."""
    thermal, visible, out = (tmp_path / name for name in ("thermal", "visible", "out"))
    thermal.mkdir()
    visible.mkdir()
    for index, contrast in enumerate((1.0, 0.0)):
        counts = 7000 + 2000 * (0.5 + contrast * (scene(1)[20:148, 30:190] - 0.5))
        tifffile.imwrite(thermal / f"{index}.tif", counts.astype(np.uint16), photometric="minisblack")
        Image.fromarray((scene(1)[20:148, 35:195] * 255).astype(np.uint8)).save(visible / f"{index}.jpg", quality=95)
    example("thermal_fixed_rig.py", thermal, visible, out, 7000, 9000, monkeypatch=monkeypatch)
    assert "2 fused, 0 as they were, 0 failed" in capsys.readouterr().out
    assert (out / "T.json").is_file()
    frames = [np.asarray(Image.open(out / f"{index}.png")) for index in range(2)]
    assert frames[0].shape == frames[1].shape
    assert frames[0].shape[1] in (154, 155, 156)
    example("thermal_fixed_rig.py", thermal, visible, out, 7000, 9000, monkeypatch=monkeypatch)
    assert "0 fused, 2 as they were" in capsys.readouterr().out


@pytest.mark.slow
def test_microscope_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sharp = (scene(2) * 255).astype(np.uint8)
    pages = []
    for index in range(3):
        soft = cv2.GaussianBlur(sharp, (0, 0), 3)
        left = 80 * index
        soft[:, left : left + 80] = sharp[:, left : left + 80]
        pages.append(soft)
    tifffile.imwrite(tmp_path / "stack.tif", np.stack(pages), photometric="minisblack")
    arguments = tmp_path / "stack.tif", tmp_path / "out.png", tmp_path / "depth.png", 2.5
    example("microscope_stack.py", *arguments, monkeypatch=monkeypatch)
    assert "heights above the first page: 0." in capsys.readouterr().out
    depth = np.asarray(Image.open(tmp_path / "depth.png")) / 65535 * 2
    width = depth.shape[1]
    for index in range(3):
        middle = depth[40:-40, width * index // 3 + 20 : width * (index + 1) // 3 - 20]
        assert abs(float(middle.mean()) - index) < 0.2


@pytest.mark.parametrize("name", ["thermal_fixed_rig.py", "microscope_stack.py"])
def test_without_arguments_they_say_how(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="python examples/"):
        example(name, monkeypatch=monkeypatch)
