"""Losses: those of the paper (Cheng et al., CVPR 2025), and gifnet's own of other tasks."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..extras import require
from ..metrics.exposure import exposure_similarity

TONE_BLOCK = 16  # pixels
VIF_NOISE = 2.0  # variance of the visual system's noise, on the 0..255 scale
FLAT = 0.05  # variance, likewise, below which a window holds no detail to speak of
PYRAMID_LEVELS = 5  # as many as the paper's φ has stages of DenseNet-121

Arguments = ParamSpec("Arguments")
Loss = Callable[Concatenate[Tensor, Arguments], Tensor]
Phi = Callable[[Tensor], Tensor]  # the information measure φ: planes (B, 1, H, W) in [0, 1] to (B,)

PHIS = {  # what a recipe may name, and what is noted with the weights
    "gradient": "logarithm of the root mean squared detail over five octaves",
    "densenet": "mean squared detail of five stages of DenseNet-121's features",
}


def in_full_precision(loss: Loss[Arguments]) -> Loss[Arguments]:
    """The loss, computed without autocast: in bfloat16, SSIM's variances vanish in the rounding of squared means, so
    that 1 - SSIM of an image with itself is 0.6, and its gradient has nothing to do with the true one.
    """

    @functools.wraps(loss)
    def computed(plane: Tensor, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Tensor:
        with torch.autocast(plane.device.type, enabled=False):
            return loss(plane, *args, **kwargs)

    return computed


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses; the paper's are the defaults.

    The multi-modal loss has a floor, for no image equals both of its sources, and so has large gradients that never
    end. With equal weights they drown the photography loss's in Adam's second moments of the shared parameters.
    """

    multi_modal: float = 1.0
    modal_error: float = 1.0  # in it, of the MSE with both sources, the paper's
    detail: float = 0.0  # of ``detail_loss`` beside the multi-modal step's MSE, whose optimum halves either's contrast
    detail_octaves: int = 1  # that it looks at, the finest first
    detail_gain: float = 1.0  # of the gradients it asks for, over the sources'
    modal_structure: float = 0.0  # of 1 - SSIM with the sources, the mean of both, beside it
    modal_information: float = 0.0  # of ``information_loss`` with the sources, beside it
    exposure: float = 1.0  # of ``exposure_loss``
    tone: float = 0.2  # of ``tone_loss`` beside MEF-SSIM, which is blind to brightness
    exposure_detail: float = 0.0  # of ``detail_loss`` beside it
    exposure_information: float = 0.0  # of ``information_loss`` beside it
    photography: float = 1.0
    enhance: float = 1.0  # of the same loss where one image is enhanced
    absolute: float = 0.0  # of mean |fused - sharp| beside the photography step's MSE, whose gradient fades too early
    structure: float = 0.0  # of 1 - SSIM(fused, sharp) beside it
    sharpness: float = 0.0  # of the mean absolute difference of their gradients beside it, over ``detail_octaves``
    phi: str = "gradient"  # what weighs infrared against visible: ``detail_energy``, or "densenet", the paper's

    def __post_init__(self) -> None:
        if self.phi not in PHIS:
            raise InputError(f"phi: {self.phi!r}; give one of {', '.join(PHIS)}")


@in_full_precision
def public_loss(reconstructed: Tensor, visible: Tensor) -> Tensor:
    """L_pub = 1 - SSIM + MSE of REC's output against the sharp visible plane; both (B, 1, H, W)."""
    return dissimilarity(reconstructed, visible) + F.mse_loss(reconstructed, visible)


def dissimilarity(x: Tensor, y: Tensor) -> Tensor:
    """1 - SSIM, averaged over the batch; both (B, 1, H, W) in [0, 1]."""
    return 1 - _ssim(x, y, "elementwise_mean")


def similarities(x: Tensor, y: Tensor) -> Tensor:
    """SSIM of each image of a batch, (B,); both (B, 1, H, W) in [0, 1]."""
    return _ssim(x, y, "none")


def _ssim(x: Tensor, y: Tensor, reduction: str) -> Tensor:
    library = require("torchmetrics.functional.image", extra="train", purpose="training")
    ssim = library.structural_similarity_index_measure(x, y, data_range=1.0, reduction=reduction)
    assert isinstance(ssim, Tensor)
    return ssim


