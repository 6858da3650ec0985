"""What gifnet's models are measured by on luminance planes in floating point: no file, and no rounding, in between.

``measured`` gives values by task and measure. The tasks, on the middle or the corner of a photograph:

    itself       a photograph fused with itself
    Gaussian     two versions, a region and its complement blurred in turn (``examples/focus_truth.py``)
    enhance      the photograph mildly blurred, with noise of 1, 2 or 3 levels in turn, in 8 bits: what ``enhance``
                 gains, and how far its result leaves what surrounds a pixel in the photograph, which halos do and
                 noise does
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from gifnet import Fuser
from gifnet.training.validation import focus_pair

from .scenes import CROP, Array, read
from .scores import LUMA, decibels

SIDE = 384  # pixels a side, of the middle of the photograph, for Gaussian and enhance
BLURS, NOISES = (0.8, 1.1, 1.5), (1.0, 2.0, 3.0)  # deviations: of the blur in pixels, of the noise in levels
NEIGHBOURHOOD = 5  # pixels a side

Value = tuple[str, str, float]  # task, measure, value


def measured(fuser: Fuser | None, path: Path, index: int) -> dict[str, dict[str, float]]:
    """The values for one photograph, the index-th; of its inputs where there is no model."""
    found: dict[str, dict[str, float]] = {}
    for task, measure, value in values(fuser, read(path) @ LUMA, index):
        found.setdefault(task, {})[measure] = value
    return found


def values(fuser: Fuser | None, whole: Array, index: int) -> Iterator[Value]:
    """What is measured on a photograph's luminance (H, W) in [0, 1]."""
    if fuser is not None:
        corner = whole[: CROP[0], : CROP[1]]
        yield "a photograph with itself", "PSNR luma", decibels(fuse(fuser, corner, corner) - corner)
    sharp = middle(whole)
    near, far = (plane[0, 0].double().numpy() for plane in focus_pair(tensor(sharp), index))
    image = (near + far) / 2 if fuser is None else fuse(fuser, near, far)
    yield "Gaussian complementary pairs", "PSNR luma", decibels(image - sharp)
    for blur in BLURS:
        soft = softened(sharp, blur, NOISES[index % len(NOISES)], np.random.default_rng(index))
        image = soft if fuser is None else enhance(fuser, soft)
        task = f"enhance, blur σ = {blur} px"
        yield task, "gain in PSNR luma", decibels(image - sharp) - decibels(soft - sharp)
        yield task, "overshoot", overshoot(image, sharp)


def softened(sharp: Array, blur: float, noise: float, rng: np.random.Generator) -> Array:
    """``sharp`` blurred by a Gaussian of this deviation, with noise of so many levels, rounded to 8 bits."""
    soft = gaussian_filter(sharp, blur) + rng.normal(0, noise / 255, sharp.shape)
    rounded: Array = (soft.clip(0, 1) * 255).round() / 255
    return rounded


def overshoot(image: Array, truth: Array) -> float:
    """Mean distance, in levels, at which ``image`` lies outside the range of the truth's 5×5 neighbourhoods."""
    above = image - maximum_filter(truth, NEIGHBOURHOOD)
    below = minimum_filter(truth, NEIGHBOURHOOD) - image
    return float(np.maximum(np.maximum(above, below), 0).mean() * 255)


def fuse(fuser: Fuser, a: Array, b: Array) -> Array:
    plane: Array = fuser.fuse(tensor(a)[0], tensor(b)[0])[0].double().cpu().numpy()
    return plane


def enhance(fuser: Fuser, x: Array) -> Array:
    plane: Array = fuser.enhance(tensor(x)[0])[0].double().cpu().numpy()
    return plane


def middle(plane: Array) -> Array:
    top, left = (max(0, side - SIDE) // 2 for side in plane.shape)
    return plane[top : top + SIDE, left : left + SIDE]


def tensor(plane: Array) -> torch.Tensor:
    """(H, W) to (1, 1, H, W) float32."""
    return torch.tensor(plane, dtype=torch.float32).clamp(0, 1)[None, None]
