"""Aligning stacks: how exactly, in which order, what is left, what is refused and which image is named."""

import weakref
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pytest
import torch
from conftest import Mean, StandIn
from PIL import Image
from skimage import data as photos

from gifnet import AlignmentError, Fuser, InputError
from gifnet import fuser as fuser_module
from gifnet.images.reading import read
from gifnet.prepare.alignment.resampling import resampled
from gifnet.prepare.alignment.transform import corners
from gifnet.stack.alignment import StackAlignment, align_stack
from gifnet.training.defocus import gaussian_blur

cv2 = pytest.importorskip("cv2", reason="needs the extra [align]")

SIDE = 300


class First(StandIn):
    """In a network's place: gives the first plane."""

    def form(self) -> Mean:
        class Pass(Mean):
            def forward(self, planes: torch.Tensor) -> torch.Tensor:
                return planes[:, :1]

        return Pass()


def scene() -> np.ndarray:
    """A photograph (400, 400) grey in [0, 1], float32, without details finer than resampling keeps."""
    grey = np.asarray(Image.fromarray(photos.astronaut()).convert("L").resize((400, 400)), np.float32) / 255
    return cv2.GaussianBlur(grey, (0, 0), 0.8)


def breathing(scale: float, x: float, y: float) -> np.ndarray:
    """The matrix from the first image's pixels to those of one that is larger by ``scale`` and shifted."""
    centre = (SIDE - 1) / 2
    return np.array([[scale, 0, centre - scale * centre + x], [0, scale, centre - scale * centre + y], [0, 0, 1.0]])


