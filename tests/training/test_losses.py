"""Losses of exposures, structure and information: their ends, and what they ask for."""

import numpy as np
import pytest
import torch
from conftest import photo
from torch import Tensor

from gifnet import metrics
from gifnet.metrics.exposure import mef_ssim
from gifnet.training.losses import (
    LossConfig,
    dissimilarity,
    exposure_loss,
    information_loss,
    multi_modal_loss,
    tone_loss,
)


def plane(seed: int = 0, side: int = 64) -> Tensor:
    noise = np.random.default_rng(seed).uniform(-10, 10, (side, side))
    return torch.from_numpy(((photo(side, side, 0, seed=seed) + noise).clip(0, 255) / 255).astype(np.float32))[
        None, None
    ]


def test_exposures_fused_are_what_mef_ssim_likes() -> None:
    scene = plane()
    dark, bright = scene * 0.4, 0.5 + scene * 0.5
    plain = LossConfig(tone=0)
    for fused in (dark, bright, (dark + bright) / 2):
        expected = 1 - float(mef_ssim(fused, dark, bright))
        assert float(exposure_loss(fused, dark, bright, plain)) == pytest.approx(expected, abs=1e-5)
    one = float(exposure_loss(scene, scene, scene, plain))
    assert one == pytest.approx(0, abs=1e-5)
    flat = torch.full_like(scene, 0.5)
    assert float(exposure_loss(flat, dark, bright, plain)) > 0.5


def test_leaving_the_scale_costs_and_leads_back() -> None:
    scene = plane()
    beyond = (scene + 0.6).requires_grad_()
    inside = beyond.detach().clamp(0, 1)
    loss = exposure_loss(beyond, scene, scene, LossConfig(tone=0))
    excess = float((beyond.detach() - inside).abs().mean())
    inner = float(exposure_loss(inside, scene, scene, LossConfig(tone=0)))
    assert loss.item() == pytest.approx(inner + excess, abs=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert beyond.grad is not None
    assert bool((beyond.grad[beyond.detach() > 1] > 0).all()), "a step downhill is darker"


def test_tones_are_those_of_the_well_exposed_source() -> None:
    good, black = torch.full((1, 1, 32, 32), 0.5), torch.zeros(1, 1, 32, 32)
    weights = 1.001, np.exp(-0.5 * 2.5**2) + 1e-3  # a Gaussian of deviation 0.2 about 0.5
    mean = 0.5 * weights[0] / sum(weights)
    for tone in (0.5, 0.25, 0.0):
        fused = torch.full_like(good, tone)
        assert float(tone_loss(fused, good, black)) == pytest.approx(abs(tone - mean), abs=1e-5)
        assert float(tone_loss(fused, black, good)) == pytest.approx(abs(tone - mean), abs=1e-5)
    # Detail within a block does not count.
    checks = torch.from_numpy(np.indices((32, 32)).sum(axis=0) % 2).float()[None, None] * 0.2 + mean - 0.1
    assert float(tone_loss(checks, good, black)) < 1e-5
    config = LossConfig(tone=0.7)
    base = float(exposure_loss(checks, good, black, LossConfig(tone=0)))
    both = float(exposure_loss(checks + 0.1, good, black, config))
    without = float(exposure_loss(checks + 0.1, good, black, LossConfig(tone=0)))
    assert both - without == pytest.approx(0.7 * 0.1, abs=1e-4)
    assert np.isfinite(base)


def test_structure_of_both_sources() -> None:
    fused, first, second = plane(0), plane(1), plane(2)
    plain, weighed = LossConfig(), LossConfig(modal_structure=2.0)
    added = float(multi_modal_loss(fused, first, second, weighed) - multi_modal_loss(fused, first, second, plain))
    expected = float(dissimilarity(fused, first) + dissimilarity(fused, second))  # the mean of both, twice
    assert added == pytest.approx(expected, rel=1e-5)
    assert float(multi_modal_loss(first, first, first, weighed)) == pytest.approx(0, abs=1e-6)


def test_information_is_visual_information_fidelity() -> None:
    fused, first, second = plane(0), plane(1), plane(2)
    assert float(information_loss(first, first)) < 0.1
    flat = torch.full_like(first, 0.5)
    assert float(information_loss(flat, first)) == pytest.approx(1, abs=1e-3)
    noisier = (first + 0.1 * torch.randn(first.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert float(information_loss(first, first)) < float(information_loss(noisier, first)) < 1
    both = float(information_loss(fused, first, second))
    each = (float(information_loss(fused, first)) + float(information_loss(fused, second))) / 2
    assert both == pytest.approx(each, rel=1e-5)
    assert float(information_loss(first, flat)) == pytest.approx(1, abs=1e-3), "of no information, nothing is asked"
    fused.requires_grad_()
    loss = multi_modal_loss(fused, first, second, LossConfig(modal_information=0.5))
    loss.backward()  # type: ignore[no-untyped-call]
    assert fused.grad is not None
    assert bool(fused.grad.isfinite().all())
    plain = float(multi_modal_loss(fused, first, second, LossConfig()))
    assert float(loss) - plain == pytest.approx(0.5 * both, rel=1e-4)


def test_information_agrees_with_the_metric() -> None:
    """On images full of detail, where what the loss leaves out for flat sources is next to nothing."""
    first = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    worse = (first + 0.1 * torch.randn(first.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    ours = 1 - float(information_loss(worse, first))
    assert ours == pytest.approx(float(metrics.vif(worse, first, first)) / 2, rel=0.05)
