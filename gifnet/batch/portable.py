"""A model for other processes: not its weights, but where they lie and what they must be."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..checkpoints.format import network_sha256, save_weights
from ..checkpoints.hub import load_model, local_files, resolve
from ..errors import CheckpointError, InputError
from ..execution.device import choose_device, choose_dtype
from ..files.atomic import Staged
from ..fuser import Fuser
from ..models import Model, load
from ..options.values import Device, Dtype
from .run import ModelRecord


@dataclass(frozen=True)
class ModelSource:
    """What a process needs to load a model."""

    name: str  # as ``load`` takes it; of files, the absolute path
    is_path: bool
    device: str
    dtype: str
    sha256: str  # of the file that is loaded

    def load(self) -> Fuser:
        """The model, loaded once in a process, which is another object than that of any other process.

        Raises CheckpointError as ``gifnet.load`` does, for other weights than those that were meant too, and
        InputError for a device that is not there.
        """
        fuser = load(Path(self.name) if self.is_path else self.name, self.device, self.dtype)
        if fuser.sha256 != self.sha256:
            raise CheckpointError(
                f"{self.name}: its weights have SHA-256 {fuser.sha256} here, and {self.sha256} where the work was "
                "given out; give all machines the same file"
            )
        return fuser


@dataclass(frozen=True)
class PortableModel:
    """A model that is known here, and can be had elsewhere."""

    record: ModelRecord
    source: ModelSource | None  # None: its weights lie in no file yet
    network: nn.Module | None = None  # these weights

    @contextmanager
    def in_reach(self, folder: Path) -> Iterator[ModelSource]:
        """Where processes that see ``folder`` find the model; weights without a file lie there while the block runs."""
        if self.source is not None:
            yield self.source
            return
        assert self.network is not None
        file = Staged(folder.resolve() / "model.safetensors")
        try:
            save_weights(self.network, file.path)
            sha256 = network_sha256(self.network)
            yield ModelSource(str(file.path), True, self.record.device, self.record.dtype, sha256)
        finally:
            file.discard()


def portable(model: Model, device: Device = "auto", dtype: Dtype = "auto") -> PortableModel:
    """Of what functions take as ``model``. It is read here first, lest every worker finds out what is wrong with it.

    Device and precision are decided here, for all workers: one that is named need not be at hand here.

    Raises CheckpointError as ``load`` does, InputError for what is no model, device or dtype, and for a ``Fuser`` that
    others can't have.
    """
    if isinstance(model, Fuser):
        return _of_fuser(model)
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(f"model: a {type(model).__name__}; give a name, a path or a Fuser, which gifnet.load makes")
    chosen = _device(device)
    precision = str(choose_dtype(dtype, chosen)).removeprefix("torch.")
    sha256 = load_model(model)[1].sha256
    assert sha256 is not None
    record = ModelRecord(sha256, precision, str(chosen))
    return PortableModel(record, _source(model, record))


def _of_fuser(fuser: Fuser) -> PortableModel:
    if type(fuser) is not Fuser or fuser.is_over_time:
        kind = "one of over_time" if fuser.is_over_time else f"a {type(fuser).__name__}"
        raise InputError(
            f"model: {kind} can't be had in other processes (executor=); give a name, a path or what gifnet.load makes"
        )
    record = ModelRecord(fuser.sha256, str(fuser.dtype).removeprefix("torch."), str(fuser.device))
    if fuser.file_sha256 is not None:
        try:
            resolve(fuser.name, fuser.file_sha256)
            return PortableModel(record, _source(fuser.name, record))
        except CheckpointError:  # the file is gone or another one now
            pass
    return PortableModel(record, None, fuser.network)


def _source(model: str | os.PathLike[str], record: ModelRecord) -> ModelSource:
    """Files and folders get their absolute path, for other processes may work in other folders."""
    name, is_path = os.fspath(model), not isinstance(model, str)
    place, files = Path(os.path.expanduser(name)), local_files(model)
    if files and place in (files[0], files[0].parent):  # and not the bundled weights, or a repository's
        name, is_path = os.path.abspath(place), True
    return ModelSource(name, is_path, record.device, record.dtype, record.sha256)


def _device(device: Device) -> torch.device:
    """The device here; else, of a name that torch knows, that of workers."""
    try:
        return choose_device(device)
    except InputError:
        try:
            return torch.device(device)
        except (RuntimeError, TypeError):
            pass
        raise
