"""Values of any accepted dtype to float32 in [0, 1], and back; pixels and alpha together, and apart."""

import torch
from torch import Tensor

from ..errors import InputError

# Full scale of each integer dtype; floating-point images have full scale 1.
LEVELS = {torch.uint8: 255.0, torch.uint16: 65535.0}
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ROUNDING = 1e-4  # how far outside [0, 1] a float image may stray, as resampling does, before it is refused
_STRETCH = "give stretch=True (--stretch=0.1,99.9)"
ACCEPTED_DTYPES = "give uint8 (0..255), uint16 (0..65535) or floating point (0..1)"


class ScaleError(InputError):
    """Values that have no place between black and white of their own: of other integers, or outside [0, 1]."""


def normalise(pixels: Tensor, name: str) -> Tensor:
    """Any accepted dtype to float32 in [0, 1].

    Raises ScaleError for numbers on another scale, InputError for what is no number.
    """
    dtype = pixels.dtype
    if dtype in LEVELS:
        return pixels.to(torch.float32) / LEVELS[dtype]
    if dtype not in FLOATS:
        raise dtype_error(dtype, name)
    pixels = pixels.detach().to(torch.float32)
    if not bool(pixels.isfinite().all()):
        raise ScaleError(f"{name}: holds NaN or infinite values; replace them first, or {_STRETCH}, which ignores them")
    low, high = (float(limit) for limit in pixels.aminmax())
    if low < -ROUNDING or high > 1 + ROUNDING:
        hint = _scaling(pixels, low, high)
        raise ScaleError(f"{name}: floating-point values from {low:g} to {high:g}; they must lie in [0, 1]: {hint}")
    return pixels.clamp(0, 1)


def dtype_error(dtype: torch.dtype, name: str) -> InputError:
    """The error for a dtype that is not accepted."""
    problem = f"{name}: dtype {str(dtype).removeprefix('torch.')}; {ACCEPTED_DTYPES}"
    if dtype == torch.bool or dtype.is_complex:
        return InputError(problem)
    return ScaleError(f"{problem}, or {_STRETCH}, which maps their range to black and white")


def _scaling(pixels: Tensor, low: float, high: float) -> str:
    """Advice that fits the values: levels of integers have a known scale, temperatures and radiances have none."""
    for top in LEVELS.values():
        levels = bool((pixels == pixels.round()).all()) or (pixels.shape[1] > 1 and high > 0.75 * top)
        if low >= 0 and high <= top and levels:
            return f"divide by {top:g}, or {_STRETCH}"
    return f"{_STRETCH}, which maps their range to black and white, or scale them yourself"


def quantise(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 in [0, 1] to ``dtype``: integer levels rounded to the nearest, floating point as it is."""
    levels = LEVELS.get(dtype)
    return pixels.to(dtype) if levels is None else (pixels.clamp(0, 1) * levels).round().to(dtype)


def joined(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    """Pixels and alpha as (B, 1, 3 or 4, H, W channels); grey with alpha becomes R = G = B."""
    if alpha is None:
        return pixels
    return torch.cat([pixels.expand(-1, 3, -1, -1), alpha], dim=1)


def split_alpha(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    return (pixels[:, :3], pixels[:, 3:]) if pixels.shape[1] == 4 else (pixels, None)
