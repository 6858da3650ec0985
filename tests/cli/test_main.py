"""The command line as users run it: as a process."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import run, run_fresh
from conftest import EXAMPLES, photo, shared_file
from PIL import Image

import gifnet


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "a.png", tmp_path / "b.png")
    for seed, path in enumerate(paths):
        Image.fromarray(photo(seed=seed)).save(path)
    return paths


def assert_failed(result: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    assert result.returncode == status, result.stderr
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def test_fuse_writes_what_the_library_gives(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "fused.png"
    result = run("fuse", *pair, "-o", out, "--device", "cpu")
    assert result.returncode == 0, result.stderr
    # Thread counts differ between processes, and so may the last bit: one level.
    difference = np.asarray(Image.open(out)).astype(int) - np.asarray(gifnet.fuse(*pair, device="cpu")).astype(int)
    assert np.abs(difference).max() <= 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png", "fused.png"}


def test_the_installed_command(pair: tuple[Path, Path], tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("gifnet")
    if not command.exists():
        pytest.skip("gifnet is not installed in this environment")
    out = tmp_path / "out.jpg"
    subprocess.run([command, "fuse", *pair, "-o", out], check=True, timeout=300)
    assert Image.open(out).format == "JPEG"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".PNG"])
def test_enhance_writes_every_format(pair: tuple[Path, Path], tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    result = run("enhance", pair[0], "-o", out, "--strength", "0")
    assert result.returncode == 0, result.stderr
    with Image.open(out) as image:
        assert image.size == (56, 40)
        if suffix not in (".jpg", ".jpeg", ".webp"):
            np.testing.assert_array_equal(np.asarray(image), photo(seed=0))


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    grey = photo(channels=0).astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "grey.png")
    result = run("enhance", tmp_path / "grey.png", "-o", tmp_path / "out.tif", "--strength", "0")
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.tif")), grey)


def test_wrong_usage_is_2(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = pair
    assert_failed(run("fuse", a), 2, "B")
    assert_failed(run("fuse", a, b), 2, "-o")
    assert_failed(run("fuse", a, b, "-o", tmp_path / "out.xyz"), 2, ".xyz", ".png")
    assert_failed(run("melt", a), 2, "melt", "fuse")
    assert_failed(run(), 2, "COMMAND")
    assert_failed(run("enhance", a, "-o", tmp_path / "o.png", "--strength", "much"), 2, "much")
    assert_failed(run("convert", a, tmp_path / "out.pth"), 2, ".safetensors")


def test_failed_work_is_1_and_leaves_nothing(pair: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = pair
    small = tmp_path / "small.png"
    Image.fromarray(photo(8, 8)).save(small)
    broken = tmp_path / "broken.png"
    broken.write_bytes(a.read_bytes()[:300])
    out = tmp_path / "out.png"
    out.write_text("what was there before")
    before = {path.name for path in tmp_path.iterdir()}
    assert_failed(run("fuse", a, tmp_path / "none.png", "-o", out), 1, "none.png", "no such file")
    assert_failed(run("fuse", a, small, "-o", out), 1, "56×40", "8×8", "resize")
    assert_failed(run("fuse", a, broken, "-o", out), 1, "broken.png")
    assert_failed(run("fuse", a, b, "-o", tmp_path / "none" / "out.png"), 1, "none", "does not exist")
    assert_failed(run("fuse", a, b, "-o", out, "--device", "toaster"), 1, "toaster")
    assert_failed(run("fuse", a, b, "-o", out, GIFNET_DEVICE="cuda:99"), 1, "GIFNET_DEVICE", "cuda:99")
    assert_failed(run("fuse", a, b, "-o", out, "--model", "nonsense"), 1, "nonsense", "gifnet")
    assert_failed(run("enhance", a, "-o", out, "--strength", "2"), 1, "strength")
    Image.fromarray(photo(channels=4)).save(tmp_path / "alpha.png")
    before.add("alpha.png")
    assert_failed(run("enhance", tmp_path / "alpha.png", "-o", tmp_path / "alpha.jpg"), 1, "alpha.jpg", "PNG")
    assert {path.name for path in tmp_path.iterdir()} == before
    assert out.read_text() == "what was there before"


def test_info_names_versions_device_weights_and_hash() -> None:
    result = run("info", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["gifnet"] == gifnet.__version__
    assert rows["device"] == "cpu"
    assert rows["dtype"] == "float32"
    weights = Path(rows["weights"])
    assert rows["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert rows["main"] in ("mm", "dp")


def test_version_and_help() -> None:
    assert run("--version").stdout.strip() == f"gifnet {gifnet.__version__}"
    text = run_fresh("--help").stdout
    for command in ("fuse", "enhance", "convert", "info", "eval"):
        assert command in text


def test_convert_and_use_the_paper_s_checkpoint(pair: tuple[Path, Path], tmp_path: Path) -> None:
    official = shared_file("reference/gifnet_official.pth")
    out = tmp_path / "official.safetensors"
    assert run("convert", official, out).returncode == 0
    result = run("fuse", *pair, "-o", tmp_path / "o.png", "--model", out)
    assert result.returncode == 0, result.stderr
    assert Image.open(tmp_path / "o.png").size == (56, 40)
    assert_failed(run("convert", EXAMPLES / "focus_a.jpg", out), 1, "focus_a.jpg", "released")
    assert_failed(run("fuse", "a", "b", "-o", tmp_path / "p.png", "--model", official), 1, "gifnet convert")
