"""The types of options' values, and their checks. A check gives the value in one form, or raises InputError.

Numbers are Python's and NumPy's. Booleans are no numbers.
"""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
import torch

from ..errors import InputError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@runtime_checkable
class TransformLike(Protocol):
    """A transform between two images that is known already, such as a ``gifnet.Alignment``."""

    @property
    def matrix(self) -> Array: ...
    @property
    def size(self) -> tuple[int, int]: ...


@runtime_checkable
class ExecutorLike(Protocol):
    """What takes calls and makes them elsewhere: a ``concurrent.futures.Executor``, a ``dask.distributed.Client``."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any: ...


Name: TypeAlias = str | os.PathLike[str]  # of a model
Device: TypeAlias = str | torch.device
Dtype: TypeAlias = str | torch.dtype
Resize: TypeAlias = Literal["a", "b"] | None
Stretch: TypeAlias = bool | Sequence[float] | tuple[float, float, Literal["values", "a", "b"]]
Motion: TypeAlias = Literal["translation", "similarity", "affine", "homography"]
Align: TypeAlias = bool | Motion | str | os.PathLike[str] | TransformLike | Sequence[Sequence[float]] | Array
Colour: TypeAlias = Literal["auto", "a", "b"]
Tile: TypeAlias = Literal["auto"] | int | None
Quality: TypeAlias = int | Literal["lossless"] | None
Compression: TypeAlias = int | Literal["deflate", "lzw", "none"] | None
Memory: TypeAlias = int | str | None  # bytes, a text such as "2GB", or what is free
Steps: TypeAlias = Callable[[int, int], object]  # told the number of steps done, and of all
Progress: TypeAlias = bool | Steps | None
Lines: TypeAlias = Callable[[str], object]  # told a line of text


MOTIONS: tuple[Motion, ...] = get_args(Motion)
DEFAULT_PERCENTILES = (0.1, 99.9)
SMALLEST_TILE = 64
OLDEST_OPSET = 18
VALUES_OF = ("values", "a", "b")  # whose values the limits of ``stretch`` are: every grey image's, or one's of a pair
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


@dataclass(frozen=True)
class StretchLimits:
    """What becomes black and white."""

    low: float
    high: float
    of: Literal["percentiles", "values", "a", "b"] = "percentiles"  # values: of all grey images, or of one of a pair

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' %' * (self.of == 'percentiles')}"

    def describe(self) -> list[float | str]:
        """For records in JSON: as users write it."""
        return [self.low, self.high, *([] if self.of == "percentiles" else [self.of])]


def check_stretch(stretch: Any) -> StretchLimits | None:
    """Two percentiles or two values, or None for off."""
    if stretch is None or stretch is False:
        return None
    if stretch is True:
        return StretchLimits(*DEFAULT_PERCENTILES)
    limits = [] if isinstance(stretch, (str, bytes)) or not hasattr(stretch, "__iter__") else list(stretch)
    of_values = len(limits) == 3 and isinstance(limits[2], str) and limits[2] in VALUES_OF
    if len(limits) != 2 + of_values or not all(map(is_number, limits[:2])):
        raise InputError(
            f"stretch: {stretch!r}; give True, two percentiles such as (1, 99), or two values, black and white, "
            "such as (7000, 9000, 'values'); 'a' or 'b' in place of 'values' for one image of a pair only"
        )
    low, high = map(float, limits[:2])
    if of_values:
        if not -math.inf < low < high < math.inf:
            raise InputError(f"stretch: {low:g} to {high:g}; give two finite values, the lower one first")
        return StretchLimits(low, high, limits[2])
    if not 0 <= low < high <= 100:
        raise InputError(
            f"stretch: {low:g} to {high:g}; give two percentiles from 0 to 100, the lower one first; or values of the "
            f"image, as ({limits[0]:g}, {limits[1]:g}, 'values')"
        )
    return StretchLimits(low, high)


def check_motion(motion: Any) -> Motion:
    """One of MOTIONS."""
    if not isinstance(motion, str) or motion not in MOTIONS:
        raise InputError(f"motion: {motion!r}; use {', '.join(map(repr, MOTIONS))}")
    return motion


def check_align(align: Any) -> "Motion | Literal[True] | Path | Array | TransformLike | None":
    """A motion, True for that which suits the images, a transform, its matrix (3, 3) or file, or None for off."""
    if align is None or align is False:
        return None
    if align is True or isinstance(align, TransformLike):
        return align
    if isinstance(align, str) and align in MOTIONS:
        return align
    if isinstance(align, os.PathLike) or (isinstance(align, str) and align.lower().endswith(".json")):
        return Path(os.fspath(align))
    if not isinstance(align, (str, bytes)) and hasattr(align, "__len__"):
        return _matrix(align)
    raise InputError(
        f"align: {align!r}; give True, a motion ({', '.join(map(repr, MOTIONS))}), or a transform: what gifnet.align "
        "gives, a 3×3 matrix, or the JSON file that gifnet align writes"
    )


def _matrix(rows: Any) -> Array:
    """(3, 3) float64, of 3×3 numbers, or of 2×3 of an affine transform."""
    try:
        matrix = np.asarray(rows, np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape == (2, 3):
        matrix = np.concatenate([matrix, [[0.0, 0.0, 1.0]]])
    if matrix.shape != (3, 3):
        raise InputError(f"align: a matrix of shape {np.shape(matrix)}; give 3×3 numbers, from a's pixels to b's")
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
        raise InputError(
            "align: the matrix takes all of a to a line, or nowhere; give an invertible one of 3×3 numbers"
        )
    return matrix


def check_colour(colour: Any) -> Colour:
    """``"auto"``, ``"a"`` or ``"b"``."""
    if not isinstance(colour, str) or colour not in ("auto", "a", "b"):
        raise InputError(
            f"colour: {colour!r}; give 'auto', or 'a' or 'b', the image whose colours the result is to have"
        )
    return colour  # type: ignore[return-value]  # one of these texts


def check_quality(quality: Any) -> int | Literal["lossless"] | None:
    """1 to 100, ``"lossless"``, or None for the format's own."""
    if quality is None or (isinstance(quality, str) and quality == "lossless"):
        return quality  # type: ignore[return-value]  # this text
    if not is_integer(quality) or not 1 <= quality <= 100:
        raise InputError(f"quality: {quality!r}; give 1 (small) to 100 (like the original), or 'lossless' for WebP")
    return int(quality)


