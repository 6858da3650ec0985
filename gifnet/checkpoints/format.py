"""gifnet's weights on disk: one safetensors file, with its configuration and format version in the metadata.

The file's metadata has two entries, both JSON: ``gifnet`` (``format_version``, ``architecture`` and the fields of the
architecture's configuration) and, where there is something to say, ``notes`` (free text by name: recipe, source).
The tensors are the model's state dict in float32; what follows from the configuration is not stored. Reading is
strict: a file that differs from this in anything is refused.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import CheckpointError
from ..execution.context import NothingDrawn
from ..execution.threads import alone
from ..files.atomic import atomic_path
from ..networks.registry import Architecture, architecture_of, registered

FORMAT_VERSION = 1
_ENTRIES = {"gifnet", "notes", "format"}  # "format" is what safetensors' own tools write


class _Metadata(NamedTuple):
    architecture: Architecture
    config: Any
    notes: dict[str, str]


def save_weights(model: nn.Module, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
    """Write the model's weights (in float32) and configuration to ``path``, a .safetensors file, atomically.

    ``notes`` is free text kept beside them, by name. Raises CheckpointError when ``path`` is no .safetensors file in
    an existing folder, or when a value is not finite; nothing is written then.
    """
    path = Path(path)
    if path.suffix != ".safetensors" or not path.parent.is_dir():
        raise CheckpointError(f"{path}: weights are written to a .safetensors file in a folder that exists")
    state = {name: value.detach().float().cpu().contiguous() for name, value in model.state_dict().items()}
    for name, value in state.items():
        _check_finite(path, name, value)
    metadata = {"gifnet": json.dumps(describe(model), sort_keys=True)}
    if notes:
        metadata["notes"] = json.dumps({name: str(text) for name, text in notes.items()}, sort_keys=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(_in_order(save(state, metadata=metadata)))


def save_hub_folder(model: nn.Module, folder: str | Path, notes: Mapping[str, str] | None = None) -> None:
    """Write ``model.safetensors`` and ``config.json`` into ``folder``, made if need be: what a Hub repository holds."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(model, folder / "model.safetensors", notes)
    with atomic_path(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(describe(model), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def describe(model: nn.Module) -> dict[str, Any]:
    """The model's format version, architecture and configuration, as stored in the metadata and in config.json."""
    architecture = architecture_of(model)
    if architecture is None or type(model) is not architecture.network:
        plain = ", ".join(known.network.__name__ for known in registered().values())
        raise TypeError(
            f"weights are saved from a network in its plain form ({plain}), not from a {type(model).__name__}"
        )
    config: Any = model.config
    return _description(architecture, config)


def _description(architecture: Architecture, config: Any) -> dict[str, Any]:
    return {"format_version": FORMAT_VERSION, "architecture": architecture.name, **asdict(config)}


def load_weights(path: str | Path, sha256: str | None = None, config: Mapping[str, Any] | None = None) -> nn.Module:
    """Read a weights file into the network's plain form: float32, on the CPU, in evaluation mode.

    ``sha256`` is the hash that the file must have (64 hexadecimal digits). ``config`` is the content of a config.json
    beside the file: it must agree with the file's metadata, and takes its place where there is none.

    Raises CheckpointError, naming the file and what would be right, when the file is missing, damaged, of another
    format, version or architecture, has another hash, or when its configuration, names, shapes, dtypes or values are
    not exactly those of a network.
    """
    path = Path(path)
    if sha256 is not None:
        check_sha256(path, sha256)
    return alone(_read_network, path, _read_metadata(path, config))


def _read_network(path: Path, metadata: _Metadata) -> nn.Module:
    with torch.device("meta"):  # shapes only: a file must have its tensors before memory is spent on them
        shapes = {name: list(value.shape) for name, value in _build(path, metadata).state_dict().items()}
    state = _read_tensors(path, shapes)
    model = _build(path, metadata).float()  # torch's default may be another
    model.load_state_dict(state, strict=True)
    return model.eval()


def read_metadata(path: str | Path, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the weights file ``path`` says of itself: ``describe`` of its model, and its ``notes`` if it has any.

    The tensors are not read. ``config`` as in ``load_weights``. Raises CheckpointError when the file is missing, not a
    safetensors file, or its metadata is not as it should be.
    """
    metadata = _read_metadata(Path(path), config)
    described = _description(metadata.architecture, metadata.config)
    return described | ({"notes": metadata.notes} if metadata.notes else {})


def read_config(path: str | Path) -> dict[str, Any]:
    """The content of a config.json, for ``load_weights``; CheckpointError when it is not a JSON object."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not readable ({error}); it must be a JSON object in UTF-8") from error
    return _parse_object(str(path), text)


def file_sha256(path: str | Path) -> str:
    """The file's SHA-256, in 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_sha256(path: str | Path, sha256: str) -> None:
    """Raise CheckpointError unless the file is there and has this SHA-256 (64 hexadecimal digits, either case)."""
    path = Path(path)
    expected = sha256.strip().lower()
    if len(expected) != 64 or not set(expected) <= set("0123456789abcdef"):
        raise CheckpointError(f"sha256 must be 64 hexadecimal digits, not {sha256!r}")
    _check_is_file(path)
    try:
        actual = file_sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: not readable ({error})") from error
    if actual != expected:
        raise CheckpointError(
            f"{path}: its sha256 is {actual}, not {expected}: the file is damaged or another one; check the hash, or "
            "delete the file and fetch it again"
        )


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its header sorted, so that the same weights make the same file, and hash, each time.

    The header is JSON, after its length in 8 bytes; safetensors writes the metadata in an order drawn at random.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors stay aligned
    return len(header).to_bytes(8, "little") + header + content[end:]


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; give the .safetensors file in it")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")


def _read_metadata(path: Path, config: Mapping[str, Any] | None) -> _Metadata:
    entries = _read_entries(path)
    unknown = sorted(entries.keys() - _ENTRIES)
    if unknown:
        raise CheckpointError(f"{path}: unknown metadata {_listed(unknown)}; gifnet's are {_listed(_ENTRIES)}")
    stored = _parse_object(f"{path}: metadata 'gifnet'", entries["gifnet"]) if "gifnet" in entries else None
    if stored is None and config is None:
        raise CheckpointError(
            f"{path}: no gifnet configuration in its metadata; give a file written by gifnet, or a Hub repository "
            "that has a config.json"
        )
    if stored is not None and config is not None and stored != dict(config):
        differing = [key for key in sorted(stored.keys() | config.keys()) if stored.get(key) != config.get(key)]
        raise CheckpointError(
            f"{path}: its metadata and config.json disagree on {_listed(differing)}; they must be the same"
        )
    notes = _parse_object(f"{path}: metadata 'notes'", entries.get("notes", "{}"))
    for name, text in notes.items():
        if not isinstance(text, str):
            raise CheckpointError(f"{path}: note {name!r} must be text, not {text!r}")
    return _parse_config(path, stored if stored is not None else dict(config or {}), notes)


def _read_entries(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file, as stored."""
    _check_is_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({error}); fetch it again if it should be one; the paper's "
            "checkpoint (.pth) is converted with: gifnet convert OFFICIAL OUT.safetensors"
        ) from error


def _build(path: Path, metadata: _Metadata) -> nn.Module:
    try:
        with NothingDrawn():
            return metadata.architecture.network(metadata.config)
    except (RuntimeError, OverflowError, TypeError) as error:  # what torch raises for sizes beyond all memory
        raise CheckpointError(f"{path}: {metadata.config} does not make a network ({error})") from error


def _read_tensors(path: Path, shapes: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """The file's tensors, which must be exactly these, in float32 and finite."""
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        for problem, wrong in (("lacks", shapes.keys() - names), ("holds unknown", names - shapes.keys())):
            if wrong:
                raise CheckpointError(
                    f"{path}: {problem} tensors: {_listed(wrong)}; it must hold the {len(shapes)} of its architecture"
                )
        state = {}
        for name, shape in shapes.items():
            stored = file.get_slice(name)
            if stored.get_shape() != shape:
                raise CheckpointError(
                    f"{path}: {name} has shape {stored.get_shape()}; its configuration makes it {shape}"
                )
            if stored.get_dtype() != "F32":
                raise CheckpointError(f"{path}: {name} is {stored.get_dtype()}; weights are stored in float32 (F32)")
            state[name] = file.get_tensor(name)
            _check_finite(path, name, state[name])
    return state


def _check_finite(path: Path, name: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise CheckpointError(f"{path}: {name} has values that are not finite; weights must be")


def _parse_object(where: str, text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is not valid JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise CheckpointError(f"{where} must be a JSON object, not {text[:40]!r}")
    return parsed


def _parse_config(path: Path, stored: dict[str, Any], notes: dict[str, str]) -> _Metadata:
    """Check ``stored``, as ``describe`` makes it: the version first, as everything else depends on it."""
    version, name = stored.get("format_version"), stored.get("architecture")
    if type(version) is not int or version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {version!r}; this gifnet reads version {FORMAT_VERSION}: upgrade gifnet to read "
            "a newer file"
        )
    networks = registered()
    if not isinstance(name, str) or name not in networks:
        raise CheckpointError(
            f"{path}: architecture {name!r}; this gifnet knows {_listed(networks)}; one of another package is known "
            "once gifnet.networks.register was called"
        )
    architecture = networks[name]
    config_class = architecture.config
    values = {key: value for key, value in stored.items() if key not in ("format_version", "architecture")}
    known = {field.name for field in fields(config_class)}
    added: frozenset[str] = getattr(config_class, "ADDED", frozenset())
    for problem, wrong in (("unknown", values.keys() - known), ("missing", known - values.keys() - added)):
        if wrong:
            raise CheckpointError(
                f"{path}: {problem} configuration field {_listed(wrong)}; {name} has {_listed(known)}"
            )
    try:
        config = config_class(**values)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: invalid configuration: {error}") from error
    return _Metadata(architecture, config, notes)


def _listed(names: Iterable[str]) -> str:
    """The first six of the names, sorted, for a message."""
    ordered = sorted(names)
    more = f" and {len(ordered) - 6} more" if len(ordered) > 6 else ""
    return ", ".join(repr(name) for name in ordered[:6]) + more
