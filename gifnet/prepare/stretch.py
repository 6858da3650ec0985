"""Stretching the contrast of grey pictures."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..images.levels import LEVELS
from ..images.picture import Picture
from ..options.values import Percentiles


def stretched(picture: Picture, percentiles: Percentiles | None) -> tuple[Picture, list[str]]:
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


def _limits(image: Tensor, alpha: Tensor | None, percentiles: Percentiles) -> tuple[float, float]:
    values = image[0] if alpha is None else image[0][alpha[0] > 0]
    if not values.numel():
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(values.cpu().numpy(), percentiles))
    if low == high:  # all but a few pixels are of one value: those few are what there is to see
        low, high = float(values.min()), float(values.max())
    return low, high
