"""Defocus as a lens makes it: discs and polygons of light that grow with the distance from the focal plane.

A scene has a depth, smooth but for steps and slopes. A frame focused at one depth blurs the others, in linear light.
Two models, drawn by chance: *gathering*, where each pixel is blurred by its own radius; and *layers*, composed from the
back to the front, where what is near and out of focus spreads over what lies behind it.

All draws come from one ``numpy.random.Generator``. Radii are in pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .defocus import random_region

LEVELS = 9  # radii that a scene's blur is interpolated between
DEPTHS = 7  # layers of the layered model


@dataclass(frozen=True)
class LensConfig:
    """Ranges and shares (probabilities per scene) that random lenses and scenes are drawn from."""

    radius: tuple[float, float] = (0.7, 9.0)  # blur of one end of the depth when the other is in focus; log-uniform
    polygon_share: float = 0.4  # apertures of 5 to 8 blades; the others are discs
    layered_share: float = 0.4
    step_share: float = 0.7  # scenes of two parts at different depths
    recovered: float = 2.5  # radius of blur that fusing should undo where no frame is sharp
    between_share: float = 0.3  # scenes whose frames are focused inside the range of depths, which leaves areas blurred


def to_light(x: Tensor) -> Tensor:
    """Values of sRGB in [0, 1] to linear light."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def from_light(x: Tensor) -> Tensor:
    """Linear light in [0, 1] to sRGB values."""
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp(min=1e-9) ** (1 / 2.4) - 0.055)


def aperture(radius: float, blades: int, angle: float, size: int) -> np.ndarray:
    """The blur of a point, (size, size) with its centre at [0, 0] as Fourier transforms want it; sums to 1.

    A disc for ``blades`` 0, else a regular polygon of as many sides and of the disc's area. Edges are antialiased.
    """
    offsets = np.fft.fftfreq(size, 1 / size)
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    if blades:
        normals = angle + 2 * np.pi * np.arange(blades) / blades
        distance = (x[..., None] * np.cos(normals) + y[..., None] * np.sin(normals)).max(axis=-1)
        radius = radius * np.sqrt(np.pi / (blades * np.tan(np.pi / blades)))  # of the circle inside the polygon
    else:
        distance = np.hypot(x, y)
    kernel = np.clip(radius + 0.5 - distance, 0, 1)
    return np.asarray(kernel / kernel.sum())


def random_depth(shape: tuple[int, int], config: LensConfig, rng: np.random.Generator) -> Tensor:
    """Depths (H, W) that fill [0, 1]: a slope and smooth variation, in two parts that a step divides, or in one."""

    def smooth(cells: int) -> Tensor:
        noise = torch.from_numpy(rng.standard_normal((1, 1, cells, cells)).astype(np.float32))
        return F.interpolate(noise, size=shape, mode="bicubic", align_corners=True)[0, 0]

    y, x = (torch.linspace(-1, 1, side) for side in shape)
    angle = rng.uniform(0, 2 * np.pi)
    depth = rng.uniform(0, 1.5) * (np.cos(angle) * x[None, :] + np.sin(angle) * y[:, None])
    depth = _filling(depth + rng.uniform(0.2, 1) * smooth(int(rng.integers(2, 5))))
    if rng.random() < config.step_share:
        part = torch.from_numpy(random_region(shape, float(rng.uniform(0.3, 1.0)), rng))
        low, high = np.sort(rng.uniform(0, 1, size=2))
        depth = _filling(torch.lerp(depth * low, high + depth * (1 - high), part))
    return depth


def _filling(x: Tensor) -> Tensor:
    x = x - x.min()
    return x / x.max().clamp(min=1e-6)


