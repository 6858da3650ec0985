"""Models by name: loaded once, kept while they are in use, and found again by the file that they came from."""

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypedDict

from .checkpoints.hub import BUNDLED, load_model, local_files
from .errors import InputError
from .execution.device import choose_device, choose_dtype
from .fuser import Fuser
from .options.keywords import EnhanceImageOptions, FuseImagesOptions
from .options.values import Device, Dtype, Name

Model: TypeAlias = Name | Fuser

KEPT = 8  # models; of more, the least recently asked for are let go


class LoadOptions(TypedDict, total=False):
    """Of functions that take a model, for type checkers; see ``options.keywords``."""

    model: Model
    device: Device
    dtype: Dtype


class EnhanceOptions(EnhanceImageOptions, LoadOptions, total=False):
    """Of ``gifnet.enhance``."""


class FuseOptions(FuseImagesOptions, LoadOptions, total=False):
    """Of ``gifnet.fuse``."""


class _Key(NamedTuple):
    """What was asked for, and which file that was."""

    name: str
    is_path: bool
    files: tuple[tuple[Any, ...], ...]  # where they really lie, and what changes when they are written
    device: str
    dtype: str
    sha256: str | None


_models: "OrderedDict[_Key, Fuser]" = OrderedDict()
_loading = threading.Lock()


def load(
    name_or_path: Name = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
    sha256: str | None = None,
) -> Fuser:
    """Load a model, once: the same arguments give the same object again, as long as its file stays as it was.

    The models that were asked for last are kept for the next call, eight at most.

    Args:
        name_or_path: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.
        sha256: if given, the weights' file must have this SHA-256 (hexadecimal).

    Raises:
        CheckpointError: the weights can't be found, fetched or trusted; the message says what to do.
        InputError: no such device or dtype.
    """
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    name, is_path = os.fspath(name_or_path), not isinstance(name_or_path, str)
    with _loading:
        files = tuple(map(_stamp, local_files(name_or_path)))
        key = _Key(name, is_path, files, str(device), str(dtype), sha256)
        if key in _models:
            _models.move_to_end(key)
            return _models[key]
        network, found = load_model(name_or_path, sha256=sha256)
        fuser = Fuser(network, device, dtype, found.label, found.sha256, found.notes)
        for old in [old for old in _models if old._replace(files=files) == key and _same_places(old.files, files)]:
            del _models[old]  # its file has been written anew
        # Of a file that was written after ``files`` were looked at, the next call sees that it is another one.
        _models[key] = fuser
        while len(_models) > KEPT:
            _models.popitem(last=False)
        return fuser


def fuser_of(model: Model, device: Device = "auto", dtype: Dtype = "auto") -> Fuser:
    """A model as functions take it: loaded by its name, or a ``Fuser``, which has its own device and precision.

    Raises InputError for anything else, and CheckpointError as ``load`` does.
    """
    if isinstance(model, Fuser):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(f"model: a {type(model).__name__}; give a name, a path or a Fuser, which gifnet.load makes")
    return load(model, device, dtype)


def _stamp(path: Path) -> tuple[Any, ...]:
    """Where a file really lies, and what is never the same again once it has been written, or replaced by another."""
    real = os.path.realpath(path)
    try:
        found = os.stat(real)
    except OSError:  # loading says what is wrong
        return (real,)
    return real, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _same_places(these: tuple[tuple[Any, ...], ...], those: tuple[tuple[Any, ...], ...]) -> bool:
    return [stamp[0] for stamp in these] == [stamp[0] for stamp in those]
