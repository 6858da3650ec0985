"""Stretching the contrast of grey pictures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..images.levels import LEVELS
from ..images.picture import Picture

Stretch: TypeAlias = bool | Sequence[float]
DEFAULT_PERCENTILES = (0.1, 99.9)


def stretch_percentiles(stretch: Stretch) -> tuple[float, float] | None:
    """What the option ``stretch`` says: two percentiles, or None for off. Raises InputError."""
    if stretch is False or stretch is None:
        return None
    if stretch is True:
        return DEFAULT_PERCENTILES
    try:
        low, high = (float(limit) for limit in stretch)
    except (TypeError, ValueError) as error:
        raise InputError(f"stretch: {stretch!r}; give True, or two percentiles such as (1, 99)") from error
    if not 0 <= low < high <= 100:
        raise InputError(f"stretch: {low:g} to {high:g}; give two percentiles from 0 to 100, the lower one first")
    return low, high


def stretched(picture: Picture, percentiles: tuple[float, float] | None) -> tuple[Picture, list[str]]:
    """A grey picture with its range between two percentiles mapped to [0, 1], and clipped there.

    Each image of a batch is mapped on its own; transparent pixels don't count. Grey is what has one channel or three
    equal ones. A coloured picture is left alone: its brightness is right as it was taken, and channels stretched apart
    would change its hues. So is an image that is the same everywhere.
    """
    pixels = picture.pixels
    if percentiles is None or (picture.coloured and not bool((pixels == pixels[:, :1]).all())):
        return picture, []
    levels = LEVELS.get(picture.dtype, 1.0)
    images, notes = [], []
    for index, image in enumerate(pixels):
        low, high = _limits(image, None if picture.alpha is None else picture.alpha[index], percentiles)
        images.append(((image - low) / (high - low)).clamp(0, 1) if high > low else image)
        between = "{:g} to {:g} %".format(*percentiles)
        notes.append(f"{picture.short_name}: stretched from {low * levels:.6g} to {high * levels:.6g} ({between})")
    return replace(picture, pixels=torch.stack(images)), notes


def _limits(image: Tensor, alpha: Tensor | None, percentiles: tuple[float, float]) -> tuple[float, float]:
    values = image[0] if alpha is None else image[0][alpha[0] > 0]
    if not values.numel():
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(values.cpu().numpy(), percentiles))
    if low == high:  # all but a few pixels are of one value: those few are what there is to see
        low, high = float(values.min()), float(values.max())
    return low, high
