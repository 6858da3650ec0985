"""The depth map of a focus stack: which frame each pixel is sharpest in."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from commands import run
from conftest import Passing
from PIL import Image

from gifnet import Fuser, InputError

FRAMES = 7
HEIGHT, WIDTH = 160, 224


@pytest.fixture(scope="module")
def mean() -> Fuser:
    return Fuser(Passing(), "cpu")


def ramp_stack(flat: bool = False) -> tuple[list[np.ndarray], np.ndarray]:
    """A textured plane tilted away, each frame focused on another part of it; and the frame that is right, (H, W)."""
    texture = np.random.default_rng(0).random((HEIGHT, WIDTH)).astype(np.float32)
    texture = cv2.GaussianBlur(texture, (0, 0), 0.8)
    texture = (texture - texture.min()) / np.ptp(texture)
    if flat:
        texture[60:100, 90:140] = 0.5
    depth = np.tile(np.linspace(0, FRAMES - 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
    blurred = [texture, *(cv2.GaussianBlur(texture, (0, 0), 0.25 * step) for step in range(1, 4 * FRAMES))]
    frames = []
    for index in range(FRAMES):
        step = np.abs(depth - index) * 4
        below = np.floor(step).astype(int)
        rows, columns = np.indices(depth.shape)
        levels = np.stack(blurred)
        one, two = levels[below, rows, columns], levels[np.minimum(below + 1, len(levels) - 1), rows, columns]
        frames.append(((one + (two - one) * (step - below)) * 255).round().astype(np.uint8))
    return frames, depth


def test_each_pixel_says_its_frame(mean: Fuser) -> None:
    frames, expected = ramp_stack()
    fused, depth = mean.fuse(frames, return_depth=True)
    assert fused.shape == depth.shape == (HEIGHT, WIDTH)
    assert depth.dtype == np.float32
    error = np.abs(depth - expected)
    assert error.mean() < 0.25, "a quarter of the distance between two frames"
    assert error.max() < 1.0
    np.testing.assert_array_equal(fused, mean.fuse(frames))
    backwards = mean.fuse(frames[::-1], return_depth=True)[1]
    np.testing.assert_allclose(FRAMES - 1 - backwards, depth, atol=1e-3)


def test_what_is_flat_is_filled_from_around(mean: Fuser) -> None:
    frames, expected = ramp_stack(flat=True)
    depth = mean.fuse(*frames, return_depth=True)[1]
    hole = (slice(60, 100), slice(90, 140))
    assert np.abs(depth[hole] - expected[hole]).max() < 1.2
    assert np.abs(np.diff(depth, axis=1)).max() < 0.5, "no seams"


def test_two_images_and_tensors(mean: Fuser) -> None:
    frames, _ = ramp_stack()
    depth = mean.fuse(frames[0], frames[-1], return_depth=True)[1]
    assert depth[:, :40].mean() < 0.1
    assert depth[:, -40:].mean() > 0.9
    tensors = [torch.from_numpy(frame / 255).float()[None] for frame in frames]
    fused, depth = mean.fuse(*tensors, return_depth=True)
    assert isinstance(fused, torch.Tensor)
    np.testing.assert_allclose(depth, mean.fuse(frames, return_depth=True)[1], atol=1e-2)


def test_frames_all_alike_have_some_depth(mean: Fuser) -> None:
    flat = np.full((40, 50), 99, np.uint8)
    depth = mean.fuse([flat] * 3, return_depth=True)[1]
    assert np.isfinite(depth).all()
    assert ((depth >= 0) & (depth <= 2)).all()


def test_the_command_writes_16_bits(tmp_path: Path) -> None:
    """Of the pages of one TIFF, and of files."""
    frames, expected = ramp_stack()
    stack, out = tmp_path / "stack.tif", tmp_path / "out.png"
    tifffile.imwrite(stack, np.stack(frames), photometric="minisblack")
    done = run("fuse", "--stack", stack, "-o", out, "--depth", tmp_path / "depth.png", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    depth = np.asarray(Image.open(tmp_path / "depth.png"))
    assert depth.dtype == np.uint16
    assert np.abs(depth / 65535 * (FRAMES - 1) - expected).mean() < 0.25
    assert Image.open(out).size == (WIDTH, HEIGHT)
    files = [tmp_path / f"{index}.png" for index in range(FRAMES)]
    for path, frame in zip(files, frames, strict=True):
        Image.fromarray(frame).save(path)
    done = run("fuse", *files, "-o", out, "--depth", tmp_path / "depth.tif", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "depth.tif")), depth)


@pytest.mark.parametrize(
    ("depth", "problem"), [("depth.jpg", "16 bits"), ("out.png", "another name"), ("none/depth.png", "does not exist")]
)
def test_wrong_names(depth: str, problem: str, tmp_path: Path) -> None:
    frames, _ = ramp_stack()
    for name in "ab":
        Image.fromarray(frames[0]).save(tmp_path / f"{name}.png")
    done = run("fuse", tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "out.png", "--depth", tmp_path / depth)
    assert done.returncode == 1
    assert problem in done.stderr
    assert not (tmp_path / "out.png").exists()


def test_folders_have_none(tmp_path: Path) -> None:
    done = run("fuse", tmp_path, tmp_path, "-o", tmp_path / "out", "--depth", "depth.png")
    assert done.returncode == 2
    assert "--depth is for a stack" in done.stderr


def test_a_file_of_one_image_is_no_stack(mean: Fuser, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match=r"one.png: holds one image; fusion takes two or more"):
        mean.fuse(tmp_path / "one.png")