def detail_kernel(like: Tensor) -> Tensor:
    """The kernel of the paper's φ, (1, 1, 3, 3): 1/8 around, -1 in the middle."""
    kernel = like.new_full((1, 1, 3, 3), 1 / 8)
    kernel[..., 1, 1] = -1
    return kernel


def detail_energy(plane: Tensor) -> Tensor:
    """φ without a pretrained network: log of the root mean squared response of the paper's 3x3 kernel, averaged over a
    pyramid of five octaves. ``plane``: (B, 1, H, W); returns (B,).

    In the logarithm, so that the softmax of two measures is each one's share of the detail: φ on raw luminance would
    be too small for a softmax to tell two images apart.
    """
    kernel = detail_kernel(plane)
    energies = []
    for level in range(PYRAMID_LEVELS):
        if level:
            plane = F.avg_pool2d(plane, 2)
        energies.append(F.conv2d(plane, kernel).square().mean(dim=(1, 2, 3)))
    return 0.5 * torch.stack(energies).mean(dim=0).clamp(min=1e-8).log()


def gradients(plane: Tensor) -> Tensor:
    """Sobel's derivatives along x and y, per pixel's step: (B, 1, H, W) to (B, 2, H - 2, W - 2)."""
    across = plane.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    return F.conv2d(plane, torch.stack([across, across.T])[:, None])


def detail_loss(fused: Tensor, first: Tensor, second: Tensor, octaves: int = 1, gain: float = 1.0) -> Tensor:
    """Mean absolute difference of the fused gradient from that of the source which has the steeper one, per pixel.

    Averaged over ``octaves`` of a pyramid of means of 2x2 pixels: the coarser ones keep contrast between areas. The
    sources' gradients are asked for ``gain`` times.
    """
    losses = []
    for of_fused, of_first, of_second in zip(
        *(pyramid(plane, octaves) for plane in (fused, first, second)), strict=True
    ):
        steeper = of_first.square().sum(dim=1, keepdim=True) > of_second.square().sum(dim=1, keepdim=True)
        losses.append(F.l1_loss(of_fused, gain * torch.where(steeper, of_first, of_second)))
    return torch.stack(losses).mean()


def gradient_distance(x: Tensor, y: Tensor, octaves: int = 1) -> Tensor:
    """Mean absolute difference of the gradients of planes (B, 1, H, W), averaged over the octaves."""
    pairs = zip(pyramid(x, octaves), pyramid(y, octaves), strict=True)
    return torch.stack([F.l1_loss(of_x, of_y) for of_x, of_y in pairs]).mean()


def pyramid(plane: Tensor, octaves: int) -> list[Tensor]:
    """``gradients`` of a plane and of its means of 2x2, 4x4 ... pixels."""
    levels = [plane]
    while len(levels) < octaves:
        levels.append(F.avg_pool2d(levels[-1], 2))
    return [gradients(level) for level in levels]


@in_full_precision
def multi_modal_loss(
    fused: Tensor, infrared: Tensor, visible: Tensor, config: LossConfig, phi: Phi = detail_energy
) -> Tensor:
    """w_ir·MSE(fused, ir) + w_vis·MSE(fused, vis), the weights a softmax of φ per pair; all (B, 1, H, W).

    With the configured share of ``detail_loss``.
    """
    weights = torch.stack([phi(infrared), phi(visible)]).softmax(dim=0)
    errors = torch.stack([(fused - source).square().mean(dim=(1, 2, 3)) for source in (infrared, visible)])
    loss = config.modal_error * (weights * errors).sum(dim=0).mean()
    if config.detail:
        steepest = detail_loss(fused, infrared, visible, config.detail_octaves, config.detail_gain)
        loss = loss + config.detail * steepest
    if config.modal_structure:
        unlike = torch.stack([1 - similarities(fused, source) for source in (infrared, visible)])
        loss = loss + config.modal_structure * unlike.mean()
    if config.modal_information:
        loss = loss + config.modal_information * information_loss(fused, infrared, visible)
    return loss


