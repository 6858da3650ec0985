"""Luminance and chroma: the network fuses luminance; this module splits colour off and puts it back.

Full-range BT.601, as in JPEG, on values in [0, 1]; chroma is centred on 0, so its length is the saturation.
"""

import torch
from torch import Tensor

# Rows: Y, Cb, Cr from R, G, B. Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402.
_LUMA = (0.299, 0.587, 0.114)
_CB_SCALE, _CR_SCALE = 1.772, 1.402

SHOWS_ROWS = 64  # that are looked at before the next ones are


def split(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Pixels (B, 1 or 3, H, W) in [0, 1] to luminance (B, 1, H, W) in [0, 1] and chroma (B, 2, H, W) in ±0.5.

    Grey pixels (one channel) have no chroma: None.
    """
    if pixels.shape[1] == 1:
        return pixels, None
    red, green, blue = pixels.unbind(dim=1)
    light = luminance(pixels)[:, 0]
    # Where all three are equal, rounding must not tint the grey.
    chroma = torch.stack([(blue - light) / _CB_SCALE, (red - light) / _CR_SCALE], dim=1)
    grey = ((red == green) & (green == blue))[:, None]
    return light[:, None].clamp(0, 1), chroma.masked_fill_(grey, 0)


def luma_of(pixels: Tensor) -> Tensor:
    """The luminance that ``split`` gives, without the chroma."""
    return pixels if pixels.shape[1] == 1 else luminance(pixels).clamp(0, 1)


def luminance(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) of any floating-point range to (B, 1, H, W)."""
    red, green, blue = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def merge(luma: Tensor, chroma: Tensor | None) -> Tensor:
    """The inverse of ``split``: luminance (B, 1, H, W) and chroma to pixels (B, 1 or 3, H, W) in [0, 1].

    A chroma too strong for its luminance (the fused image is darker or brighter than the one the chroma comes from)
    is shortened until the colour exists, which keeps hue and luminance; clipping channels would change both.
    """
    if chroma is None:
        return luma
    blue, red = _CB_SCALE * chroma[:, :1], _CR_SCALE * chroma[:, 1:]
    green = -(_LUMA[0] * red + _LUMA[2] * blue) / _LUMA[1]
    # The offsets' luminance is 0: where there are any, one is above 0 and one below.
    up = (1 - luma) / torch.maximum(torch.maximum(red, green), blue).clamp(min=1e-6)
    down = luma / -torch.minimum(torch.minimum(red, green), blue).clamp(max=-1e-6)
    fits = torch.minimum(up, down).clamp_(max=1)
    return torch.cat([torch.addcmul(luma, fits, each) for each in (red, green, blue)], dim=1).clamp_(0, 1)


def shows(pixels: Tensor) -> bool:
    """Whether any of the pixels (B, 3, H, W) is not grey; most images show it in their first rows."""
    return any(bool((rows != rows[:, :1]).any()) for rows in torch.split(pixels, SHOWS_ROWS, dim=2))