def seen(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) of the middle of ``image``, such that ``matrix`` leads from the unmoved view to this one."""
    offset = np.array([[1, 0, 50], [0, 1, 50], [0, 0, 1.0]])
    return cv2.warpPerspective(
        image, offset @ np.linalg.inv(matrix), (SIDE, SIDE), flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    )


def focused(image: np.ndarray, index: int, number: int) -> np.ndarray:
    """Sharp in one of ``number`` upright stripes, and blurred, in linear light, more and more away from it."""
    light = torch.from_numpy(image.clip(0, 1) ** 2.2)[None, None]
    blurred = [light] + [gaussian_blur(light, torch.tensor([0.8 * i])) for i in range(1, number)]
    distance = np.abs(np.arange(image.shape[1]) * number // image.shape[1] - index)
    chosen = torch.cat(blurred)[distance, 0, :, np.arange(image.shape[1])]
    return np.asarray(chosen.T.numpy() ** (1 / 2.2))


MATRICES = [breathing(1 + 0.02 * i, 1.7 * i, -0.9 * i) for i in range(5)]


def breathing_stack(number: int) -> list[np.ndarray]:
    """A focus stack that breathes by 2 % from image to image, with noise of one level."""
    rng = np.random.default_rng(0)
    moved = [seen(focused(scene(), index, number), matrix) for index, matrix in enumerate(MATRICES[:number])]
    return [np.clip(frame + rng.normal(0, 1 / 255, frame.shape), 0, 1).astype(np.float32) for frame in moved]


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return breathing_stack(5)


@pytest.fixture(scope="module")
def small() -> list[np.ndarray]:
    """The first three of such a stack, a third of their size, for what alignment is part of."""
    return [reduced(frame) for frame in breathing_stack(5)[:3]]


def reduced(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (SIDE // 3, SIDE // 3), interpolation=cv2.INTER_AREA)


def other_scene() -> np.ndarray:
    return np.asarray(Image.fromarray(photos.coffee()).convert("L").resize((SIDE, SIDE)), np.float32) / 255


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int, int]]:
    """What all images of each stack show that is aligned in this test."""
    found: list[tuple[int, int, int, int]] = []

    def watched(*arguments: Any) -> StackAlignment:
        alignment = align_stack(*arguments)
        found.append(alignment.box)
        return alignment

    monkeypatch.setattr(fuser_module, "align_stack", watched)
    return found


def aligned(frames: list[np.ndarray], motion: Any = "similarity") -> StackAlignment:
    return align_stack((read(frame, f"frame {index}").load() for index, frame in enumerate(frames)), motion)


def worst(found: StackAlignment, matrices: list[np.ndarray]) -> float:
    """The largest error of any corner of what all images show, in pixels."""
    left, top, right, bottom = found.box
    corner = np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
    size = (right - left, bottom - top)
    pairs = zip(found.alignments, matrices, strict=True)
    return max(np.abs(corners(one.matrix, size) - corners(true @ corner, size)).max() for one, true in pairs)


def test_to_a_fraction_of_a_pixel(frames: list[np.ndarray]) -> None:
    found = aligned(frames)
    assert worst(found, MATRICES) < 0.12
    left, top, right, bottom = found.box
    assert (right - left) * (bottom - top) > 0.85 * SIDE**2, "the last one shows 1 / 1.08 of either side"


@pytest.mark.parametrize("order", [[2, 4, 0], pytest.param([2, 4, 0, 3, 1], marks=pytest.mark.slow)])
def test_in_any_order(frames: list[np.ndarray], order: list[int]) -> None:
    matrices = [MATRICES[i] @ np.linalg.inv(MATRICES[2]) for i in order]
    assert worst(aligned([frames[i] for i in order]), matrices) < 0.2


def test_exposures() -> None:
    light = scene().clip(0, 1) ** 2.2
    bracket = [np.clip(light * 2.0**stop, 0, 1) ** (1 / 2.2) for stop in (-2, 0, 2)]
    matrices = [breathing(1, 3.3 * i, 2.6 * i) for i in range(3)]
    moved = [seen(frame, matrix).clip(0, 1) for frame, matrix in zip(bracket, matrices, strict=True)]
    assert worst(aligned(moved), matrices) < 0.15
    assert worst(aligned(moved, "translation"), matrices) < 0.1


@pytest.mark.parametrize("number", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_fused_as_if_it_had_not_moved(number: int, boxes: list[tuple[int, int, int, int]]) -> None:
    fuser, frames = Fuser(First(), device="cpu"), breathing_stack(number)
    still = [seen(focused(scene(), index, number), MATRICES[0]) for index in range(number)]
    truth = seen(scene(), MATRICES[0])
    fused = fuser.fuse(*frames, align=True)
    ((left, top, right, bottom),) = boxes
    inside = np.s_[top:bottom, left:right]

    def error(image: np.ndarray) -> float:
        return float(np.sqrt(np.mean((image - truth[inside]) ** 2)))

    unmoved = error(fuser.fuse(*still)[inside])
    assert fused.shape == truth[inside].shape
    assert error(fused) < max(1.26 * unmoved, 1.5 / 255), "2 dB, or what noise of one level does"
    assert error(fuser.fuse(*frames)[inside]) > 4 * error(fused)


def test_what_can_t_be_aligned_is_named(small: list[np.ndarray]) -> None:
    fuser = Fuser(First(), device="cpu")
    other = reduced(other_scene())
    with pytest.raises(AlignmentError, match=r"^c: no alignment to b or a .*leave it out"):
        fuser.fuse(small[0], small[1], other, align=True)
    with pytest.raises(AlignmentError, match=r"b: .*same everywhere"):
        fuser.fuse(small[0], np.full_like(other, 0.5), small[1], align=True)
    batch = torch.rand(2, 1, 64, 64)
    with pytest.raises(InputError, match="a: a batch of 2 images"):
        fuser.fuse(batch, batch, batch, align=True)
    with pytest.raises(InputError, match="align: 'rigid'"):
        fuser.fuse(*small, align="rigid")  # type: ignore[call-overload]


@pytest.mark.slow
def test_the_second_image_is_named(frames: list[np.ndarray]) -> None:
    with pytest.raises(AlignmentError, match=r"^b: no alignment to a "):
        Fuser(First(), device="cpu").fuse(frames[0], other_scene(), frames[1], align=True)


def test_too_little_in_common_is_refused() -> None:
    view = scene()
    shifts = [breathing(1, 70 * i, 0) for i in range(5)]
    wide = np.concatenate([view[:, ::-1], view, view[:, ::-1]], axis=1)
    offset = np.array([[1, 0, 400], [0, 1, 50], [0, 0, 1.0]])
    moved = [cv2.warpPerspective(wide, offset @ shift, (SIDE, SIDE), flags=cv2.WARP_INVERSE_MAP) for shift in shifts]
    moved = [reduced(frame) for frame in moved]
    with pytest.raises(AlignmentError, match=r"^frame 4: leaves less than 10% of frame 0"):
        aligned(moved)


def test_copies_alpha_and_other_sizes(small: list[np.ndarray], boxes: list[tuple[int, int, int, int]]) -> None:
    fuser, image = Fuser(First(), device="cpu"), small[0]
    colour = np.stack([image, image**2, image[::-1], np.ones_like(image)], axis=2)
    fused = fuser.fuse(colour, colour, colour, align=True)
    height, width = fused.shape[:2]
    assert min(height, width) >= len(image) - 2
    assert (fused[..., 3] > 0.999).all()
    ((left, top, right, bottom),) = boxes
    assert np.abs(fused - colour[top:bottom, left:right]).max() < 0.02
    doubled = cv2.resize(small[1], (2 * len(image), 2 * len(image)), interpolation=cv2.INTER_LINEAR)
    assert fuser.fuse(image, image, doubled, align=True).shape[0] > 0.9 * len(image)


def test_files_are_read_one_at_a_time(small: list[np.ndarray], tmp_path: Path, monkeypatch: Any) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for path, frame in zip(paths, small, strict=True):
        Image.fromarray((frame * 255).round().astype(np.uint8)).save(path)
    pixels: list[weakref.ref[torch.Tensor]] = []
    original = fuser_module.read

    def watched(source: Any, argument: str, page: int | None = None) -> Any:
        assert not [ref for ref in pixels if ref() is not None], "an earlier image is still held"
        picture = original(source, argument, page)
        pixels.append(weakref.ref(picture.pixels))
        return picture

    monkeypatch.setattr(fuser_module, "read", watched)
    Fuser(First(), device="cpu").fuse(*paths, align=True)
    assert len(pixels) == 6


def test_command_line(frames: list[np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    for index, frame in enumerate(frames[:3]):
        Image.fromarray((frame * 255).round().astype(np.uint8)).save(folder / f"{index}.png")
    out = tmp_path / "out.png"
    result = commands.run("fuse", "--stack", folder, "--align", "-o", out, "--verbose")
    assert result.returncode == 0, result.stderr
    assert "1.png: aligned to 0.png (similarity, confidence" in result.stderr
    with Image.open(out) as image:
        assert 0.9 * SIDE < image.width <= SIDE
        assert "3 images aligned to 0.png (similarity" in str(image.getexif().get(270))


@pytest.mark.parametrize("shift", [(0.5, 0.0), (0.25, 0.5), (3.0, -2.0)])
def test_resampling_is_sharper_than_bicubic(shift: tuple[float, float]) -> None:
    y, x = np.mgrid[:64, :80].astype(np.float32)
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1.0]])
    inside = np.s_[8:-8, 8:-8]

    def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 + 0.4 * np.sin(2.2 * x + 0.3) * np.cos(0.4 * y), np.float32)  # 0.7 of the finest

    expected = wave(x + shift[0], y + shift[1])[inside]
    bicubic = cv2.warpPerspective(wave(x, y), matrix, (80, 64), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)[inside]
    error = np.abs(resampled(wave(x, y), matrix, (80, 64))[inside] - expected).max()
    assert error < max(0.35 * np.abs(bicubic - expected).max(), 1e-5)
