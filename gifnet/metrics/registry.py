"""The table of all metrics, and ``evaluate``, which measures a batch by their names."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor

from ..errors import InputError
from . import edges, exposure, gradient, spectral, statistics, structure

PAIR = ("fused", "a", "b")


@dataclass(frozen=True)
class Metric:
    """A metric: its function, what it takes and gives, and where it comes from."""

    name: str
    function: Callable[..., Tensor]  # of ``inputs``, tensors with the batch first; returns one value per image (B,)
    inputs: tuple[str, ...]
    range: tuple[float, float]
    higher_is_better: bool
    formula: str
    source: str
    convention: str  # what was chosen where implementations disagree, and what others do
    smallest: int = 1  # pixels a side
    library: bool = False  # computed by torchmetrics, from the extra [metrics]

    @property
    def arrow(self) -> str:
        """The direction of better, for tables."""
        return "↑" if self.higher_is_better else "↓"


_TABLE = (
    Metric(
        "EI",
        gradient.edge_intensity,
        ("fused",),
        (0, 1140.4),
        True,
        "mean(sqrt(sx² + sy²)), sx and sy Sobel's derivatives",
        "Rajalingam and Priya, 2018",
        "Sobel's weights not normalised; border replicated; 0..255 scale",
    ),
    Metric(
        "AG",
        gradient.average_gradient,
        ("fused",),
        (0, 255),
        True,
        "Σ sqrt((dx² + dy²) / 2) / ((H - 1)(W - 1))",
        "Cui et al., 2015",
        "central differences, one-sided at the border, as the toolboxes have it; forward ones are the formula as "
        "printed and on photographs 10 to 35 % larger (`differences='forward'`); 0..255 scale",
        smallest=2,
    ),
    Metric(
        "SF",
        gradient.spatial_frequency,
        ("fused",),
        (0, 255 * math.sqrt(2)),
        True,
        "sqrt((Σ dx² + Σ dy²) / (H·W)), dx and dy between neighbours",
        "Eskicioglu and Fisher, 1995",
        "both sums divided by the number of pixels, not of differences; 0..255 scale",
    ),
    Metric(
        "EN",
        statistics.entropy,
        ("fused",),
        (0, 8),
        True,
        "-Σ p log2 p over the shares p of the grey levels",
        "Roberts et al., 2008",
        "bits; rounded to 256 levels",
    ),
    Metric(
        "SD",
        statistics.standard_deviation,
        ("fused",),
        (0, 127.5),
        True,
        "sqrt(mean((F - mean F)²))",
        "Rao, 1997",
        "divided by the number of pixels, not by one less; 0..255 scale",
    ),
    Metric(
        "MI",
        statistics.mutual_information,
        PAIR,
        (0, 16),
        True,
        "I(F; A) + I(F; B), I(X; Y) = H(X) + H(Y) - H(X, Y)",
        "Qu et al., 2002",
        "bits (nats are 0.693 times this); summed over the sources; rounded to 256 levels, not stretched to 0..255",
    ),
    Metric(
        "CC",
        statistics.correlation_coefficient,
        PAIR,
        (-1, 1),
        True,
        "(r(F, A) + r(F, B)) / 2, r Pearson's correlation",
        "Pearson's r; Deshmukh and Bhosale, 2010",
        "mean of the sources; with a constant image 0",
    ),
    Metric(
        "SCD",
        statistics.sum_of_difference_correlations,
        PAIR,
        (-2, 2),
        True,
        "r(F - B, A) + r(F - A, B)",
        "Aslantas and Bendes, 2015",
        "signed differences (`saturating=True` makes negative ones 0, as subtracting 8-bit images does); with a "
        "constant difference 0",
    ),
    Metric(
        "PSNR",
        structure.psnr,
        PAIR,
        (0, math.inf),
        True,
        "10 log10(255² / ((MSE(F, A) + MSE(F, B)) / 2))",
        "Jagalingam and Hegde, 2015",
        "dB; peak 255 of 255 whatever the largest value; the errors averaged before the logarithm",
        library=True,
    ),
    Metric(
        "SSIM",
        structure.ssim,
        PAIR,
        (-1, 1),
        True,
        "(SSIM(F, A) + SSIM(F, B)) / 2",
        "Wang et al., 2004",
        "mean of the sources (others sum: twice this); Gaussian window 11, σ 1.5; only windows inside the image",
        smallest=structure.SSIM_WINDOW,
        library=True,
    ),
    Metric(
        "MS-SSIM",
        structure.ms_ssim,
        PAIR,
        (0, 1),
        True,
        "(MS-SSIM(F, A) + MS-SSIM(F, B)) / 2, five scales",
        "Wang et al., 2003",
        "mean of the sources; the published weights; negative terms count as 0",
        smallest=structure.MS_SSIM_SMALLEST,
        library=True,
    ),
    Metric(
        "VIF",
        structure.vif,
        PAIR,
        (0, math.inf),
        True,
        "VIF(A; F) + VIF(B; F), VIF(R; F) = Σ log(1 + g²σ_R² / (σ_V² + 2)) / Σ log(1 + σ_R² / 2)",
        "Sheikh and Bovik, 2006",
        "pixel domain, four scales, noise variance 2 on the 0..255 scale; summed over the sources (others average: "
        "half this); 2 for F = A = B; NaN if a source is constant",
        smallest=structure.VIF_SMALLEST,
        library=True,
    ),
    Metric(
        "Qabf",
        edges.edge_preservation,
        PAIR,
        (0, 0.975),
        True,
        "Σ (Q_AF·g_A + Q_BF·g_B) / Σ (g_A + g_B)",
        "Xydeas and Petrović, 2000",
        "the printed constants; orientation kept 1 - |Δα| / (π/2); border padded with zeros; NaN without edges",
    ),
    Metric(
        "Nabf",
        edges.fusion_artifacts,
        PAIR,
        (0, 1),
        False,
        "Σ_AM ((1 - Q_AF)·w_A + (1 - Q_BF)·w_B) / Σ (w_A + w_B), AM where g_F exceeds g_A and g_B",
        "Shreyamsha Kumar, 2013",
        "Kumar's change of Petrović and Xydeas' measure; w = g^1.5 from g = 2 on, else 0.001; Sobel divided by 8; "
        "border reflected",
        smallest=2,
    ),
    Metric(
        "MEF-SSIM",
        exposure.mef_ssim,
        PAIR,
        (0, 1),
        True,
        "Π over scales of (mean over windows of (2σ_xF + C) / (σ_x² + σ_F² + C))^β, x the desired window of A and B",
        "Ma, Zeng and Wang, 2015",
        "for exposures; all 8×8 windows; power tan(πR / 2) at most 10; C = (0.03·255)²; three scales of 2×2 means, "
        "MS-SSIM's first three weights divided by their sum; a negative score of a scale counts as 0",
        smallest=exposure.SMALLEST,
    ),
    Metric(
        "ERGAS",
        spectral.ergas,
        ("fused", "reference"),
        (0, math.inf),
        False,
        "100 / ratio · sqrt(mean over bands of (RMSE / mean)²)",
        "Wald, 2000",
        "ratio 4 is for panchromatic pixels four times as fine; the reference's means",
        library=True,
    ),
    Metric(
        "SAM",
        spectral.sam,
        ("fused", "reference"),
        (0, 180),
        False,
        "mean over pixels of arccos(<f, r> / (|f|·|r|))",
        "Yuhas et al., 1992",
        "degrees; at most 90 without negative values; pixels with a spectrum of 0 left out",
        library=True,
    ),
    Metric(
        "QNR",
        spectral.qnr,
        ("fused", "ms", "pan"),
        (0, 1),
        True,
        "(1 - D_λ)·(1 - D_S)",
        "Alparone et al., 2008",
        "both exponents 1; UQI with a Gaussian window of 11, σ 1.5 (the paper: a square of 32); the low-resolution "
        "panchromatic image is the mean of blocks",
        smallest=spectral.UQI_WINDOW,
        library=True,
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _TABLE})


def chosen(names: Iterable[str] | None = None) -> list[Metric]:
    """The metrics of these names, or all that take a fused image and its two sources.

    Raises InputError for an unknown name, and for a metric that takes other inputs.
    """
    if names is None:
        return [metric for metric in _TABLE if set(metric.inputs) <= set(PAIR)]
    if isinstance(names, str):
        names = [names]
    metrics = []
    for name in dict.fromkeys(names):
        if name not in METRICS:
            raise InputError(f"no metric is named {name!r}; there are {', '.join(METRICS)}")
        metric = METRICS[name]
        if not set(metric.inputs) <= set(PAIR):
            inputs = ", ".join(metric.inputs)
            raise InputError(f"{name} takes {inputs}; call gifnet.metrics.{metric.function.__name__}({inputs})")
        metrics.append(metric)
    return metrics


def evaluate(fused: Tensor, a: Tensor, b: Tensor, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Measure fused images against their sources: (B, 1, H, W) luminance in [0, 1] each; metric's name to values (B,).

    ``names`` are keys of ``METRICS``. None: all that take a fused image and two sources, without those that need
    larger images than these.

    Raises:
        InputError: see ``gifnet.metrics``; an unknown name; images too small for a metric that was named.
        MissingExtraError: a metric of torchmetrics without torchmetrics (extra "metrics").
    """
    metrics = chosen(names)
    if names is None and fused.ndim == 4:
        metrics = [metric for metric in metrics if metric.smallest <= min(fused.shape[-2:])]
    planes = dict(zip(PAIR, (fused, a, b), strict=True))
    return {metric.name: metric.function(*(planes[name] for name in metric.inputs)) for metric in metrics}
