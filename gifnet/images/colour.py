"""Luminance and chroma: the network fuses luminance; this module splits colour off and puts it back.

Full-range BT.601, as in JPEG, on values in [0, 1]; chroma is centred on 0, so its length is the saturation.
"""

import torch
from torch import Tensor

# Rows: Y, Cb, Cr from R, G, B. Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402.
_LUMA = (0.299, 0.587, 0.114)
_CB_SCALE, _CR_SCALE = 1.772, 1.402


def split(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Pixels (B, 1 or 3, H, W) in [0, 1] to luminance (B, 1, H, W) in [0, 1] and chroma (B, 2, H, W) in ±0.5.

    Grey pixels (one channel) have no chroma: None.
    """
    if pixels.shape[1] == 1:
        return pixels, None
    red, green, blue = pixels.unbind(dim=1)
    luma = luminance(pixels)[:, 0]
    # Where all three are equal, rounding must not tint the grey.
    chroma = torch.stack([(blue - luma) / _CB_SCALE, (red - luma) / _CR_SCALE], dim=1)
    grey = ((red == green) & (green == blue))[:, None]
    return luma[:, None].clamp(0, 1), chroma.masked_fill(grey, 0)


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
    offset = torch.cat([red, green, blue], dim=1)
    headroom = torch.where(offset > 0, 1 - luma, luma)
    fits = (headroom / offset.abs().clamp(min=1e-6)).amin(dim=1, keepdim=True).clamp(max=1)
    return (luma + fits * offset).clamp(0, 1)


def shows(pixels: Tensor) -> bool:
    """Whether any of the pixels (B, 3, H, W) is not grey."""
    return bool((pixels != pixels[:, :1]).any())
