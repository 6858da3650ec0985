"""What real files have and training photographs should: noise, and the traces of lossy compression.

The target stays clean. Without this the network takes compression's ringing for detail and sharpens it.
"""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class DegradationConfig:
    """Shares are probabilities per crop."""

    noise_share: float = 0.1
    noise: float = 0.02  # largest deviation, of 1
    jpeg_share: float = 0.0
    jpeg_quality: tuple[float, float] = (40, 95)


def degrade(planes: Tensor, config: DegradationConfig, rng: np.random.Generator) -> Tensor:
    """Add noise to some of ``planes`` (B, 1, H, W) in [0, 1], and send some through JPEG; same shape and range."""
    deviation = (rng.random(len(planes)) < config.noise_share) * rng.uniform(0, config.noise, size=len(planes))
    noise = rng.standard_normal(tuple(planes.shape)) * deviation[:, None, None, None]
    degraded = (planes + torch.from_numpy(noise).to(planes)).clamp(0, 1)
    for index in np.flatnonzero(rng.random(len(planes)) < config.jpeg_share):
        degraded[index, 0] = jpeg(degraded[index, 0], int(rng.uniform(*config.jpeg_quality)))
    return degraded


def jpeg(plane: Tensor, quality: int) -> Tensor:
    """``plane`` (H, W) in [0, 1], as it comes out of a JPEG file of this quality (1 to 95)."""
    buffer = io.BytesIO()
    levels = (plane * 255).round().to(torch.uint8).cpu().numpy()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return torch.from_numpy(np.array(image)).to(plane) / 255
