"""A transform that is known: an Alignment, a matrix or a file, in place of a search."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run
from conftest import Passing
from PIL import Image

import gifnet
from gifnet import AlignmentError, Fuser, InputError
from gifnet.prepare.preparation import Preparation

cv2 = pytest.importorskip("cv2", reason="needs the extra [align]")
SHIFT = np.array([[1.0, 0.0, 6.0], [0.0, 1.0, -4.0], [0.0, 0.0, 1.0]])  # pixel (x, y) of a is (x + 6, y - 4) of b


@pytest.fixture(scope="module")
def mean() -> Fuser:
    return Fuser(Passing(), "cpu")


def rig() -> tuple[np.ndarray, np.ndarray]:
    """Two cameras' images of one scene, the second of which sees it 6 pixels further right and 4 higher."""
    scene = np.random.default_rng(3).random((30, 40)).astype(np.float32)
    scene = cv2.resize(scene, (240, 180), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    scene = (scene * 255).round().astype(np.uint8)
    return scene[20:148, 30:190].copy(), scene[24:152, 24:184].copy()


def test_a_matrix_in_place_of_a_search(mean: Fuser) -> None:
    a, b = rig()
    for known in (SHIFT, SHIFT.tolist(), SHIFT[:2], gifnet.Alignment(SHIFT, 1.0, (0, 0, 9, 9), "affine", (160, 128))):
        fused = mean.fuse(a, b, align=known)
        assert fused.shape == (124, 154), "what both show"
        assert np.abs(fused.astype(int) - a[4:, :154]).max() <= 1, "both show the same"


def test_a_file_that_the_command_writes(mean: Fuser, tmp_path: Path) -> None:
    paths = tmp_path / "a.png", tmp_path / "b.png"
    for path, image in zip(paths, rig(), strict=True):
        Image.fromarray(image).save(path)
    transform, out = tmp_path / "T.json", tmp_path / "out.png"
    done = run("align", *paths, "-o", transform, "--motion", "translation")
    assert done.returncode == 0, done.stderr
    found = json.loads(transform.read_text())
    np.testing.assert_allclose(found["matrix"], SHIFT, atol=0.1)
    assert found["size"] == found["size_b"] == [160, 128]
    done = run("fuse", *paths, "-o", out, f"--align={transform}", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    expected = gifnet.fuse(*paths, align=transform, device="cpu")
    assert np.asarray(Image.open(out)).shape == np.asarray(expected).shape
    np.testing.assert_array_equal(np.asarray(mean.fuse(*paths, align=str(transform))).shape, Image.open(out).size[::-1])


def test_alignment_needs_no_scale(tmp_path: Path) -> None:
    """Kelvin with NaN beside a photograph."""
    a, b = rig()
    kelvin = 280 + 40 * a.astype(np.float32) / 255
    kelvin[:3, :5] = np.nan
    np.testing.assert_allclose(gifnet.align(kelvin, b, motion="translation").matrix, SHIFT, atol=0.1)
    np.save(tmp_path / "a.npy", kelvin)
    Image.fromarray(b).save(tmp_path / "b.png")
    paths, transform = (tmp_path / "a.npy", tmp_path / "b.png"), tmp_path / "T.json"
    assert run("align", *paths, "-o", transform, "--motion", "translation").returncode == 0
    limits = "--stretch=280,320,a"
    done = run("fuse", *paths, "-o", tmp_path / "out.png", f"--align={transform}", limits, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out.png").size == (154, 124)


def test_a_transform_of_other_sizes_is_refused(mean: Fuser, tmp_path: Path) -> None:
    a, b = rig()
    path = tmp_path / "T.json"
    gifnet.Alignment(SHIFT, 1.0, (0, 0, 9, 9), "affine", (160, 128), (160, 128)).save(path)
    assert mean.fuse(a, b, align=path).shape == (124, 154)
    with pytest.raises(InputError, match=r"T\.json: is a transform for images of 160×128 pixels, and b is 80×64"):
        mean.fuse(a, b[::2, ::2].copy(), align=path)
    with pytest.raises(AlignmentError, match="takes no pixel of a into b; give a matrix from a's pixels to b's"):
        mean.fuse(a, b, align=SHIFT * [[1, 1, 100], [1, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is no JSON"),
        ("{}", "give 3×3 numbers"),
        ('{"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "size": 5}', "5 is no size"),
        ("[[1, 0], [0, 1]]", "give 3×3 numbers"),
    ],
)
def test_files_that_are_none(content: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "T.json"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"T\.json: .*{problem}"):
        Preparation.checked(align=path)
    with pytest.raises(InputError, match=r"U\.json: can't be read .*gifnet align A B -o T\.json"):
        Preparation.checked(align=tmp_path / "U.json")


def test_the_search_goes_as_far_as_is_said(mean: Fuser) -> None:
    a, _ = rig()
    turned = cv2.warpAffine(a, cv2.getRotationMatrix2D((80, 64), 11, 1), (160, 128), borderMode=cv2.BORDER_REFLECT)
    with pytest.raises(AlignmentError, match=r"max_shift=0\.25.*max_rotation=3.*max_scale=1\.06.*--max-rotation"):
        mean.fuse(a, np.ascontiguousarray(a[::-1].T.repeat(2, 1)), align="similarity", max_rotation=3)
    found = mean.fuse(a, turned, align="similarity", max_rotation=14)
    assert found.shape[0] * found.shape[1] > 0.4 * a.size


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_shift": 0.4}, "max_shift: goes with align=True"),
        ({"align": SHIFT, "max_scale": 1.5}, "max_scale: is not for a given transform"),
        ({"align": "translation", "max_rotation": 20}, "max_rotation: not with align='translation'"),
        ({"align": True, "max_shift": 2}, "max_shift: 2 is outside 0 to 0.5"),
    ],
)
def test_limits_of_no_search_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Preparation.checked(**options)


def test_a_transform_is_not_for_stacks(mean: Fuser) -> None:
    a, b = rig()
    with pytest.raises(InputError, match="a transform is for two images; for a stack give True or a motion"):
        mean.fuse(a, b, a, align=SHIFT)


def test_the_command_refuses_what_is_no_transform(tmp_path: Path) -> None:
    done = run("align", "a.png", "b.png", "-o", tmp_path / "T.json", "--crop")
    assert done.returncode == 2
    assert "--crop" in done.stderr
    done = run("fuse", "a.png", "b.png", "-o", "out.png", "--align=turn")
    assert done.returncode == 2
    assert "--align=T.json" in done.stderr
