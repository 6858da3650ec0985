"""Qabf and Nabf: how well the sources' edges survive fusion, after Xydeas and Petrović.

Both compare edge strength g and edge orientation α of Sobel's gradient, pixel by pixel, through sigmoids.
"""

import math

import torch
from torch import Tensor

from .gradient import Border, sobel
from .planes import levels


def edge_preservation(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Qabf: ``Σ (Q_AF·g_A + Q_BF·g_B) / Σ (g_A + g_B)``, 0 to 0.975; higher is better.

    With the strength kept, ``G = min(g_A, g_F) / max(g_A, g_F)``, and the orientation, ``O = 1 - |α_A - α_F| / (π/2)``,
    ``Q_AF = 0.9994 / (1 + exp(-15 (G - 0.5))) · 0.9879 / (1 + exp(-22 (O - 0.8)))``; so for B.

    All (B, 1, H, W) in [0, 1]. Returns (B,); NaN where neither source has an edge. α lies in [-π/2, π/2] (π/2 where the
    horizontal derivative is 0), and the border is padded with zeros, as in the field's toolboxes; the printed method
    says nothing of borders. Xydeas and Petrović, 2000.
    """
    fused, a, b = levels(fused, a, b)
    strength_f, orientation_f = _edges(fused, "constant")
    kept, total = torch.zeros_like(fused), torch.zeros_like(fused)
    for source in (a, b):
        strength, orientation = _edges(source, "constant")
        q_strength = 0.9994 * torch.sigmoid(15 * (_ratio(strength, strength_f) - 0.5))
        q_orientation = 0.9879 * torch.sigmoid(22 * (1 - (orientation - orientation_f).abs() / (math.pi / 2) - 0.8))
        kept += q_strength * q_orientation * strength
        total += strength
    return kept.sum(dim=(1, 2, 3)) / total.sum(dim=(1, 2, 3))


def fusion_artifacts(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Nabf: ``Σ_AM ((1 - Q_AF)·w_A + (1 - Q_BF)·w_B) / Σ (w_A + w_B)``, AM where F's edge is stronger than either
    source's: the edges that fusion invented; 0 to 1, lower is better.

    ``w = g^1.5`` where g is 2 or more, else 0.001. With ``O = ||α_A - α_F| - π/2| / (π/2)``,
    ``Q_AF = sqrt(0.9999 / (1 + exp(-19 (G - 0.5))) · 0.9995 / (1 + exp(-22 (O - 0.5))))``, G as in Qabf but 0 where
    both strengths are 0. g is of Sobel's gradient divided by 8, on the 0..255 scale, the border reflected.

    All (B, 1, H, W) in [0, 1], at least 2 pixels a side. Returns (B,). Shreyamsha Kumar, 2013, which changes Petrović
    and Xydeas, 2005, where either source's loss counts with both sources' weights.
    """
    fused, a, b = levels(fused, a, b, smallest=2)
    strength_f, orientation_f = _edges(fused / 8, "reflect")
    invented = torch.ones_like(fused, dtype=torch.bool)
    lost, total = torch.zeros_like(fused), torch.zeros_like(fused)
    for source in (a, b):
        strength, orientation = _edges(source / 8, "reflect")
        ratio = _ratio(strength, strength_f).masked_fill(strength == 0, 0)
        agreement = ((orientation - orientation_f).abs() - math.pi / 2).abs() / (math.pi / 2)
        q_strength = 0.9999 * torch.sigmoid(19 * (ratio - 0.5))
        q_orientation = 0.9995 * torch.sigmoid(22 * (agreement - 0.5))
        weight = torch.where(strength >= 2, strength**1.5, 0.001)
        invented &= strength_f > strength
        lost += (1 - (q_strength * q_orientation).sqrt()) * weight
        total += weight
    return (lost * invented).sum(dim=(1, 2, 3)) / total.sum(dim=(1, 2, 3))


def _edges(plane: Tensor, border: Border) -> tuple[Tensor, Tensor]:
    """Strength and orientation in [-π/2, π/2] of the gradient, each of the plane's shape."""
    across, down = sobel(plane, border)
    orientation = torch.where(across == 0, math.pi / 2, torch.atan(down / across))
    return torch.hypot(across, down), orientation


def _ratio(x: Tensor, y: Tensor) -> Tensor:
    """The smaller strength over the larger one; 1 where both are 0."""
    return torch.where(x == y, 1, torch.minimum(x, y) / torch.maximum(x, y))
