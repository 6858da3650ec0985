"""Colour: what goes through unharmed, and what is grey."""

import colorsys

import numpy as np
import torch
from PIL import Image

from gifnet.images import colour


def every_colour() -> torch.Tensor:
    """RGB on a grid of 33³ colours, and all greys: (1, 3, H, W) in [0, 1]."""
    side = torch.linspace(0, 1, 33)
    grid = torch.stack(torch.meshgrid(side, side, side, indexing="ij")).reshape(1, 3, 33, -1)
    greys = torch.linspace(0, 1, 33 * 8).reshape(1, 1, 33, 8).expand(1, 3, 33, 8)
    return torch.cat([grid, greys], dim=-1)


def test_round_trip_loses_nothing() -> None:
    pixels = every_colour()
    # A quarter of a 16-bit level: nothing visible at any depth.
    assert float((colour.merge(*colour.split(pixels)) - pixels).abs().max()) < 0.25 / 65535


def test_agrees_with_pillows_ycbcr() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(rgb).convert("YCbCr")).astype(float)
    luma, chroma = colour.split(torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255)
    assert chroma is not None
    ours = torch.cat([luma, chroma + 128 / 255], dim=1)[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(ours - theirs).max() <= 1.01  # Pillow rounds, through a table of integers


def test_grey_has_no_chroma() -> None:
    grey = torch.rand(2, 1, 5, 7)
    assert colour.split(grey)[1] is None
    luma, chroma = colour.split(grey.expand(2, 3, 5, 7))
    assert chroma is not None
    assert not chroma.any()
    assert torch.allclose(luma, grey, atol=1e-6)
    merged = colour.merge(luma, chroma)
    assert torch.equal(merged[:, 0], merged[:, 1])
    assert torch.equal(merged[:, 1], merged[:, 2])


def test_chroma_is_shortened_rather_than_clipped() -> None:
    blue = torch.tensor([0.05, 0.1, 0.9]).view(1, 3, 1, 1)
    _, chroma = colour.split(blue)
    hue = colorsys.rgb_to_hsv(0.05, 0.1, 0.9)[0]
    for level in (0.02, 0.3, 0.7, 0.97):
        luma = torch.full((1, 1, 1, 1), level)
        merged = colour.merge(luma, chroma)
        assert abs(float(colour.split(merged)[0]) - level) < 1e-6, "luminance must be the network's"
        assert abs(colorsys.rgb_to_hsv(*merged.flatten().tolist())[0] - hue) < 1e-4, "hue must be the input's"