class Lens:
    """A scene in linear light, blurred by every radius that its frames need."""

    def __init__(self, sharp: Tensor, largest: float, config: LensConfig, rng: np.random.Generator) -> None:
        """``sharp``: (H, W), sRGB in [0, 1]; ``largest``: radius."""
        self.shape = sharp.shape
        self.radii = torch.linspace(0, largest, LEVELS)
        self.margin = min(int(np.ceil(1.3 * largest)) + 1, min(self.shape) - 1)
        blades = int(rng.integers(5, 9)) if rng.random() < config.polygon_share else 0
        self.light = to_light(sharp)
        size = max(self.shape) + 2 * self.margin
        angle = rng.uniform(0, np.pi)
        kernels = [aperture(float(radius), blades, angle, size) for radius in self.radii]
        self.transfers = torch.fft.rfft2(torch.from_numpy(np.stack(kernels).astype(np.float32)))
        self.blurred = self._filter(self.light.expand(LEVELS, *self.shape), self.transfers)

    def _filter(self, planes: Tensor, transfers: Tensor) -> Tensor:
        """Planes (N, H, W), each blurred by its own transfer function."""
        size, margin = 2 * (transfers.shape[-1] - 1) + self._odd, self.margin
        height, width = self.shape
        padded = F.pad(planes[None], (margin,) * 4, mode="reflect")[0]
        padded = F.pad(padded, (0, size - padded.shape[-1], 0, size - padded.shape[-2]))
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(padded) * transfers, s=(size, size))
        return filtered[:, margin : margin + height, margin : margin + width]

    @property
    def _odd(self) -> int:
        return (max(self.shape) + 2 * self.margin) % 2

    def gathered(self, radius: Tensor) -> Tensor:
        """The frame (H, W), sRGB, whose pixels are blurred by their own radius (H, W)."""
        return from_light(self._pick(self.blurred, radius).clamp(0, 1))

    def _pick(self, levels: Tensor, radius: Tensor) -> Tensor:
        position = (radius / self.radii[-1].clamp(min=1e-6) * (LEVELS - 1)).clamp(0, LEVELS - 1)
        below = position.floor().clamp(max=LEVELS - 2).long()
        low, high = (levels.gather(0, index[None])[0] for index in (below, below + 1))
        return torch.lerp(low, high, position - below)

    def layered(self, depth: Tensor, focus: float, largest: float) -> Tensor:
        """The frame (H, W), sRGB, focused at a depth: layers of depth (0 is far), blurred, and laid over each other."""
        place = depth * (DEPTHS - 1)
        total, cover = torch.zeros_like(depth), torch.zeros_like(depth)
        for layer in range(DEPTHS):
            share = (1 - (place - layer).abs()).clamp(min=0)
            if not share.any():
                continue
            radius = largest * abs(layer / (DEPTHS - 1) - focus)
            transfer = self._transfer(radius)
            light, alpha = self._filter(torch.stack([share * self.light, share]), transfer)
            # Where layers meet, each covers its share; in front of what lies farther off, a spread edge is translucent.
            alpha = alpha.clamp(0, 1)
            behind = 1 - alpha
            total, cover = total * behind + light, cover * behind + alpha
        return from_light((total / cover.clamp(min=1e-3)).clamp(0, 1))

    def _transfer(self, radius: float) -> Tensor:
        position = min(radius / max(float(self.radii[-1]), 1e-6), 1.0) * (LEVELS - 1)
        below = min(int(position), LEVELS - 2)
        return torch.lerp(self.transfers[below], self.transfers[below + 1], position - below)


def random_frames(
    sharp: Tensor, number: int, config: LensConfig, rng: np.random.Generator
) -> tuple[list[Tensor], Tensor]:
    """``number`` frames of a random scene, focused from far to near, and what their fusion should be.

    ``sharp`` (H, W) in [0, 1]; so are the results. The target is sharp but where no frame is: there it is less blurred
    than the best frame by ``config.recovered``, for detail that no frame holds can only be made up.
    """
    largest = float(np.exp(rng.uniform(*np.log(config.radius))))
    lens = Lens(sharp, largest, config, rng)
    depth = random_depth((sharp.shape[0], sharp.shape[1]), config, rng)
    if rng.random() < config.between_share:
        ends = np.sort(rng.uniform(0, 1, size=2))
    else:
        ends = np.array([rng.uniform(-0.05, 0.1), rng.uniform(0.9, 1.05)])
    layered = rng.random() < config.layered_share
    frames, least = [], torch.full_like(depth, torch.inf)
    for focus in np.linspace(ends[0], ends[1], number):
        radius = largest * (depth - float(focus)).abs()
        frames.append(lens.layered(depth, float(focus), largest) if layered else lens.gathered(radius))
        least = torch.minimum(least, radius)
    left = (least - config.recovered).clamp(min=0)
    target = torch.where(left == 0, sharp, lens.gathered(left))
    return frames, target
