"""Metrics of pan-sharpening, on multispectral bands (B, C, H, W), computed by torchmetrics: ERGAS, SAM, QNR.

Values may be on any scale (digital numbers, reflectance), the same for all images; they are taken to float64.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from .planes import check_size, image_functions

UQI_WINDOW = 11


def ergas(fused: Tensor, reference: Tensor, ratio: float = 4.0) -> Tensor:
    """ERGAS: ``100 / ratio · sqrt(mean over bands of (RMSE_k / mean_k)²)``; 0 is perfect, lower is better.

    ``fused``, ``reference``: (B, C, H, W); mean_k is the reference's. ``ratio`` is how many times finer the
    panchromatic pixels are than the multispectral ones, 4 for most satellites (some write 1/4, and multiply). Returns
    (B,), from 0 to infinity. Wald, 2000.
    """
    if not 0 < ratio < math.inf:
        raise InputError(f"ratio must be positive (4 for a panchromatic image four times as fine), not {ratio}")
    fused, reference = _checked_bands(fused, reference)
    value: Tensor = image_functions().error_relative_global_dimensionless_synthesis(
        fused, reference, ratio=ratio, reduction="none"
    )
    return value


def sam(fused: Tensor, reference: Tensor) -> Tensor:
    """SAM: the mean over pixels of the angle between both spectra, ``arccos(<f, r> / (|f|·|r|))``, in degrees; 0 is
    perfect, lower is better.

    ``fused``, ``reference``: (B, C, H, W), C at least 2. Returns (B,), from 0 to 90 for spectra without negative
    values. Pixels where either spectrum is 0 have no angle and are left out; NaN where that leaves none.
    Yuhas et al., 1992.
    """
    fused, reference = _checked_bands(fused, reference, bands=2)
    angles: Tensor = image_functions().spectral_angle_mapper(fused, reference, reduction="none")
    return angles.flatten(1).nanmean(dim=1) * (180 / math.pi)


def qnr(fused: Tensor, ms: Tensor, pan: Tensor, pan_low: Tensor | None = None) -> Tensor:
    """QNR, quality with no reference: ``(1 - D_λ)·(1 - D_S)``, 0 to 1; higher is better.

    D_λ is how much the bands' similarities (the universal image quality index, UQI, of each pair) change from ``ms`` to
    ``fused``; D_S how much each band's similarity to the panchromatic image does; both with exponent 1. UQI has a
    Gaussian window of 11 pixels, σ = 1.5 (the paper: a square one of 32).

    Args:
        fused: (B, C, H, W), C at least 2.
        ms: the multispectral image, (B, C, H/r, W/r), at least 11 pixels a side.
        pan: the panchromatic image, (B, 1, H, W).
        pan_low: the panchromatic image at the multispectral one's size, (B, 1, H/r, W/r). None: means of r×r pixels.

    Returns:
        (B,). Alparone et al., 2008.
    """
    (fused,) = _checked_bands(fused, bands=2)
    (ms,) = _checked_bands(ms, bands=2)
    (pan,) = _checked_bands(pan)
    height, width = ms.shape[-2:]
    if fused.shape[:2] != ms.shape[:2] or fused.shape[-2] % height or fused.shape[-1] % width:
        raise InputError(
            f"fused is {tuple(fused.shape)} and ms {tuple(ms.shape)}; fused needs as many images and bands, "
            "and sides that are multiples of ms's"
        )
    if pan.shape != (len(fused), 1, *fused.shape[-2:]):
        raise InputError(f"pan is {tuple(pan.shape)}; it must be {(len(fused), 1, *fused.shape[-2:])}, fused's size")
    if pan_low is None:
        pan_low = F.avg_pool2d(pan, (fused.shape[-2] // height, fused.shape[-1] // width))
    (pan_low,) = _checked_bands(pan_low)
    if pan_low.shape != (len(ms), 1, height, width):
        raise InputError(f"pan_low is {tuple(pan_low.shape)}; it must be {(len(ms), 1, height, width)}, ms's size")
    check_size(height, width, UQI_WINDOW)
    bands = (-1, ms.shape[1], -1, -1)
    measure = image_functions().quality_with_no_reference  # averages over its batch: one image at a time
    values = [
        measure(fused[i : i + 1], ms[i : i + 1], pan[i : i + 1].expand(bands), pan_low[i : i + 1].expand(bands))
        for i in range(len(fused))
    ]
    return torch.stack(values)


def _checked_bands(*images: Tensor, bands: int = 1) -> list[Tensor]:
    """The images in float64, all of one shape (B, C, H, W) with at least ``bands`` bands. Raises InputError."""
    shape = images[0].shape
    for image in images:
        if image.ndim != 4 or image.shape[1] < bands or image.numel() == 0:
            raise InputError(f"bands of shape {tuple(image.shape)}; give (B, C, H, W) with C at least {bands}")
        if image.shape != shape:
            raise InputError(f"fused is {tuple(shape)} but the reference {tuple(image.shape)}; give one shape")
        if image.dtype is torch.bool or image.is_complex():
            raise InputError(f"bands are {image.dtype}; give real numbers")
    images64 = [image.to(torch.float64) for image in images]
    if not all(bool(image.isfinite().all()) for image in images64):
        raise InputError("bands hold NaN or infinite values; replace them first")
    return images64
