"""Where and in what precision to compute."""

import os

import torch

from ..errors import InputError
from .precision import fastest_dtype

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DEVICE_VARIABLE = "GIFNET_DEVICE"


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """``"auto"``: the environment's GIFNET_DEVICE, else CUDA, then MPS, then the CPU; anything else is checked.

    Raises InputError for a device that torch does not know or that this machine lacks.
    """
    source = "device"
    if device == "auto":
        device = os.environ.get(DEVICE_VARIABLE) or "auto"
        source = DEVICE_VARIABLE
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"{source}: {device!r} is no device; use 'auto', 'cpu', 'cuda', 'cuda:0' or 'mps'") from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _has_mps()}
    if not available.get(chosen.type, False):
        have = ", ".join(name for name, is_there in available.items() if is_there)
        raise InputError(f"{source}: {str(chosen)!r} is not available here; this machine has: {have}")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"{source}: {str(chosen)!r} is not available; there are {torch.cuda.device_count()} CUDA devices"
        )
    return chosen


def choose_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """``"auto"``: float16 on CUDA, whose result stays within one level of 255 of float32's; float32 elsewhere.

    ``"fastest"``: what is quickest here, see ``precision``. Raises InputError for anything else but float32, float16
    and bfloat16.
    """
    if dtype == "fastest":
        return fastest_dtype(device)
    if dtype == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in DTYPES.values():
        raise InputError(f"dtype: {dtype!r} is not supported; use 'auto', 'fastest', {', '.join(map(repr, DTYPES))}")
    return chosen


def _has_mps() -> bool:
    return torch.backends.mps.is_available()
