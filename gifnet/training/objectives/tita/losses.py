"""The losses of TITA's tasks (Hu et al., ICCV 2025), all against the sources: no truth is needed.

    ℓ = 20 · intensity + 20 · gradient + 10 · structure

All take planes (B, 1, H, W) in [0, 1] and compute in float32 whatever autocast says.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...losses import LossConfig as SharedLossConfig
from ...losses import exposure_loss, in_full_precision, similarities
from .recipe import LossConfig

MODAL, FOCUS, EXPOSURE = "modal", "focus", "exposure"
TASKS = (MODAL, FOCUS, EXPOSURE)


def steepness(plane: Tensor) -> Tensor:
    """|Sobel x| + |Sobel y|: (B, 1, H, W) to (B, 1, H - 2, W - 2), for an edge of 1 up to 6."""
    across = plane.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    return F.conv2d(plane, torch.stack([across, across.T])[:, None]).abs().sum(dim=1, keepdim=True)


def intensity_loss(fused: Tensor, a: Tensor, b: Tensor, task: str) -> Tensor:
    """Mean |fused - m|, m the larger source for two modalities and the sources' mean for the other tasks."""
    return F.l1_loss(fused, torch.maximum(a, b) if task == MODAL else (a + b) / 2)


def gradient_loss(fused: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of the fused plane's steepness from the larger of the sources'."""
    return F.l1_loss(steepness(fused), torch.maximum(steepness(a), steepness(b)))


def structure_loss(fused: Tensor, a: Tensor, b: Tensor, task: str) -> Tensor:
    """1 - (w_a · SSIM(fused, a) + w_b · SSIM(fused, b)), the mean over the batch.

    Each pair's weights are the sources' shares of their mean steepness; one half each for two exposures.
    """
    of_a, of_b = similarities(fused, a), similarities(fused, b)
    if task == EXPOSURE:
        return 1 - (of_a + of_b).mean() / 2
    steep_a, steep_b = (steepness(plane).mean(dim=(1, 2, 3)) for plane in (a, b))
    share = (steep_a + 1e-8) / (steep_a + steep_b + 2e-8)
    return 1 - (share * of_a + (1 - share) * of_b).mean()


@in_full_precision
def task_loss(fused: Tensor, a: Tensor, b: Tensor, target: Tensor, task: str, config: LossConfig) -> Tensor:
    """A task's loss, a scalar.

    ``target`` counts for focus pairs only, where the recipe compares those with the truth: it then stands for both
    sources.
    """
    if task == FOCUS and config.focus_target == "truth":
        a = b = target
    loss = config.intensity * intensity_loss(fused, a, b, task)
    loss = loss + config.gradient * gradient_loss(fused, a, b)
    loss = loss + config.structure * structure_loss(fused, a, b, task)
    if task == EXPOSURE and config.exposure:
        loss = loss + config.exposure * exposure_loss(fused, a, b, SharedLossConfig(tone=0.0))
    return loss