def check_compression(compression: Any) -> int | Literal["deflate", "lzw", "none"] | None:
    """A level of PNG, a name of TIFF's, or None for the format's own."""
    if compression is None or (isinstance(compression, str) and compression in ("deflate", "lzw", "none")):
        return compression  # type: ignore[return-value]  # one of these texts
    if not is_integer(compression) or not 0 <= compression <= 9:
        raise InputError(
            f"compression: {compression!r}; give 0 (none) to 9 (smallest) for PNG; 'deflate', 'lzw' or 'none' for TIFF"
        )
    return int(compression)


def check_pattern(pattern: Any) -> tuple[str, str] | None:
    """The names of the first and of the second image of each pair, or None."""
    if pattern is None:
        return None
    texts = () if isinstance(pattern, (str, bytes)) or not hasattr(pattern, "__iter__") else tuple(pattern)
    if len(texts) != 2 or not all(isinstance(text, str) and text.count("{name}") == 1 for text in texts):
        raise InputError(
            f"pattern: {pattern!r}; give two names with {{name}} in each, such as '{{name}}_T.jpg' and '{{name}}_W.jpg'"
        )
    return texts[0], texts[1]


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


def check_executor(executor: Any) -> ExecutorLike | None:
    """What has a ``submit``, or None."""
    if executor is None or (isinstance(executor, ExecutorLike) and not isinstance(executor, type)):
        return executor
    raise InputError(f"executor: {executor!r}; give a concurrent.futures executor, a dask.distributed.Client or None")


def check_nodata(nodata: Any) -> float | None:
    """A number, NaN too, or None."""
    if nodata is None or is_number(nodata):
        return nodata  # type: ignore[no-any-return]  # as it is: 64-bit integers have more digits than a float
    raise InputError(f"nodata: {nodata!r}; give a number")


def check_opset(opset: Any) -> int:
    """A version of ONNX's operators."""
    if not is_integer(opset) or opset < OLDEST_OPSET:
        raise InputError(f"opset: {opset!r}; give the number of a version of ONNX's operators, from {OLDEST_OPSET}")
    return int(opset)


def check_export_dtype(dtype: Any) -> Literal["float32", "float16"]:
    """``"float32"`` or ``"float16"``."""
    name = str(dtype).removeprefix("torch.") if isinstance(dtype, (str, torch.dtype)) else ""
    if name not in ("float32", "float16"):
        raise InputError(f"dtype: {dtype!r}; files have 'float32' or 'float16'")
    return name  # type: ignore[return-value]  # one of these texts


def check_offset(offset: Any) -> float:
    """Seconds, of either sign."""
    if not is_number(offset) or not math.isfinite(offset):
        raise InputError(f"offset: {offset!r}; give a number of seconds")
    return float(offset)


def check_port(port: Any) -> int | None:
    """The number of a port, or None."""
    if port is None:
        return None
    if not is_integer(port) or not 1 <= port <= 65535:
        raise InputError(f"port: {port!r}; give a number from 1 to 65535")
    return int(port)


# --- from the command line's texts --------------------------------------------------------------------


def number_or_text(text: str) -> int | str:
    """A whole number where it is one."""
    return int(text) if text.isdecimal() else text


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


def stretch_of_text(text: str) -> tuple[float | str, ...]:
    """Such as ``1,99`` or ``7000,9000,values``."""
    low, *more = (part.strip() for part in text.split(","))
    high, *of = more or [""]
    try:
        limits: tuple[float | str, ...] = (float(low), float(high), *of)
        check_stretch(limits)
    except InputError as error:
        raise InputError(f"{error} (here: 1,99 or 7000,9000,values)") from error
    except ValueError as error:
        raise InputError(f"{text!r}; give two percentiles such as 1,99, or two values: 7000,9000,values") from error
    return limits


def align_of_text(text: str) -> Motion | str:
    """One of MOTIONS, or the name of a JSON file."""
    if text.lower().endswith(".json"):
        return text
    try:
        return check_motion(text)
    except InputError as error:
        raise InputError(
            f"{text!r} is no motion and no .json file; write --align alone at the end, --align=affine or --align=T.json"
        ) from error


def pixels_of_text(text: str) -> int:
    """A number of pixels such as ``500000000`` or ``500M``."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([kmg]?)", text.strip().lower())
    count = math.floor(float(match[1]) * UNITS[match[2]]) if match else 0
    if count < 1:
        raise InputError(f"{text!r}; give a number of pixels such as 500000000 or 500M")
    return count
