"""The chroma of two images in colour: whose it is, and how much of it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gifnet.images import chroma, colour
from gifnet.images.chroma import chroma_of, evidence, followed


def plain(*rgb: float) -> Tensor:
    return torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, 24, 24)


def fused_colour(luma: float | Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The pixels of a fused luminance of two images."""
    fused = luma if isinstance(luma, Tensor) else torch.full_like(a[:, :1], luma)
    total = followed(fused, colour.split(a)[0], colour.split(b)[0], evidence(a), evidence(b))
    return colour.merge(fused, chroma_of(fused, total))


ORANGE = (0.8, 0.4, 0.1)


@pytest.mark.parametrize("luma", [0.3, 0.45, 0.6])
def test_a_clipped_image_has_no_say(luma: float) -> None:
    dark, clipped = plain(*(0.5 * c for c in ORANGE)), plain(*(min(1, 2.5 * c) for c in ORANGE))
    red, green, blue = fused_colour(luma, dark, clipped)[0, :, 12, 12].tolist()
    assert (green - blue) / (red - blue) == pytest.approx(3 / 7, abs=0.02), "the hue of the unclipped"
    assert red / green == pytest.approx(2, abs=0.1), "and its saturation, at the luminance of the result"


def test_exposures_keep_their_saturation() -> None:
    dark, bright = (plain(*(factor * c for c in ORANGE)) for factor in (0.25, 1.0))
    for luma in (0.15, 0.2, 0.3):
        pixels = fused_colour(luma, dark, bright)
        expected = luma / float(colour.split(plain(*ORANGE))[0].mean()) * torch.tensor(ORANGE)
        torch.testing.assert_close(pixels[0, :, 12, 12], expected, atol=0.02, rtol=0)


def test_the_followed_image_gives_the_chroma() -> None:
    generator = torch.Generator().manual_seed(0)
    detail = 0.2 * torch.rand(1, 1, 24, 24, generator=generator)
    reddish, bluish = plain(0.5, 0.4, 0.4) + detail, plain(0.4, 0.4, 0.5) + detail.mean()
    for image in (reddish, bluish):
        pixels = fused_colour(colour.split(image)[0], reddish, bluish)
        torch.testing.assert_close(pixels, image, atol=0.012, rtol=0)


def test_the_order_does_not_matter_and_copies_keep_their_colours() -> None:
    a, b, fused = torch.rand(3, 2, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    luma = colour.split(fused)[0]
    torch.testing.assert_close(fused_colour(luma, a, b), fused_colour(luma, b, a), atol=1e-5, rtol=0)
    torch.testing.assert_close(fused_colour(colour.split(a)[0], a, a), a, atol=1e-5, rtol=0)


def test_the_margin_is_all_that_a_pixel_depends_on() -> None:
    a, b, fused = torch.rand(3, 1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    luma = colour.split(fused)[0]
    part = np.s_[..., 20 - chroma.MARGIN : 40 + chroma.MARGIN, 24 - chroma.MARGIN : 36 + chroma.MARGIN]
    inner = np.s_[..., chroma.MARGIN : -chroma.MARGIN, chroma.MARGIN : -chroma.MARGIN]
    whole = fused_colour(luma, a, b)[..., 20:40, 24:36]
    assert torch.equal(fused_colour(luma[part], a[part], b[part])[inner], whole)


def test_extremes() -> None:
    for level in (0.0, 1.0):
        a, b = plain(level, level, level), plain(*ORANGE)
        for luma in (0.0, 0.5, 1.0):
            pixels = fused_colour(luma, a, b)
            assert bool(pixels.isfinite().all())
            torch.testing.assert_close(colour.split(pixels)[0], torch.full_like(pixels[:, :1], luma))
