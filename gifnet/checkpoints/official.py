"""Checkpoints that networks' authors released, converted: the one place where a pickle is read.

It is read through ``torch.load(weights_only=True)``, which takes plain tensors only.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import CheckpointError
from ..execution.threads import alone
from ..networks.registry import registered


def convert_official(path: str | Path) -> nn.Module:
    """Read a released checkpoint (a ``torch.save`` or safetensors file of a state dict) into the network it is of.

    Each registered network's converter is asked whether the tensors are its own. The network comes in its plain form,
    in float32, on the CPU, in evaluation mode.

    Raises CheckpointError, naming the file and what would be right, when it is no such checkpoint: not readable with
    ``weights_only=True``, not a dict of tensors, of no known network, or not quite as the network's converter wants it.
    """
    return alone(_converted, Path(path))


def _converted(path: Path) -> nn.Module:
    state = _read(path)
    for network in registered().values():
        if network.converter and network.converter.recognises(state):
            return network.converter.convert(state, str(path))
    raise CheckpointError(f"{path}: not the paper's checkpoint, of any network that gifnet knows; {_expected()}")


def _expected() -> str:
    known = [network.converter.expected for network in registered().values() if network.converter]
    return f"give one of: {'; '.join(known)}" if len(known) > 1 else f"give {', '.join(known)}"


def _read(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; {_expected()}")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; {_expected()}")
    if _is_safetensors(path):
        return _read_safetensors(path)
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message advises to turn the safeguard off
        raise CheckpointError(
            f"{path}: not a checkpoint of plain tensors: it is damaged or holds other objects, which are never loaded "
            f"(weights_only=True); {_expected()}"
        ) from error
    except Exception as error:  # damaged files raise anything from EOFError to RuntimeError
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: not readable as a checkpoint ({reason}); {_expected()}") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: a {type(loaded).__name__}, not a state dict of tensors; {_expected()}")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: not a state dict of tensors: its entry {name!r} is a {type(value).__name__}; {_expected()}"
            )
    return dict(loaded)


def _is_safetensors(path: Path) -> bool:
    """By its content: a length, 8 bytes, and then a JSON object; torch.load would read it too where it is so named."""
    with open(path, "rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            if "gifnet" in (file.metadata() or {}):
                raise CheckpointError(f"{path}: a safetensors file that gifnet wrote, which needs no conversion")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not readable as a safetensors file ({error}); {_expected()}") from error
