"""Alignment: known warps found again, across modalities; unrelated images refused; what fuse and the command do."""

import itertools
import json
import logging
import math
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from commands import run
from conftest import EXAMPLES, Mean, StandIn, photo, shared_file
from PIL import Image

import gifnet
from gifnet import Alignment, AlignmentError, Fuser, InputError
from gifnet.prepare.alignment import MIN_CONFIDENCE, MOTIONS
from gifnet.prepare.alignment.transform import overlap_of

cv2 = pytest.importorskip("cv2", reason="needs the extra [align]")

PHOTOS = ["astronaut", "camera", "chelsea", "coffee", "rocket", "coins", "retina", "motorcycle"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def grey(name: str, side: int = 320) -> np.ndarray:
    """A photograph, float32 (H, W) in [0, 1], ``side`` pixels on its longer side."""
    return _grey(name, side).copy()


@cache
def _grey(name: str, side: int) -> np.ndarray:
    if name.startswith("examples/"):
        image = Image.open(EXAMPLES / name.removeprefix("examples/"))
    elif name == "motorcycle":
        image = Image.fromarray(skimage.data.stereo_motorcycle()[0])
    else:
        image = Image.fromarray(getattr(skimage.data, name)())
    image = image.convert("L")
    image.thumbnail((side, side))
    return np.asarray(image, dtype=np.float32) / 255


def as_other_sensor(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """What a sensor might give to which brightness means something else."""
    image = cv2.GaussianBlur(image, (0, 0), 1)
    if kind == "inverted":
        other = 1 - image
    elif kind == "retoned":  # not monotonous: two greys become one
        other = 0.5 + 0.5 * np.cos(3 * math.pi * image)
    elif kind == "edges":
        other = np.hypot(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1))
    else:  # dark: deep shadow, and the noise that goes with it
        other = 0.15 * image**2
    return (other + rng.normal(0, 0.01, other.shape)).clip(0, 1).astype(np.float32)


def random_motion(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Up to 20 pixels of shift either way, 3° and 3 % about the centre: from the image to its warped copy."""
    angle, scale = math.radians(rng.uniform(-3, 3)), 1 + rng.uniform(-0.03, 0.03)
    centre = np.array([width - 1, height - 1]) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix[:2, 2] = centre - matrix[:2, :2] @ centre + rng.uniform(-20, 20, 2)
    return matrix


def moved(image: np.ndarray, matrix: np.ndarray, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
    height, width = image.shape[:2]
    return cv2.warpPerspective(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=border).clip(0, 1)


def corners(matrix: np.ndarray, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    points = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)]) @ matrix.T
    return points[:, :2] / points[:, 2:]


def corner_error(found: np.ndarray, true: np.ndarray, image: np.ndarray) -> float:
    """Mean distance in pixels of where the image's four corners go."""
    return float(np.linalg.norm(corners(found, image) - corners(true, image), axis=1).mean())


# --- known motions --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, pytest.param(len(PHOTOS), marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["inverted", "retoned", "edges", "dark"])
def test_known_motion_between_modalities(kind: str, count: int) -> None:
    rng = np.random.default_rng(list(kind.encode()))
    errors = []
    borders = itertools.cycle([cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101])
    for name, border in zip(PHOTOS[:count], borders, strict=False):
        a = grey(name)
        b = as_other_sensor(a, kind, rng)
        true = random_motion(rng, a.shape[1], a.shape[0])
        found = gifnet.align(a, moved(b, true, border), min_confidence=0)
        errors.append(corner_error(found.matrix, true, a))
        if errors[-1] <= 1.5:
            assert found.confidence >= MIN_CONFIDENCE, f"{name}: right, but refused"
    assert np.median(errors) <= 0.8, errors
    assert np.mean(np.array(errors) <= 1.5) >= 0.75, errors


@pytest.mark.parametrize(
    ("folder", "count"),
    [
        pytest.param("ivif", 1, id="infrared"),
        pytest.param("nir", 1, id="near-infrared"),
        pytest.param("meif", 1, id="exposures"),
        pytest.param("ivif", 6, id="infrared, many", marks=pytest.mark.slow),
        pytest.param("nir", 5, id="near-infrared, many", marks=pytest.mark.slow),
        pytest.param("meif", 4, id="exposures, many", marks=pytest.mark.slow),
    ],
)
def test_known_motion_of_real_pairs(folder: str, count: int) -> None:
    """Relative to what is found for the pair as it is: infrared-visible pairs are off by some pixels themselves."""
    paths = sorted(shared_file(f"data/dev/{folder}/a").iterdir())
    rng = np.random.default_rng(5)
    errors = []
    for path in paths[:: math.ceil(len(paths) / count)]:
        (other,) = shared_file(f"data/dev/{folder}/b").glob(f"{path.stem}.*")
        images = [Image.open(file).convert("RGB") for file in (path, other)]
        if count == 1:
            images = [image.reduce(2) for image in images]
        a, b = (np.asarray(image, dtype=np.float32) / 255 for image in images)
        true = random_motion(rng, b.shape[1], b.shape[0])
        unmoved = gifnet.align(a, b).matrix  # accepted, or this raises
        found = gifnet.align(a, moved(b, true)).matrix
        errors.append(corner_error(found, true @ unmoved, a))
    assert np.median(errors) <= 1.5, errors


@pytest.mark.parametrize("count", [1, pytest.param(24, marks=pytest.mark.slow)])
def test_unrelated_images_are_refused(count: int) -> None:
    images = {name: grey(name) for name in [*PHOTOS, "examples/focus_a.jpg"]}
    pairs = list(itertools.permutations(images, 2))[:: 72 // count]
    assert len(pairs) == count
    for first, second in pairs:
        with pytest.raises(AlignmentError, match="confidence"):
            gifnet.align(images[first], images[second])


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions(motion: Any) -> None:
    """Each finds a motion of its kind, and gives no other."""
    a = grey("coffee")
    true = np.array([[1, 0, 9.5], [0, 1, -6.25], [0, 0, 1.0]])
    if motion != "translation":
        true[:2, :2] = [[0.99, -0.02], [0.02, 0.99]]
    if motion in ("affine", "homography"):
        true[0, 1] += 0.015
        true[1, 1] += 0.02
    if motion == "homography":
        true[2, :2] = 8e-5, -5e-5
    found = gifnet.align(a, 1 - moved(a, true, cv2.BORDER_REPLICATE), motion=motion)
    assert found.motion == motion
    assert corner_error(found.matrix, true, a) < 0.3
    if motion == "translation":
        np.testing.assert_allclose(found.matrix[:, :2], np.eye(3)[:, :2], atol=1e-9)
    if motion == "similarity":
        assert found.matrix[0, 0] == pytest.approx(found.matrix[1, 1], abs=1e-9)
        assert found.matrix[0, 1] == pytest.approx(-found.matrix[1, 0], abs=1e-9)
    if motion != "homography":
        np.testing.assert_allclose(found.matrix[2], [0, 0, 1], atol=1e-12)


def test_matrix_takes_a_s_pixels_to_b_s() -> None:
    """What lies at (x, y) in a lies at (x - 12, y - 7) in b, which begins 12 columns and 7 rows later."""
    scene = grey("astronaut", 360)
    found = gifnet.align(scene[:300, :320], scene[7:307, 12:332], motion="translation")
    np.testing.assert_allclose(found.matrix, [[1, 0, -12], [0, 1, -7], [0, 0, 1]], atol=0.05)
    assert found.overlap == (12, 7, 320, 300)


@pytest.mark.parametrize("size", [(160, 160), pytest.param((250, 250), marks=pytest.mark.slow), (600, 600)])
def test_b_may_be_of_another_size(size: tuple[int, int]) -> None:
    a = grey("astronaut")
    b = np.asarray(Image.fromarray(a).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
    factor = size[0] / a.shape[1]
    true = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
    found = gifnet.align(a, 1 - b)
    assert corner_error(found.matrix, true, a) < 0.5 * max(1, factor)
    warped = found.warp(b)
    assert warped.shape == a.shape
    assert np.abs(warped - a)[8:-8, 8:-8].mean() < 0.03


def test_faint_sixteen_bit_images() -> None:
    """A thermal image that uses 300 of 65,536 levels is as good as any."""
    a = grey("camera")
    true = random_motion(np.random.default_rng(3), a.shape[1], a.shape[0])
    faint = (29000 + 300 * moved(1 - a, true, cv2.BORDER_REPLICATE)).astype(np.uint16)
    assert corner_error(gifnet.align(a, faint).matrix, true, a) < 0.5


def test_transparent_pixels_do_not_count() -> None:
    """The striped part of b is transparent; the rest says where it lies."""
    a = grey("coffee")
    b = np.repeat(a[..., None], 4, axis=2)
    b[..., 3] = 1
    stripes = np.random.default_rng(0).random(b.shape[1]) > 0.5
    b[:120, :, :3] = stripes[:, None]
    b[:120, :, 3] = 0
    found = gifnet.align(a, b, min_confidence=0)
    assert corner_error(found.matrix, np.eye(3), a) < 0.3
    assert corner_error(gifnet.align(b, a, min_confidence=0).matrix, np.eye(3), a) < 0.3


# --- the overlap and the warp ---------------------------------------------------------------------


def test_overlap_is_the_largest_rectangle_in_which_b_is_defined() -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        size, other = tuple(rng.integers(5, 14, 2).tolist()), tuple(rng.integers(5, 14, 2).tolist())
        matrix = np.eye(3) + rng.normal(0, 1, (3, 3)) * [[0.15, 0.15, 2], [0.15, 0.15, 2], [0.003, 0.003, 0]]
        x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        u, v, w = np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), axes=1)
        inside = (u / w >= -0.5) & (u / w <= other[0] - 0.5) & (v / w >= -0.5) & (v / w <= other[1] - 0.5)
        largest = 0
        for top, left in itertools.product(range(size[1]), range(size[0])):
            for bottom, right in itertools.product(range(top + 1, size[1] + 1), range(left + 1, size[0] + 1)):
                if inside[top:bottom, left:right].all():
                    largest = max(largest, (bottom - top) * (right - left))
        left, top, right, bottom = overlap_of(matrix, size, other)
        assert inside[top:bottom, left:right].all()
        assert (bottom - top) * (right - left) == largest


def shifted_by(x: float, y: float, width: int, height: int) -> Alignment:
    matrix = np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])
    return Alignment(matrix, 1.0, overlap_of(matrix, (width, height), (width, height)), "translation", (width, height))


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_warp_keeps_kind_and_dtype(channels: int, dtype: Any) -> None:
    values = photo(20, 30, channels).astype(np.float64)
    values = values / 255 if dtype == np.float32 else values * (np.iinfo(dtype).max // 255)
    b = values.astype(dtype)
    if channels == 4:
        b[..., 3] = 1 if dtype == np.float32 else np.iinfo(dtype).max
    found = shifted_by(3, -2, 30, 20)
    warped = found.warp(b)
    assert warped.dtype == dtype
    assert found.overlap == (0, 2, 27, 20)
    np.testing.assert_allclose(warped[2:, :27].astype(float), b[:-2, 3:].astype(float), atol=1e-6)
    assert not warped[:2].any()
    assert not warped[:, 27:].any(), "black, and transparent"
    tensor = found.warp(torch.from_numpy(b.reshape(20, 30, -1)).permute(2, 0, 1))
    np.testing.assert_array_equal(tensor.permute(1, 2, 0).numpy().reshape(warped.shape), warped)


# --- refusals -------------------------------------------------------------------------------------


def test_bad_input() -> None:
    a = grey("camera", 64)
    with pytest.raises(AlignmentError, match=r"b: .*same everywhere"):
        gifnet.align(a, np.full_like(a, 0.5))
    with pytest.raises(InputError, match=r"b: 20×20 pixels.*32"):
        gifnet.align(a, a[:20, :20])
    with pytest.raises(InputError, match="batch of 2"):
        gifnet.align(torch.rand(2, 1, 40, 40), a)
    with pytest.raises(InputError, match=r"'rigid'.*'similarity'"):
        gifnet.align(a, a, motion="rigid")  # type: ignore[arg-type]
    for name, value in {"max_shift": 0.6, "max_rotation": -1, "max_scale": 0.5, "min_confidence": 1.5}.items():
        with pytest.raises(InputError, match=name):
            gifnet.align(a, a, **{name: value})  # type: ignore[arg-type]
    assert issubclass(AlignmentError, InputError)


def test_noise_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(AlignmentError):
        gifnet.align(rng.random((120, 160)), rng.random((120, 160)))


def test_missing_opencv_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    a = grey("camera", 64)
    with pytest.raises(ImportError, match=r"gifnet\[align\]"):
        gifnet.align(a, a)


# --- fuse(align=) ---------------------------------------------------------------------------------


class First(StandIn):
    """In a network's place: gives b's plane, so that results show what was warped and cropped."""

    def form(self) -> Mean:
        class Second(Mean):
            def forward(self, planes: torch.Tensor) -> torch.Tensor:
                return planes[:, 1:]

        return Second()


@pytest.fixture(scope="module")
def second() -> Fuser:
    return Fuser(First(), device="cpu")


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b, and b as it should come back: the scene and its negative, 12 columns and 7 rows later; uint8."""
    scene = (grey("astronaut", 240) * 255).astype(np.uint8)
    a, b = scene[:200, :220], 255 - scene[7:207, 12:232]
    return a, b, b[: 200 - 7, : 220 - 12]


def test_fuse_aligned(
    second: Fuser, pair: tuple[np.ndarray, np.ndarray, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    a, b, expected = pair
    with caplog.at_level(logging.INFO, "gifnet"):
        fused = second.fuse(a, b, align="translation")
    assert fused.shape == expected.shape
    assert fused.dtype == np.uint8
    assert np.abs(fused.astype(int) - expected).mean() < 1.5, "bicubic at a few hundredths of a pixel"
    assert "confidence" in caplog.text
    assert "columns 12 to 219 and rows 7 to 199" in caplog.text
    sloped = second.fuse(a, b, align=True)
    assert np.abs(np.subtract(sloped.shape, expected.shape)).max() <= 2


def test_fuse_aligned_of_every_kind(
    second: Fuser, pair: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    a, b, expected = pair
    Image.fromarray(a).save(tmp_path / "a.png")
    Image.fromarray(b).save(tmp_path / "b.png")
    expected = second.fuse(a, b, align="translation")
    of_paths = second.fuse(tmp_path / "a.png", tmp_path / "b.png", align="translation")
    assert isinstance(of_paths, Image.Image)
    of_images = second.fuse(Image.fromarray(a), Image.fromarray(b), align="translation")
    of_tensors = second.fuse(torch.from_numpy(a)[None, None], torch.from_numpy(b)[None], align="translation")
    assert of_tensors.shape == (1, 1, *expected.shape)
    for fused in (of_paths, of_images, of_tensors[0, 0]):
        np.testing.assert_array_equal(np.asarray(fused), expected)
    opaque = np.dstack([b, b, b, np.full_like(b, 255)])
    opaque[:40, :40, 3] = 0
    fused = second.fuse(a, opaque, align="translation")
    assert fused.shape == (*expected.shape, 4)
    assert fused[:20, :20, 3].max() == 0
    assert fused[60:, 60:, 3].min() == 255


def test_fuse_refuses_what_it_can_t_align(second: Fuser, pair: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    a, b, _ = pair
    with pytest.raises(AlignmentError, match="a and b"):
        second.fuse(a, (grey("coffee", 220) * 255).astype(np.uint8), align=True)
    with pytest.raises(InputError, match="batch of 2"):
        second.fuse(torch.rand(2, 1, 64, 64), torch.rand(2, 1, 64, 64), align=True)
    with pytest.raises(InputError, match=r"'rigid'.*'affine'"):
        second.fuse(a, b, align="rigid")  # type: ignore[call-overload]
    with pytest.raises(InputError, match=r"resize='a'.*align=True"):
        second.fuse(a, b[:50])


# --- the command ----------------------------------------------------------------------------------


def test_align_command(pair: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    a, b, expected = pair
    paths = tmp_path / "a.png", tmp_path / "b.png"
    for image, path in zip((a, b), paths, strict=True):
        Image.fromarray(image.astype(np.uint16) * 257).save(path)
    out = tmp_path / "out.png"
    result = run("align", *paths, "-o", out, "--motion", "translation", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["overlap"] == [12, 7, 220, 200]
    assert found["confidence"] > 0.5
    np.testing.assert_allclose(found["matrix"], [[1, 0, -12], [0, 1, -7], [0, 0, 1]], atol=0.05)
    warped = np.asarray(Image.open(out))
    assert warped.dtype == np.uint16
    assert warped.shape == a.shape
    assert np.abs(warped[7:, 12:] / 257 - expected).mean() < 1.5
    assert not warped[:7].any()
    result = run("align", *paths, "-o", out, "--motion", "translation", "--crop")
    assert "confidence" in result.stdout
    assert np.asarray(Image.open(out)).shape == expected.shape

    before = out.read_bytes()
    Image.fromarray((grey("coffee", 220) * 255).astype(np.uint8)).save(paths[1])
    result = run("align", *paths, "-o", out)
    assert result.returncode == 1
    assert "b.png" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert out.read_bytes() == before


def test_fuse_command_aligns(pair: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    a, b, expected = pair
    Image.fromarray(a).save(tmp_path / "a.png")
    Image.fromarray(b).save(tmp_path / "b.png")
    out = tmp_path / "out.png"
    result = run("fuse", tmp_path / "a.png", tmp_path / "b.png", "-o", out, "--align=translation", "--verbose")
    assert result.returncode == 0, result.stderr
    assert "b.png: aligned to a.png (translation, confidence" in result.stderr
    assert Image.open(out).size == expected.shape[::-1]
    result = run("fuse", "--align", tmp_path / "a.png", tmp_path / "b.png", "-o", out)
    assert result.returncode == 2
    assert "--align=affine" in result.stderr
