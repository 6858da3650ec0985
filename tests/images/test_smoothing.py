"""Smoothing, against another implementation."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from gifnet.images.smoothing import BINOMIAL, expand, gaussian, smooth


@pytest.mark.parametrize("kernel", [BINOMIAL, gaussian(0.7, 1), gaussian(2.0, 6)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (16, 13)])
def test_smooth(kernel: tuple[float, ...], shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).random(shape)
    expected = correlate1d(correlate1d(x, kernel, axis=0, mode="nearest"), kernel, axis=1, mode="nearest")
    smoothed = smooth(torch.from_numpy(x)[None, None], kernel)[0, 0].numpy()
    np.testing.assert_allclose(smoothed, expected, atol=1e-12)
    halved = smooth(torch.from_numpy(x)[None, None], kernel, stride=2)[0, 0].numpy()
    np.testing.assert_allclose(halved, expected[::2, ::2], atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (16, 13)])
def test_expand_undoes_halving_where_pixels_were_kept(shape: tuple[int, int]) -> None:
    x = torch.rand(1, 1, *shape)
    expanded = expand(x[..., ::2, ::2], *shape)
    assert expanded.shape == x.shape
    torch.testing.assert_close(expanded[..., ::2, ::2], x[..., ::2, ::2])
