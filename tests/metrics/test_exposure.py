"""MEF-SSIM against a window-by-window implementation, reference values, and values worked out by hand."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import shared_file
from numpy.typing import NDArray
from scipy import ndimage

import gifnet.metrics as gm
from gifnet import InputError
from gifnet.metrics.exposure import exposure_similarity

Plane = NDArray[np.float64]
GAINS = ((0.5, 0.0), (1.6, 0.1), (1.0, 0.0))  # factor and offset of the exposures made here


def exposures(seed: int, height: int, width: int, number: int) -> list[Plane]:
    """Exposures of one smooth scene, on the levels 0..255; the bright one is clipped."""
    scene = ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width)), 2)
    scene = (scene - scene.min()) / np.ptp(scene)
    return [np.round(np.clip(scene * gain + offset, 0, 1) * 255) for gain, offset in GAINS[:number]]


def tensors(*planes: Plane, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.tensor(plane / 255, dtype=dtype)[None, None] for plane in planes]


def window_score(fused: Plane, sources: list[Plane]) -> float:
    """Ma, Zeng and Wang, 2015, sections III-A and III-B, of one 8×8 window, as printed."""
    centred = [source - source.mean() for source in sources]
    contrast = [max(np.linalg.norm(x), 1.0) for x in centred]
    consistency = np.linalg.norm(sum(centred)) / sum(contrast)
    power = 10.0 if consistency > 0.999999 else min(10.0, math.tan(math.pi * consistency / 2))
    weights = np.array([(c / 8) ** power for c in contrast])
    weights /= weights.sum()
    structure = sum(w * x / c for w, x, c in zip(weights, centred, contrast, strict=True))
    desired = max(contrast) * structure / max(float(np.linalg.norm(structure)), 1e-3)
    other = fused - fused.mean()
    covariance, variances = (desired * other).mean(), (desired**2).mean() + (other**2).mean()
    constant = (0.03 * 255) ** 2
    return float((2 * covariance + constant) / (variances + constant))


def by_window(fused: Plane, sources: list[Plane], scales: int) -> float:
    """MEF-SSIM with loops, of planes of 0..255."""
    weights = np.array([0.0448, 0.2856, 0.3001][:scales])
    product, images = 1.0, [fused, *sources]
    for weight in weights / weights.sum():
        height, width = images[0].shape
        scores = [
            window_score(crops[0], crops[1:])
            for top in range(height - 7)
            for left in range(width - 7)
            for crops in [[image[top : top + 8, left : left + 8] for image in images]]
        ]
        product *= float(np.mean(scores)) ** weight
        halves = [image[: height // 2 * 2, : width // 2 * 2] for image in images]
        images = [half.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for half in halves]
    return product


@pytest.mark.parametrize("scales", [1, 2, 3])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_window_by_window(number: int, scales: int) -> None:
    """Sides that halve to odd ones, and a fused image with noise of its own."""
    sources = exposures(number, 37, 42, number)
    noise = np.random.default_rng(9).normal(0, 6, sources[0].shape)
    fused = np.round(np.clip(np.mean(sources, axis=0) + noise, 0, 255))
    expected = by_window(fused, sources, scales)
    assert 0.3 < expected < 0.99
    assert float(gm.mef_ssim(*tensors(fused, *sources), scales=scales)) == pytest.approx(expected, abs=1e-9)


def test_reference_values() -> None:
    """Values of another implementation, whose windows and halving differ by a pixel: 0.001."""
    reference = json.loads(shared_file("reference/mef_ssim.json").read_text())
    for case in reference["values"]:
        sources = exposures(case["seed"], 96, 128, case["n"])
        if len(sources) == 1:
            sources *= 2
        fused = np.round(np.mean(sources, axis=0))
        planes = tensors(fused, *sources, dtype=torch.float32)
        assert float(gm.mef_ssim(*planes, scales=1)) == pytest.approx(case["one_scale"], abs=1e-3)
        assert float(gm.mef_ssim(*planes)) == pytest.approx(case["three_scales"], abs=1e-3)


def test_by_hand() -> None:
    """Sources that differ by a factor: the desired window is the stronger one, whose SSIM remains."""
    weak, strong = (level * (np.indices((40, 48)).sum(axis=0) % 2) for level in (20.0, 100.0))
    variance, other, constant = 50.0**2, 10.0**2, (0.03 * 255) ** 2
    f, w, s = tensors(100 + strong, 30 + weak, strong)
    assert float(gm.mef_ssim(f, w, s, scales=1)) == pytest.approx(1, abs=1e-9)  # lightness doesn't count
    expected = (2 * math.sqrt(variance * other) + constant) / (variance + other + constant)
    assert float(gm.mef_ssim(w, w, s, scales=1)) == pytest.approx(expected, abs=1e-9)


def test_an_image_with_itself_is_one() -> None:
    (plane,) = tensors(*exposures(3, 64, 70, 1))
    for number in (1, 2, 5):
        assert float(gm.mef_ssim(plane, *[plane] * number)) == pytest.approx(1, abs=1e-4)


def test_constant_images() -> None:
    """Nothing to show and nothing shown is perfect; noise of variance v where nothing is scores C / (v + C)."""
    black, grey, white = (torch.full((1, 1, 40, 40), level) for level in (0.0, 0.5, 1.0))
    assert float(gm.mef_ssim(grey, black, white)) == pytest.approx(1, abs=1e-12)
    chess = torch.tensor(np.indices((40, 40)).sum(axis=0) % 2 * 20 / 255)[None, None]
    constant = (0.03 * 255) ** 2
    found = float(gm.mef_ssim(chess, *(plane.double() for plane in (black, white)), scales=1))
    assert found == pytest.approx(constant / (100 + constant), abs=1e-9)


def test_the_opposite_counts_as_nothing() -> None:
    plane = torch.tensor(np.random.default_rng(0).random((1, 1, 64, 64))).requires_grad_()
    score = gm.mef_ssim(1 - plane, plane.detach(), plane.detach())
    score.sum().backward()
    assert float(score.detach()) == 0
    assert torch.isfinite(plane.grad).all()


def test_a_batch_is_its_images_one_by_one() -> None:
    scenes = [tensors(np.mean(sources, axis=0), *sources) for sources in (exposures(s, 50, 61, 3) for s in range(4))]
    batch = [torch.cat(planes) for planes in zip(*scenes, strict=True)]
    values = gm.mef_ssim(*batch)
    assert values.shape == (4,)
    assert values.tolist() == pytest.approx([float(gm.mef_ssim(*planes)) for planes in scenes], abs=1e-12)


def test_the_order_of_sources_does_not_matter() -> None:
    a, b, c = exposures(4, 48, 48, 3)
    planes = tensors(np.mean([a, b], axis=0), a, b, c)
    assert float(gm.mef_ssim(*planes)) == pytest.approx(float(gm.mef_ssim(planes[0], *planes[:0:-1])), abs=1e-12)


@pytest.mark.parametrize("which", [0, 1, 3])
def test_gradients_are_those_of_differences(which: int) -> None:
    """Central differences along random directions, in the fused image and in the sources, of three scales."""
    sources = exposures(6, 40, 44, 3)
    noise = np.random.default_rng(1).normal(0, 5, sources[0].shape)
    planes = tensors(np.mean(sources, axis=0) + noise, *sources)
    planes[which].requires_grad_()
    exposure_similarity(planes[0], planes[1:]).sum().backward()
    gradient, planes[which] = planes[which].grad, planes[which].detach()
    assert gradient is not None
    for seed in range(3):
        direction = torch.tensor(np.random.default_rng(seed).normal(size=planes[0].shape))
        ends = []
        for step in (1e-6, -1e-6):
            moved = [plane + step * direction if i == which else plane for i, plane in enumerate(planes)]
            ends.append(float(exposure_similarity(moved[0], moved[1:])))
        expected = (ends[0] - ends[1]) / 2e-6
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_gradients_stay_small_where_nothing_is() -> None:
    """Flat, clipped and opposite windows, in the single precision of training."""
    rng = np.random.default_rng(2)
    flat, texture = np.full((64, 64), 255.0), rng.random((64, 64)) * 255
    half = np.where(np.arange(64) < 32, texture, 255.0)
    planes = [torch.cat(p) for p in zip(tensors(flat, flat, flat), tensors(half, texture, 255 - texture), strict=True)]
    planes = [plane.float().requires_grad_() for plane in planes]
    (1 - exposure_similarity(planes[0], planes[1:])).sum().backward()
    for plane in planes:
        assert plane.grad is not None
        assert torch.isfinite(plane.grad).all()
    assert planes[0].grad is not None
    assert float(planes[0].grad.abs().max()) < 1


def test_the_loss_may_leave_the_range() -> None:
    """A network's output in training, which ``mef_ssim`` refuses, as all metrics do."""
    fused, a, b = torch.rand(3, 1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    outside = 1.4 * fused - 0.2
    assert 0 <= float(exposure_similarity(outside, [a, b])) <= 1
    with pytest.raises(InputError, match="fused has values from"):
        gm.mef_ssim(outside, a, b)


def test_bad_input() -> None:
    plane = torch.zeros(1, 1, 31, 40)
    with pytest.raises(InputError, match="no source was given"):
        gm.mef_ssim(plane)
    with pytest.raises(InputError, match="needs 32 a side"):
        gm.mef_ssim(plane, plane)
    with pytest.raises(InputError, match="scales is 4; give 1, 2 or 3"):
        gm.mef_ssim(plane, plane, scales=4)
    assert float(gm.mef_ssim(plane, plane, scales=2)) == 1
    with pytest.raises(InputError, match=r"source 4 is \(1, 1, 40, 31\)"):
        gm.mef_ssim(*[plane] * 4, plane.mT, scales=1)
    with pytest.raises(InputError, match="b has values"):
        gm.mef_ssim(plane, plane, plane + 2, scales=1)
