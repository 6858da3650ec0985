"""PSNR, SSIM, MS-SSIM and VIF: how faithfully the fused image shows the sources. torchmetrics computes them."""

import torch
from torch import Tensor

from .planes import PEAK, checked, image_functions

SSIM_WINDOW = 11
MS_SSIM_SMALLEST = 16 * SSIM_WINDOW  # the window must fit the image halved four times
VIF_SMALLEST = 41


def psnr(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """PSNR: ``10 log10(1 / ((MSE(F, A) + MSE(F, B)) / 2))``, in dB; higher is better.

    All (B, 1, H, W) in [0, 1], whose peak is 1 (255 of 255), whatever the largest value present. Returns (B,), from 0
    to infinity (F, A and B all equal). The two errors are averaged before the logarithm. Jagalingam and Hegde, 2015.
    """
    fused, a, b = checked(fused, a, b)
    both, twice = torch.cat([a, b], dim=1), fused.expand(-1, 2, -1, -1)
    value: Tensor = image_functions().peak_signal_noise_ratio(
        twice, both, data_range=1.0, dim=(1, 2, 3), reduction="none"
    )
    return value


def ssim(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """SSIM: ``(SSIM(F, A) + SSIM(F, B)) / 2``, -1 to 1; higher is better.

    All (B, 1, H, W) in [0, 1], at least 11 pixels a side. Returns (B,). Gaussian window of 11 pixels, σ = 1.5, K1 =
    0.01, K2 = 0.03, over the pixels whose window lies inside the image. Toolboxes that report the sum give twice this.
    Wang et al., 2004.
    """
    fused, a, b = checked(fused, a, b, smallest=SSIM_WINDOW)
    margin = SSIM_WINDOW // 2
    total = fused.new_zeros(len(fused))
    for source in (a, b):
        # The map, since releases of torchmetrics disagree on whether the mean takes in the border.
        _, similarity = image_functions().structural_similarity_index_measure(
            fused, source, data_range=1.0, return_full_image=True, reduction="none"
        )
        total += similarity[..., margin:-margin, margin:-margin].mean(dim=(1, 2, 3))
    return total / 2


def ms_ssim(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """MS-SSIM: ``(MS-SSIM(F, A) + MS-SSIM(F, B)) / 2``, 0 to 1; higher is better.

    All (B, 1, H, W) in [0, 1], at least 176 pixels a side. Returns (B,). Five scales of 2×2 means, weights 0.0448,
    0.2856, 0.3001, 0.2363, 0.1333, SSIM's window and constants; a negative term counts as 0. Wang et al., 2003.
    """
    fused, a, b = checked(fused, a, b, smallest=MS_SSIM_SMALLEST)
    measure = image_functions().multiscale_structural_similarity_index_measure
    total: Tensor = sum(measure(fused, source, data_range=1.0, reduction="none") for source in (a, b))
    return total / 2


def vif(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """VIF: ``VIF(A; F) + VIF(B; F)``, how much of either source's visual information F keeps; higher is better.

    Pixel domain, four scales, noise variance 2 on the 0..255 scale, the source as reference:
    ``Σ log(1 + g²·σ_A² / (σ_V² + 2)) / Σ log(1 + σ_A² / 2)``. Summed over both sources: 2 for F = A = B, and more where
    F raises the contrast; toolboxes that report the mean give half. All (B, 1, H, W) in [0, 1], at least 41 pixels a
    side. Returns (B,); NaN where a source is constant, which has no information to keep. Sheikh and Bovik, 2006.
    """
    fused, a, b = checked(fused, a, b, smallest=VIF_SMALLEST)
    return _vif(fused, a) + _vif(fused, b)


def _vif(fused: Tensor, source: Tensor) -> Tensor:
    """VIF of each image (B, 1, H, W) against its source, (B,)."""
    constant = source.amin(dim=(1, 2, 3)) == source.amax(dim=(1, 2, 3))
    # VIF looks at variances only; without the means, E[x²] - E[x]² keeps its digits in float32.
    fused, source = ((plane - plane.mean(dim=(1, 2, 3), keepdim=True)) * PEAK for plane in (fused, source))
    measure = image_functions().visual_information_fidelity  # averages over its batch: one image at a time
    values = [measure(fused[i : i + 1], source[i : i + 1]).reshape(()) for i in range(len(fused))]
    return torch.stack(values).masked_fill(constant, torch.nan)
