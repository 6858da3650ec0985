"""Defocus as a lens makes it: right apertures, focus, spreading and targets."""

import math

import numpy as np
import pytest
import torch
from conftest import photo
from torch import Tensor

from gifnet.training.lens import Lens, LensConfig, aperture, from_light, random_depth, random_frames, to_light

SIZE = 48
DISCS = LensConfig(polygon_share=0)


def sharp_photo(seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    noise = rng.uniform(-0.15, 0.15, (SIZE, SIZE))
    return torch.from_numpy((photo(SIZE, SIZE, 0, seed=seed) / 255 * 0.7 + 0.15 + noise).clip(0, 1).astype(np.float32))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_light_and_back() -> None:
    x = torch.linspace(0, 1, 1001)
    torch.testing.assert_close(from_light(to_light(x)), x, atol=1e-5, rtol=0)
    assert float(to_light(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)  # IEC 61966-2-1
    assert float(to_light(torch.tensor(0.02))) == pytest.approx(0.02 / 12.92)


@pytest.mark.parametrize("blades", [0, 5, 6, 8])
@pytest.mark.parametrize("radius", [0.0, 0.7, 3.0, 9.0])
def test_an_aperture_lets_all_light_through(radius: float, blades: int) -> None:
    kernel = aperture(radius, blades, 0.3, 41)
    assert kernel.shape == (41, 41)
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    assert kernel[0, 0] == kernel.max()
    if radius == 0:
        assert kernel[0, 0] > 0.99, "a point stays one"
    if radius >= 3:  # all pixels inside have the same value: 1 over the area, which is that of the disc
        assert 1 / kernel.max() == pytest.approx(math.pi * radius**2, rel=0.06)


def test_blades_make_corners() -> None:
    offsets = np.fft.fftfreq(61, 1 / 61)
    distance = np.hypot(*np.meshgrid(offsets, offsets))

    def farthest(blades: int) -> float:
        kernel = aperture(15, blades, 0, 61)
        return float(distance[kernel > kernel.max() / 2].max())

    # The corners of a regular polygon of the disc's area lie this much farther off than its edge.
    for blades in (5, 6):
        corner = math.sqrt(2 * math.pi / (blades * math.sin(2 * math.pi / blades)))
        assert farthest(blades) / 15 == pytest.approx(corner, rel=0.04)
    assert farthest(5) > farthest(0) + 1


def test_depths_fill_the_range() -> None:
    for seed in range(12):
        depth = random_depth((40, 60), LensConfig(), rng(seed))
        assert depth.shape == (40, 60)
        assert (float(depth.min()), float(depth.max())) == (0, pytest.approx(1))


def test_what_is_in_focus_is_sharp_and_the_rest_less_the_farther() -> None:
    sharp = sharp_photo()
    lens = Lens(sharp, 6.0, DISCS, rng())
    errors = [float((lens.gathered(torch.full_like(sharp, radius)) - sharp).abs().mean()) for radius in (0, 1, 3, 6)]
    assert errors[0] < 1e-3
    assert errors == sorted(errors)
    assert errors[1] > 0.01
    flat = Lens(torch.full((SIZE, SIZE), 0.6), 6.0, DISCS, rng())
    torch.testing.assert_close(flat.gathered(torch.full((SIZE, SIZE), 5.0)), flat.gathered(torch.zeros(SIZE, SIZE)))
    # A frame's halves, one in focus and one not, each of its own radius.
    radius = torch.zeros_like(sharp)
    radius[:, SIZE // 2 :] = 6
    error = (lens.gathered(radius) - sharp).abs()
    assert float(error[:, : SIZE // 2].max()) < 1e-3
    assert float(error[:, SIZE // 2 :].mean()) == pytest.approx(errors[3], rel=0.5)


def test_blur_is_of_light() -> None:
    """Half white, half black: their mean in light is brighter than the mean of their values."""
    checks = torch.from_numpy(np.indices((SIZE, SIZE)).sum(axis=0) % 2).float()
    blurred = Lens(checks, 6.0, DISCS, rng()).gathered(torch.full((SIZE, SIZE), 6.0))[16:32, 16:32]
    assert float(blurred.mean()) == pytest.approx(float(from_light(torch.tensor(0.5))), abs=0.01)


def test_near_blur_spreads_over_what_lies_behind() -> None:
    """A near white half before a far black one: out of focus it covers black; behind, black does not cover white."""
    near = torch.zeros(SIZE, SIZE)
    near[:, : SIZE // 2] = 1
    lens = Lens(near.clone(), 6.0, DISCS, rng())
    behind, front = slice(SIZE // 2 + 1, SIZE // 2 + 5), slice(SIZE // 2 - 5, SIZE // 2 - 1)
    focused_far, focused_near = lens.layered(near, 0.0, 6.0), lens.layered(near, 1.0, 6.0)
    assert float(focused_far[:, behind].mean()) > 0.3
    assert float(focused_near[:, behind].mean()) < 0.1
    assert float(focused_near[:, front].mean()) > 0.98
    assert float(focused_near[:, : SIZE // 2 - 8].min()) > 0.98


@pytest.mark.parametrize("layered_share", [0.0, 1.0])
def test_frames_and_target(layered_share: float) -> None:
    sharp = sharp_photo(1)
    config = LensConfig(radius=(5, 6), layered_share=layered_share, between_share=0, recovered=1.0)
    for seed in range(3):
        frames, target = random_frames(sharp, 3, config, rng(seed))
        assert len(frames) == 3
        for frame in (*frames, target):
            assert frame.shape == sharp.shape
            assert 0 <= float(frame.min()) <= float(frame.max()) <= 1
        best = torch.stack([(frame - sharp).abs() for frame in frames]).amin(dim=0)
        assert float((target - sharp).abs().mean()) < float(best.mean()) + 1e-3, "no frame's pixels are sharper"
        assert all(float((frame - sharp).abs().mean()) > 0.01 for frame in frames)
    again, same = random_frames(sharp, 3, config, rng(2))
    assert all(torch.equal(one, other) for one, other in zip((*frames, target), (*again, same), strict=True))


def test_the_target_is_sharp_where_blur_can_be_undone() -> None:
    sharp = sharp_photo(2)
    everything = LensConfig(radius=(4, 4), layered_share=0, between_share=1, recovered=4.5)
    _, target = random_frames(sharp, 2, everything, rng())
    assert torch.equal(target, sharp)
    config = LensConfig(radius=(8, 8), layered_share=0, between_share=1, recovered=0.5)
    errors = []
    for seed in range(8):
        frames, target = random_frames(sharp, 2, config, rng(seed))
        left = (target - sharp).abs()
        best = torch.stack([(frame - sharp).abs() for frame in frames]).amin(dim=0)
        errors.append((float(left.mean()), float(best.mean())))
        assert bool((left == 0).any())
    assert any(left > 0.005 for left, _ in errors), "where no frame is sharp, some blur stays"
    assert sum(left for left, _ in errors) < sum(best for _, best in errors)
