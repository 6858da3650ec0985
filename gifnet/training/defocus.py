"""Near- and far-focused versions of a sharp image, made on the fly.

A random region and its complement are blurred in turn, so that every pixel is sharp in one of the two images.
All draws come from one ``numpy.random.Generator``; the pixels are worked on wherever the image tensor lives.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class DefocusConfig:
    """Ranges that the random defocus is drawn from; deviations and widths in pixels."""

    blur: tuple[float, float] = (0.6, 6.0)  # Gaussian deviation out of focus, drawn log-uniformly
    edge: tuple[float, float] = (0.5, 12.0)  # width of the transition between the regions, drawn log-uniformly
    soft_share: float = 0.2  # share of pairs whose sharp regions are mildly blurred as well, as real lenses have it
    soft_blur: tuple[float, float] = (0.4, 1.0)
    whole_share: float = 0.1  # share of pairs with no out-of-focus region at all: both images equal


def gaussian_blur(x: Tensor, deviation: Tensor) -> Tensor:
    """Blur each image of ``x`` (B, 1, H, W) with its own Gaussian; ``deviation``: (B,), in pixels."""
    batch, _, height, width = x.shape
    radius = max(1, min(int(np.ceil(3 * float(deviation.max()))), height - 1, width - 1))
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernels = torch.exp(-0.5 * (offsets / deviation[:, None].clamp(min=1e-3)) ** 2)
    kernels = kernels / kernels.sum(dim=1, keepdim=True)
    planes = F.pad(x, (radius,) * 4, mode="reflect").transpose(0, 1)  # (1, B, H, W): one group per image
    planes = F.conv2d(planes, kernels[:, None, :, None], groups=batch)
    planes = F.conv2d(planes, kernels[:, None, None, :], groups=batch)
    return planes.transpose(0, 1)


def random_region(shape: tuple[int, int], edge: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random region as a soft mask (H, W), float32 in [0, 1]: a half-plane, an ellipse, blobs or stripes."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    size = float(max(height, width))
    kind = rng.choice(["plane", "ellipse", "blobs", "stripes"], p=[0.25, 0.25, 0.4, 0.1])
    angle = rng.uniform(0, 2 * np.pi)
    along = (x - rng.uniform(0.2, 0.8) * width) * np.cos(angle) + (y - rng.uniform(0.2, 0.8) * height) * np.sin(angle)
    if kind == "plane":  # signed distances in pixels, each positive inside
        distance = along
    elif kind == "ellipse":
        across = -(x - width / 2) * np.sin(angle) + (y - height / 2) * np.cos(angle)
        radii = rng.uniform(0.12, 0.6, size=2) * size
        distance = (1 - np.hypot(along / radii[0], across / radii[1])) * radii.min()
    elif kind == "stripes":
        period = rng.uniform(0.25, 1.0) * size
        distance = np.sin(2 * np.pi * along / period) * period / (2 * np.pi)
    else:
        cells = int(rng.integers(2, 7))
        noise = torch.from_numpy(rng.standard_normal((1, 1, cells + 2, cells + 2)).astype(np.float32))
        smooth = F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=True)[0, 0].numpy()
        distance = (smooth - rng.uniform(-0.5, 0.5)) * size / (2 * cells)
    mask = 1 / (1 + np.exp(-np.clip(distance / edge * 4, -30, 30)))
    return np.asarray(mask if rng.random() < 0.5 else 1 - mask, dtype=np.float32)


def random_defocus(sharp: Tensor, config: DefocusConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Near- and far-focused versions of ``sharp`` (B, 1, H, W), floating point in [0, 1]; both of its shape."""
    batch = sharp.shape[0]

    def log_uniform(bounds: tuple[float, float]) -> np.ndarray:
        return np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), size=batch)).astype(np.float32)

    edges = log_uniform(config.edge)
    masks = np.stack([random_region((sharp.shape[2], sharp.shape[3]), float(edge), rng) for edge in edges])
    near_blur, far_blur, soft_blur = log_uniform(config.blur), log_uniform(config.blur), log_uniform(config.soft_blur)
    soft = rng.random(batch) < config.soft_share
    whole = rng.random(batch) < config.whole_share

    def move(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(sharp.device, sharp.dtype)

    mask = move(masks)[:, None]
    base = torch.where(
        move((soft | whole).astype(np.float32))[:, None, None, None] > 0, gaussian_blur(sharp, move(soft_blur)), sharp
    )
    keep = move(whole.astype(np.float32))[:, None, None, None]
    near_mask, far_mask = torch.maximum(mask, keep), torch.maximum(1 - mask, keep)
    near = near_mask * base + (1 - near_mask) * gaussian_blur(sharp, move(near_blur))
    far = far_mask * base + (1 - far_mask) * gaussian_blur(sharp, move(far_blur))
    return near, far
