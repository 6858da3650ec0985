"""Checkpoints that networks' authors released, converted: the one place where a pickle is read.

It is read through ``torch.load(weights_only=True)``, which takes plain tensors only. What it would be asked to do is
looked at before, without doing it: even so restricted, a few bytes could ask for any amount of memory.
"""

import io
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..execution.threads import alone
from ..networks.registry import registered
from .contents import NotWholeError, opened, read_header, read_tensors

# What a state dict of plain tensors is pickled with.
_TENSORS = frozenset({"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"})
_INTEGERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})


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
    with opened(path, _expected()) as file:
        start = file.read(9)
        file.seek(0)
        if path.suffix == ".safetensors" or start[8:] == b"{":  # torch.load would read it too where it is so named
            return _read_safetensors(file, path)
        content = file.read()
    _check_pickle(path, content)
    try:
        loaded: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message advises to turn the safeguard off
        raise _not_plain(path) from error
    except Exception as error:  # damaged files raise anything from EOFError to RuntimeError
        raise _not_readable(path, error) from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: a {type(loaded).__name__}, not a state dict of tensors; {_expected()}")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: not a state dict of tensors: its entry {name!r} is a {type(value).__name__}; {_expected()}"
            )
    return dict(loaded)


def _check_pickle(path: Path, content: bytes) -> None:
    """Raise CheckpointError unless a file of ``torch.save`` says no more than tensors that it holds itself.

    Its records must not be compressed (torch never does that), and its pickle may make tensors only, of no more values
    than the file has bytes.
    """
    if not content.startswith(b"PK"):  # no zip file; plain pickles are what torch saved before 1.6
        raise _not_plain(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = archive.infolist()
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                raise _not_plain(path)
            names = [record.filename for record in records if record.filename.endswith("/data.pkl")]
            if len(names) != 1 or sum(record.file_size for record in records) > len(content):
                raise _not_plain(path)
            program = archive.read(names[0])
        for operation, argument, _ in pickletools.genops(program):
            names_class = operation.name in ("GLOBAL", "INST", "STACK_GLOBAL")
            is_storage = str(argument).startswith("torch ") and str(argument).endswith("Storage")
            if names_class and str(argument) not in _TENSORS and not is_storage:
                raise _not_plain(path)
            if operation.name in _INTEGERS and not -1 <= int(argument or 0) <= len(content):
                raise _not_plain(path)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile and pickletools raise anything from BadZipFile to struct.error
        raise _not_readable(path, error) from error


def _not_plain(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path}: not a checkpoint of plain tensors: it is damaged or holds other objects, which are never loaded "
        f"(weights_only=True); {_expected()}"
    )


def _not_readable(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return CheckpointError(f"{path}: not readable as a checkpoint ({reason}); {_expected()}")


def _read_safetensors(file: BinaryIO, path: Path) -> dict[str, Tensor]:
    try:
        header = read_header(file, path)
        if "gifnet" in header.metadata:
            raise CheckpointError(f"{path}: a safetensors file that gifnet wrote, which needs no conversion")
        return read_tensors(file, header, path)[0]
    except NotWholeError as error:
        raise CheckpointError(f"{path}: not readable as a safetensors file ({error.reason}); {_expected()}") from error
