"""The types of options' values, and their checks. A check gives the value in one form, or raises InputError.

Numbers are Python's and NumPy's. Booleans are no numbers.
"""

import math
import os
import re
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, get_args

import torch

from ..errors import InputError

Name: TypeAlias = str | os.PathLike[str]  # of a model
Device: TypeAlias = str | torch.device
Dtype: TypeAlias = str | torch.dtype
Resize: TypeAlias = Literal["a", "b"] | None
Stretch: TypeAlias = bool | Sequence[float]
Percentiles: TypeAlias = tuple[float, float]
Motion: TypeAlias = Literal["translation", "similarity", "affine", "homography"]
Align: TypeAlias = bool | Motion
Tile: TypeAlias = Literal["auto"] | int | None
Memory: TypeAlias = int | str | None  # bytes, a text such as "2GB", or what is free
Steps: TypeAlias = Callable[[int, int], object]  # told the number of steps done, and of all
Progress: TypeAlias = bool | Steps | None
Lines: TypeAlias = Callable[[str], object]  # told a line of text

MOTIONS: tuple[Motion, ...] = get_args(Motion)
DEFAULT_PERCENTILES = (0.1, 99.9)
SMALLEST_TILE = 64
UNITS = {"": 1, "b": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgt", 1)
    for suffix, base in (("b", 1000), ("", 1000), ("ib", 1024))
}


def is_integer(value: object) -> bool:
    """Whether it is an integer of Python or NumPy, and no boolean."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a real number of Python or NumPy, and no boolean."""
    return isinstance(value, Real) and not isinstance(value, bool)


def number_between(name: str, low: float, high: float, limits: str) -> Callable[[Any], float]:
    """A check for numbers from ``low`` to ``high``, which messages write as ``limits``."""

    def check(value: Any) -> float:
        if not is_number(value):
            raise InputError(f"{name}: {value!r}; give a number from {limits}")
        if not low <= value <= high:
            raise InputError(f"{name}: {value} is outside {limits}")
        return float(value)

    return check


check_strength = number_between("strength", 0, 1, "0 (the image as it is) to 1 (fully enhanced)")


def check_page(page: Any) -> int | None:
    """The number of an image in a file, or None."""
    if page is None:
        return None
    if not is_integer(page) or page < 0:
        raise InputError(f"page: {page!r}; give the number of an image in the file, 0 for the first")
    return int(page)


def check_resize(resize: Any) -> Resize:
    """``"a"``, ``"b"`` or None."""
    if not (resize is None or (isinstance(resize, str) and resize in ("a", "b"))):
        raise InputError(f"resize: {resize!r}; give 'a' or 'b', the image whose size both are to have")
    return resize  # type: ignore[return-value]  # one of these texts


def check_stretch(stretch: Any) -> Percentiles | None:
    """Two percentiles, or None for off."""
    if stretch is None or stretch is False:
        return None
    if stretch is True:
        return DEFAULT_PERCENTILES
    limits = [] if isinstance(stretch, (str, bytes)) or not hasattr(stretch, "__iter__") else list(stretch)
    if len(limits) != 2 or not all(map(is_number, limits)):
        raise InputError(f"stretch: {stretch!r}; give True, or two percentiles such as (1, 99)")
    low, high = map(float, limits)
    if not 0 <= low < high <= 100:
        raise InputError(f"stretch: {low:g} to {high:g}; give two percentiles from 0 to 100, the lower one first")
    return low, high


def check_motion(motion: Any) -> Motion:
    """One of MOTIONS."""
    if not isinstance(motion, str) or motion not in MOTIONS:
        raise InputError(f"motion: {motion!r}; use {', '.join(map(repr, MOTIONS))}")
    return motion


def check_align(align: Any) -> Motion | Literal[True] | None:
    """A motion, True for that which suits the images, or None for off."""
    if align is None or align is False:
        return None
    if align is True:
        return True
    if not isinstance(align, str) or align not in MOTIONS:
        raise InputError(f"align: {align!r}; give True or a motion: {', '.join(map(repr, MOTIONS))}")
    return align


def check_tile(tile: Any) -> Tile:
    """``"auto"``, None (one piece) or a number of pixels from SMALLEST_TILE."""
    if tile is None:
        return None
    if isinstance(tile, str) and tile == "auto":
        return "auto"
    if is_integer(tile) and tile >= SMALLEST_TILE:
        return int(tile)
    raise InputError(f"tile: {tile!r}; give 'auto', None (one piece) or {SMALLEST_TILE} or more pixels a side")


def parse_bytes(memory: Any) -> int:
    """An amount of memory in bytes: a number, or a text such as ``"2GB"``, ``"1.5 GiB"`` or ``"500M"``.

    Raises InputError for anything else, and for nothing.
    """
    count = float(memory) if is_number(memory) else 0.0
    if isinstance(memory, str):
        match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([a-z]*)", memory.strip().lower())
        if match and match[2] in UNITS:
            count = float(match[1]) * UNITS[match[2]]
    if not 1 <= count < 2**63:
        raise InputError(f"memory: {memory!r}; give bytes, or a text such as '2GB' or '500 MiB'")
    return int(memory) if is_integer(memory) else int(count)


def check_memory(memory: Any) -> int | None:
    """A number of bytes, or None for what is free."""
    return None if memory is None else parse_bytes(memory)


def check_progress(progress: Any) -> Progress:
    """True, False, None or a function."""
    if progress is None or isinstance(progress, bool) or callable(progress):
        return progress  # type: ignore[no-any-return]
    raise InputError(f"progress: {progress!r}; give True, False, None or a function of (done, steps)")


def check_nodata(nodata: Any) -> float | None:
    """A number, NaN too, or None."""
    if nodata is None or is_number(nodata):
        return nodata  # type: ignore[no-any-return]  # as it is: 64-bit integers have more digits than a float
    raise InputError(f"nodata: {nodata!r}; give a number")


def check_offset(offset: Any) -> float:
    """Seconds, of either sign."""
    if not is_number(offset) or not math.isfinite(offset):
        raise InputError(f"offset: {offset!r}; give a number of seconds")
    return float(offset)


# --- from the command line's texts --------------------------------------------------------------------


def tile_of_text(text: str) -> Tile:
    """``auto``, ``none`` or a number."""
    if text.lower() in ("auto", "none"):
        return "auto" if text.lower() == "auto" else None
    try:
        return check_tile(int(text))
    except ValueError as error:  # InputError is one
        raise InputError(f"{text!r}; give auto, none, or {SMALLEST_TILE} or more pixels") from error


def memory_of_text(text: str) -> int:
    """Such as ``2GB``."""
    try:
        return parse_bytes(text)
    except InputError as error:
        raise InputError(f"{text!r}; give an amount such as 2GB or 500MB") from error


def percentiles_of_text(text: str) -> Percentiles | None:
    """Such as ``1,99``."""
    try:
        return check_stretch([float(part) for part in text.split(",")])
    except ValueError as error:
        raise InputError(f"{text!r}; give two percentiles such as 1,99") from error


def align_of_text(text: str) -> Motion:
    """One of MOTIONS."""
    try:
        return check_motion(text)
    except InputError as error:
        raise InputError(f"{text!r} is no motion; write --align alone at the end, or --align=affine") from error


def pixels_of_text(text: str) -> int:
    """A number of pixels such as ``500000000`` or ``500M``."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([kmg]?)", text.strip().lower())
    count = math.floor(float(match[1]) * UNITS[match[2]]) if match else 0
    if count < 1:
        raise InputError(f"{text!r}; give a number of pixels such as 500000000 or 500M")
    return count