def information_loss(fused: Tensor, *sources: Tensor) -> Tensor:
    """1 - VIF (Sheikh and Bovik, 2006), the mean over the sources; all (B, 1, H, W) in [0, 1], 41 pixels a side.

    Pixel domain, four scales, as in ``gifnet.metrics.vif``; but differentiable, and of sources that hold next to no
    information it asks next to nothing.
    """
    values = []
    for source in sources:
        kept, held = fused.new_zeros(len(fused)), fused.new_zeros(len(fused))
        x, y = ((plane - plane.mean(dim=(1, 2, 3), keepdim=True)) * 255 for plane in (source, fused))
        for side in (17, 9, 5, 3):
            window = _gaussian_window(side, x)
            if side < 17:
                x, y = _blurred(torch.cat([x, y], dim=1), window)[..., ::2, ::2].chunk(2, dim=1)
            moments = _blurred(torch.cat([x, y, x * x, y * y, x * y], dim=1), window)
            mean_x, mean_y, square_x, square_y, product = moments.chunk(5, dim=1)
            variance_x = (square_x - mean_x**2).clamp(min=0)
            variance_y = (square_y - mean_y**2).clamp(min=0)
            covariance = product - mean_x * mean_y
            gain = (covariance / (variance_x + FLAT)).clamp(min=0)
            noise = (variance_y - gain * covariance).clamp(min=0)
            kept = kept + (gain**2 * variance_x / (noise + VIF_NOISE)).log1p().sum(dim=(1, 2, 3))
            held = held + (variance_x / VIF_NOISE).log1p().sum(dim=(1, 2, 3))
        values.append(kept / (held + FLAT * fused[0].numel()))
    return 1 - torch.stack(values).mean()


def _gaussian_window(side: int, like: Tensor) -> Tensor:
    """Of VIF, along one side: (side,), deviation side / 5."""
    offsets = torch.arange(side, device=like.device, dtype=like.dtype) - side // 2
    window = torch.exp(-0.5 * (offsets / (side / 5)) ** 2)
    return window / window.sum()


def _blurred(planes: Tensor, window: Tensor) -> Tensor:
    """Planes (B, C, H, W) filtered along either side, where the window fits."""
    single = planes.flatten(0, 1)[:, None]
    filtered = F.conv2d(F.conv2d(single, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))
    return filtered[:, 0].unflatten(0, planes.shape[:2])  # type: ignore[no-untyped-call, no-any-return]


@in_full_precision
def exposure_loss(fused: Tensor, first: Tensor, second: Tensor, config: LossConfig) -> Tensor:
    """1 - MEF-SSIM (Ma, Zeng and Wang, 2015) of two exposures' fusion, with a share of ``tone_loss``.

    Inference clips to [0, 1]: structure beyond does not count, and being there costs, or there were no way back.
    """
    shown = fused.clamp(0, 1)
    loss = 1 - exposure_similarity(shown, (first, second)).mean() + F.l1_loss(fused, shown)
    if config.tone:
        loss = loss + config.tone * tone_loss(fused, first, second)
    if config.exposure_detail:
        loss = loss + config.exposure_detail * detail_loss(fused, first, second, config.detail_octaves)
    if config.exposure_information:
        loss = loss + config.exposure_information * information_loss(fused, first, second)
    return loss.to(fused.dtype)


def tone_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of coarse tones from the sources' mean, weighted by how well each pixel is exposed.

    The weights are Mertens et al.'s (2007), Gaussian about mid-grey; tones are means over ``TONE_BLOCK``² pixels.
    """
    weights = [torch.exp(-0.5 * ((plane - 0.5) / 0.2) ** 2) + 1e-3 for plane in (first, second)]
    mean = (weights[0] * first + weights[1] * second) / (weights[0] + weights[1])
    block = min(TONE_BLOCK, *fused.shape[-2:])
    return F.l1_loss(F.avg_pool2d(fused, block), F.avg_pool2d(mean, block))


@in_full_precision
def photography_loss(fused: Tensor, sharp: Tensor, config: LossConfig) -> Tensor:
    """MSE(fused, sharp), with shares of mean absolute error, 1 - SSIM and gradients as configured; (B, 1, H, W)."""
    loss = F.mse_loss(fused, sharp)
    if config.absolute:
        loss = loss + config.absolute * F.l1_loss(fused, sharp)
    if config.structure:
        loss = loss + config.structure * dissimilarity(fused, sharp)
    if config.sharpness:
        loss = loss + config.sharpness * gradient_distance(fused, sharp, config.detail_octaves)
    return loss
