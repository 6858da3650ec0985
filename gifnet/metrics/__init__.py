"""Metrics of image fusion, on luminance planes (B, 1, H, W), floating point in [0, 1]; one value per image, (B,).

``METRICS`` is the table of them all, with formula, source, range, direction and convention; ``evaluate`` measures a
batch by name. Gradients, deviations and noise variances are on the 0..255 scale, as the field's figures are. All raise
``gifnet.InputError`` for planes of other shapes or values, and for images too small for their windows.

PSNR, SSIM, MS-SSIM, VIF, ERGAS, SAM and QNR need torchmetrics: ``pip install 'gifnet[metrics]'``.
"""

from .edges import edge_preservation, fusion_artifacts
from .exposure import mef_ssim
from .gradient import average_gradient, edge_intensity, spatial_frequency
from .registry import METRICS, Metric, evaluate
from .spectral import ergas, qnr, sam
from .statistics import (
    correlation_coefficient,
    entropy,
    mutual_information,
    standard_deviation,
    sum_of_difference_correlations,
)
from .structure import ms_ssim, psnr, ssim, vif

__all__ = [
    "METRICS",
    "Metric",
    "average_gradient",
    "correlation_coefficient",
    "edge_intensity",
    "edge_preservation",
    "entropy",
    "ergas",
    "evaluate",
    "fusion_artifacts",
    "mef_ssim",
    "ms_ssim",
    "mutual_information",
    "psnr",
    "qnr",
    "sam",
    "spatial_frequency",
    "ssim",
    "standard_deviation",
    "sum_of_difference_correlations",
    "vif",
]
