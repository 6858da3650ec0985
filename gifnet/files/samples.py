"""What the samples of a decoded image mean: their full scale, their colours, and which of them is alpha.

``docs/formats.md`` has the table.
"""

from typing import Any, TypeAlias

import numpy as np

from ..errors import InputError

Array: TypeAlias = np.ndarray[Any, Any]

_COLOURS = {0: 1, 1: 1, 2: 3, 5: 4, 6: 3}  # photometric: white is zero, black is zero, RGB, CMYK, YCbCr (decoded)
UNSPECIFIED, ASSOCIATED, UNASSOCIATED = 0, 1, 2  # ExtraSamples


def at_full_scale(array: Array, bits: int) -> Array:
    """Unsigned integers of ``bits`` bits as uint8 or uint16, whose full scale is that of the dtype."""
    dtype, full = (np.uint8, 255) if bits <= 8 else (np.uint16, 65535)
    top = 2**bits - 1
    scaled: Array = array if top == full else (array.clip(0, top).astype(np.uint32) * full + top // 2) // top
    return scaled.astype(dtype, copy=False)


def split_samples(count: int, photometric: int, extra: tuple[int, ...], name: str) -> tuple[int, int | None]:
    """How many of a TIFF's samples per pixel are colours, and which one, if any, is alpha.

    ExtraSamples decides: what it calls unspecified is left out, at any depth. Where the tag is missing, a single
    further sample is alpha. Three or four samples of "black is zero" are bands in the order red, green, blue (GDAL).
    Raises InputError for other numbers.
    """
    colours = _COLOURS.get(photometric)
    if photometric in (0, 1) and count in (3, 4) and not any(extra[:2]):
        colours, extra = 3, extra[2:]
    if colours is None or count < colours or (photometric in (0, 1) and count > 4):
        raise InputError(
            f"{name}: {count} channels as {_name(photometric)}; give grey, RGB or CMYK, with or without alpha"
        )
    if count == colours:
        return colours, None
    if not extra:
        if count > colours + 1:
            raise InputError(f"{name}: {count} channels, and nothing says what those after the first {colours} are")
        return colours, colours
    alphas = [index for index, kind in enumerate(extra[: count - colours]) if kind != UNSPECIFIED]
    return colours, colours + alphas[0] if alphas else None


def further_samples(count: int, photometric: int, extra: tuple[int, ...], name: str) -> list[int]:
    """Which of a TIFF's samples are neither colours nor alpha, but stand beside grey or RGB: near infrared, say.

    Raises InputError as ``split_samples`` does.
    """
    if photometric not in (1, 2) or count < 2 or not extra:
        return []
    colours, alpha = split_samples(count, photometric, extra, name)
    kinds = dict(zip(range(count - len(extra), count), extra, strict=True)) if len(extra) <= count else {}
    return [sample for sample in range(colours, count) if sample != alpha and kinds.get(sample) == UNSPECIFIED]


def _name(photometric: int) -> str:
    names = {0: "MINISWHITE", 1: "MINISBLACK", 2: "RGB", 3: "PALETTE", 5: "SEPARATED", 6: "YCBCR", 8: "CIELAB"}
    return names.get(photometric, f"photometric {photometric}")


def as_channels(array: Array, photometric: int, extra: tuple[int, ...], name: str) -> Array:
    """A TIFF's samples (H, W, samples), at full scale, as a raster has them: grey or RGB, with or without alpha."""
    colours, alpha_at = split_samples(array.shape[2], photometric, extra, name)
    top = 1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    colour = array[..., :colours]
    if photometric == 0:
        colour = top - colour
    if photometric == 5:
        inks = colour.astype(np.float32) / top
        colour = _levels((1 - inks[..., :3]) * (1 - inks[..., 3:]), array.dtype)
    if alpha_at is None:
        return colour
    alpha = array[..., alpha_at : alpha_at + 1]
    if extra and extra[alpha_at - array.shape[2]] == ASSOCIATED:  # colour comes multiplied by alpha
        shares = colour.astype(np.float32) / np.maximum(alpha, 1e-6 if top == 1 else 1)
        colour = _levels(shares.clip(0, 1), array.dtype)
    return np.concatenate([colour, alpha], axis=2)


def _levels(values: Array, dtype: "np.dtype[Any]") -> Array:
    """float32 in [0, 1] to the dtype's levels."""
    return values if dtype.kind == "f" else (values * np.iinfo(dtype).max).round().astype(dtype)
