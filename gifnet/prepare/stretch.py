"""Stretching the contrast of grey pictures, and giving a scale to numbers that have none."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..images.levels import LEVELS
from ..images.picture import Picture, ReadablePicture, UnscaledPicture
from ..options.values import StretchLimits


def stretched(picture: ReadablePicture, limits: StretchLimits | None) -> tuple[Picture, list[str]]:
    """A grey picture with its range between two limits mapped to [0, 1], and clipped there.

    The limits are percentiles, which each image of a batch has of its own and transparent pixels don't count for, or
    values as the file or array has them. Grey is what has one channel or three equal ones. A coloured picture is left
    alone: its brightness is right as it was taken, and channels stretched apart would change its hues. So is an image
    that is the same everywhere, by percentiles.

    Numbers on a scale of their own (see ``UnscaledPicture``) are mapped before anything else, NaN to black; those in
    colour too, all channels alike.

    Raises InputError for numbers on a scale of their own where ``limits`` is None, or all are NaN; and for values that
    no image of this dtype has.
    """
    if limits is None:
        return picture.load(), []
    given = picture.as_given()
    if isinstance(given, UnscaledPicture):
        return _scaled(given, limits)
    if given.shows_colour():
        return given, []
    levels = LEVELS.get(given.dtype, 1.0)
    images, notes = [], []
    for index, image in enumerate(given.pixels):
        if limits.of == "percentiles":
            low, high = _range(image, None if given.alpha is None else given.alpha[index], limits)
        else:
            _check_reach(given, limits, levels)
            low, high = limits.low / levels, limits.high / levels
        images.append(((image - low) / (high - low)).clamp(0, 1) if high > low else image)
        notes.append(_note(given, low * levels, high * levels, limits))
    return replace(given, pixels=torch.stack(images)), notes


def of_pair(limits: StretchLimits | None) -> tuple[StretchLimits | None, StretchLimits | None]:
    """What the images of a pair are stretched by: ``limits``, but for those of the values of one of them."""
    other_than = {"a": "b", "b": "a"}.get(limits.of) if limits else None
    return (None if other_than == "a" else limits), (None if other_than == "b" else limits)


def _check_reach(picture: Picture, limits: StretchLimits, levels: float) -> None:
    """Raises InputError where all of the picture would be black, or white, whatever it shows."""
    if limits.low >= levels or limits.high <= 0:
        raise InputError(
            f"stretch: {picture.name} has values from 0 to {levels:g}, none of them between {limits.low:g} and "
            f"{limits.high:g}; where these are for one image of a pair, say which: ({limits.low:g}, {limits.high:g}, "
            "'a') or 'b'"
        )


def _scaled(picture: UnscaledPicture, limits: StretchLimits) -> tuple[Picture, list[str]]:
    images, notes = [], []
    for values in picture.values:
        finite = values[values.isfinite()]
        if not finite.numel():
            raise InputError(f"{picture.name}: holds no finite value")
        low, high = _percentiles(finite, limits) if limits.of == "percentiles" else (limits.low, limits.high)
        images.append(picture.mapped(values, low, high))
        notes.append(_note(picture, low, high, limits))
    return picture.scaled(torch.stack(images)), notes


def _note(picture: ReadablePicture, low: float, high: float, limits: StretchLimits) -> str:
    of = str(limits) if limits.of == "percentiles" else "as given"
    return f"{picture.short_name}: stretched from {low:.6g} to {high:.6g} ({of})"


def _range(image: Tensor, alpha: Tensor | None, limits: StretchLimits) -> tuple[float, float]:
    values = image[0] if alpha is None else image[0][alpha[0] > 0]
    return _percentiles(values, limits) if values.numel() else (0.0, 1.0)


def _percentiles(values: Tensor, limits: StretchLimits) -> tuple[float, float]:
    low, high = (float(limit) for limit in np.percentile(values.cpu().numpy(), (limits.low, limits.high)))
    if low == high:  # all but a few pixels are of one value: those few are what there is to see
        low, high = float(values.min()), float(values.max())
    return low, high


def limits_of(given: Picture | UnscaledPicture, limits: StretchLimits) -> tuple[float, float] | None:
    """What ``stretched`` would map to black and white, of one image; None where it would leave it alone.

    Pixels of a picture count as [0, 1], other numbers as they are. Raises InputError where all of them are NaN.
    """
    if isinstance(given, UnscaledPicture):
        finite = given.values[given.values.isfinite()]
        if not finite.numel():
            raise InputError(f"{given.name}: holds no finite value")
        return _percentiles(finite, limits) if limits.of == "percentiles" else (limits.low, limits.high)
    if given.shows_colour():
        return None
    if limits.of != "percentiles":
        levels = LEVELS.get(given.dtype, 1.0)
        _check_reach(given, limits, levels)
        return limits.low / levels, limits.high / levels
    return _range(given.pixels[0], None if given.alpha is None else given.alpha[0], limits)


def stretched_between(given: Picture | UnscaledPicture, low: float, high: float) -> Picture:
    """With these limits, as ``limits_of`` gives them, mapped to black and white; NaN to black."""
    if isinstance(given, UnscaledPicture):
        return given.scaled(given.mapped(given.values, low, high))
    span = high - low if high > low else 1.0
    return replace(given, pixels=((given.pixels - low) / span).clamp(0, 1))
