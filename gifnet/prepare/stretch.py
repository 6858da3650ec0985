"""Stretching the contrast of grey pictures, and giving a scale to numbers that have none."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..images.levels import LEVELS
from ..images.picture import Picture, ReadablePicture, UnscaledPicture
from ..options.values import Percentiles


def stretched(picture: ReadablePicture, percentiles: Percentiles | None) -> tuple[Picture, list[str]]:
    """A grey picture with its range between two percentiles mapped to [0, 1], and clipped there.

    Each image of a batch is mapped on its own; transparent pixels don't count. Grey is what has one channel or three
    equal ones. A coloured picture is left alone: its brightness is right as it was taken, and channels stretched apart
    would change its hues. So is an image that is the same everywhere.

    Numbers on a scale of their own (see ``UnscaledPicture``) are mapped before anything else, NaN to black; those in
    colour too, all channels alike. Raises InputError for them where ``percentiles`` is None, or all are NaN.
    """
    if percentiles is None:
        return picture.load(), []
    given = picture.as_given()
    if isinstance(given, UnscaledPicture):
        return _scaled(given, percentiles)
    pixels = given.pixels
    if given.shows_colour():
        return given, []
    levels = LEVELS.get(given.dtype, 1.0)
    images, notes = [], []
    for index, image in enumerate(pixels):
        low, high = _limits(image, None if given.alpha is None else given.alpha[index], percentiles)
        images.append(((image - low) / (high - low)).clamp(0, 1) if high > low else image)
        notes.append(_note(given, low * levels, high * levels, percentiles))
    return replace(given, pixels=torch.stack(images)), notes


def _scaled(picture: UnscaledPicture, percentiles: Percentiles) -> tuple[Picture, list[str]]:
    images, notes = [], []
    for values in picture.values:
        finite = values[values.isfinite()]
        if not finite.numel():
            raise InputError(f"{picture.name}: holds no finite value")
        low, high = _percentiles(finite, percentiles)
        span = high - low if high > low else 1.0
        images.append(((values - low) / span).nan_to_num(0.0, 1.0, 0.0).clamp(0, 1).float())
        notes.append(_note(picture, low, high, percentiles))
    return picture.scaled(torch.stack(images)), notes


def _note(picture: ReadablePicture, low: float, high: float, percentiles: Percentiles) -> str:
    between = "{:g} to {:g} %".format(*percentiles)
    return f"{picture.short_name}: stretched from {low:.6g} to {high:.6g} ({between})"


def _limits(image: Tensor, alpha: Tensor | None, percentiles: Percentiles) -> tuple[float, float]:
    values = image[0] if alpha is None else image[0][alpha[0] > 0]
    return _percentiles(values, percentiles) if values.numel() else (0.0, 1.0)


def _percentiles(values: Tensor, percentiles: Percentiles) -> tuple[float, float]:
    low, high = (float(limit) for limit in np.percentile(values.cpu().numpy(), percentiles))
    if low == high:  # all but a few pixels are of one value: those few are what there is to see
        low, high = float(values.min()), float(values.max())
    return low, high


def limits_of(given: Picture | UnscaledPicture, percentiles: Percentiles) -> tuple[float, float] | None:
    """What ``stretched`` would map to black and white, of one image; None where it would leave it alone.

    Pixels of a picture count as [0, 1], other numbers as they are. Raises InputError where all of them are NaN.
    """
    if isinstance(given, UnscaledPicture):
        finite = given.values[given.values.isfinite()]
        if not finite.numel():
            raise InputError(f"{given.name}: holds no finite value")
        return _percentiles(finite, percentiles)
    if given.shows_colour():
        return None
    return _limits(given.pixels[0], None if given.alpha is None else given.alpha[0], percentiles)


def stretched_between(given: Picture | UnscaledPicture, low: float, high: float) -> Picture:
    """With these limits, as ``limits_of`` gives them, mapped to black and white; NaN to black."""
    values = given.values if isinstance(given, UnscaledPicture) else given.pixels
    span = high - low if high > low else 1.0
    pixels = ((values - low) / span).nan_to_num(0.0, 1.0, 0.0).clamp(0, 1).float()
    return given.scaled(pixels) if isinstance(given, UnscaledPicture) else replace(given, pixels=pixels)
