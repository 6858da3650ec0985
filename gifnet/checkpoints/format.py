"""gifnet's weights on disk: one safetensors file, with its configuration and format version in the metadata.

The file's metadata has two entries, both JSON: ``gifnet`` (``format_version``, ``architecture`` and the fields of the
architecture's configuration) and, where there is something to say, ``notes`` (free text by name: recipe, source).
The tensors are the model's state dict in float32; what follows from the configuration is not stored. Reading is
strict: a file that differs from this in anything is refused.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import CheckpointError, escaped
from ..execution.context import NothingDrawn
from ..execution.shapes import keep_few_shapes
from ..execution.threads import alone
from ..files.atomic import atomic_path
from ..files.limits import DERIVED, WEIGHTS_HEADER
from ..networks.registry import Architecture, architecture_of, enhancing_form, registered
from .contents import Header, TensorEntry, hash_of, opened, parse_object, read_header, read_tensors

FORMAT_VERSION = 1
_ENTRIES = {"gifnet", "notes", "format"}  # "format" is what safetensors' own tools write
_PROBE = 32  # pixels a side of what tells whether weights make a network at all
_SATURATED = 0.9  # share of pixels at the ends of the scale that no trained network gives for it
_ENORMOUS = 1e4  # a weight's size that no training leads to
_LOG = logging.getLogger("gifnet")


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
    content = weights_content(model, path, notes)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def network_sha256(model: nn.Module) -> str:
    """The SHA-256, in hexadecimal, of the file that ``save_weights`` makes of this model without notes."""
    return hashlib.sha256(_file_of(model, None)).hexdigest()


def weights_content(model: nn.Module, path: Path, notes: Mapping[str, str] | None = None) -> bytes:
    """The content of the file that ``save_weights`` writes to ``path``. Raises CheckpointError as it does."""
    for name, value in model.state_dict().items():
        _check_finite(path, name, value.float())
    return _file_of(model, notes)


def _file_of(model: nn.Module, notes: Mapping[str, str] | None) -> bytes:
    state = {name: value.detach().float().cpu().contiguous() for name, value in model.state_dict().items()}
    metadata = {"gifnet": json.dumps(describe(model), sort_keys=True)}
    if notes:
        metadata["notes"] = json.dumps({name: str(text) for name, text in notes.items()}, sort_keys=True)
    return _in_order(save(state, metadata=metadata))


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


class LoadedWeights(NamedTuple):
    """What a weights file holds, and which file that was."""

    network: nn.Module  # in its plain form, in float32, on the CPU, in evaluation mode
    sha256: str  # of the bytes that it was made of
    notes: Mapping[str, str]


def load_weights(path: str | Path, sha256: str | None = None, config: Mapping[str, Any] | None = None) -> nn.Module:
    """Read a weights file into the network's plain form: float32, on the CPU, in evaluation mode.

    ``sha256`` is the hash that the file must have (64 hexadecimal digits). ``config`` is the content of a config.json
    beside the file: it must agree with the file's metadata, and takes its place where there is none.

    Raises CheckpointError, naming the file and what would be right, when the file is missing, damaged, of another
    format, version or architecture, has another hash, or when its configuration, names, shapes, dtypes or values are
    not exactly those of a network that gives images.
    """
    return read_weights(path, sha256, config).network


def read_weights(path: str | Path, sha256: str | None = None, config: Mapping[str, Any] | None = None) -> LoadedWeights:
    """``load_weights``, and the hash of what was loaded. The file is read once: what is hashed is what is used."""
    keep_few_shapes()  # before the first convolution
    return alone(_read_weights, Path(path), sha256, config)


def _read_weights(path: Path, sha256: str | None, config: Mapping[str, Any] | None) -> LoadedWeights:
    expected = None if sha256 is None else _checked_digits(sha256)
    with opened(path) as file:
        try:
            header = read_header(file, path)
            metadata = _parse_metadata(path, header, config)
            _check_tensors(path, header, _shapes(path, metadata))
        except CheckpointError as error:
            if expected is not None:  # another file than was meant is the more useful news
                _check_hash(path, hash_of(file), expected)
            raise error
        state, found = read_tensors(file, header, path)
    if expected is not None:
        _check_hash(path, found, expected)
    for name, value in state.items():
        _check_finite(path, name, value)
    model = _build(path, metadata).float()  # torch's default may be another
    model.load_state_dict(state, strict=True)
    _check_output(path, model.eval())
    return LoadedWeights(model, found, metadata.notes)


def read_metadata(path: str | Path, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the weights file ``path`` says of itself: ``describe`` of its model, and its ``notes`` if it has any.

    The tensors are not read. ``config`` as in ``load_weights``. Raises CheckpointError when the file is missing, not a
    safetensors file, or its metadata is not as it should be.
    """
    return read_metadata_and_hash(path, config)[0]


def read_metadata_and_hash(path: str | Path, config: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], str]:
    """``read_metadata``, and the SHA-256 of the same file."""
    path = Path(path)
    with opened(path) as file:
        metadata = _parse_metadata(path, read_header(file, path), config)
        sha256 = hash_of(file)
    described = _description(metadata.architecture, metadata.config)
    return described | ({"notes": metadata.notes} if metadata.notes else {}), sha256


def read_config(path: str | Path) -> dict[str, Any]:
    """The content of a config.json, for ``load_weights``; CheckpointError when it is not a JSON object."""
    path = Path(path)
    with opened(path, "it must be a JSON object in UTF-8") as file:
        content = file.read(WEIGHTS_HEADER)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: not readable ({error}); it must be a JSON object in UTF-8") from error
    return parse_object(str(path), text)


def file_sha256(path: str | Path) -> str:
    """The file's SHA-256, in 64 lower-case hexadecimal digits. Raises CheckpointError where it can't be read."""
    with opened(Path(path)) as file:
        return hash_of(file)


def check_sha256(path: str | Path, sha256: str) -> None:
    """Raise CheckpointError unless the file is there and has this SHA-256 (64 hexadecimal digits, either case).

    What is loaded later is another read: ``load_weights`` checks that.
    """
    expected = _checked_digits(sha256)
    _check_hash(Path(path), file_sha256(path), expected)


def _checked_digits(sha256: str) -> str:
    digits = sha256.strip().lower()
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise CheckpointError(f"sha256 must be 64 hexadecimal digits, not {sha256!r}")
    return digits


def _check_hash(path: Path, actual: str, expected: str) -> None:
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


def _parse_metadata(path: Path, header: Header, config: Mapping[str, Any] | None) -> _Metadata:
    entries = header.metadata
    unknown = sorted(entries.keys() - _ENTRIES)
    if unknown:
        raise CheckpointError(f"{path}: unknown metadata {_listed(unknown)}; gifnet's are {_listed(_ENTRIES)}")
    stored = parse_object(f"{path}: metadata 'gifnet'", entries["gifnet"]) if "gifnet" in entries else None
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
    notes = parse_object(f"{path}: metadata 'notes'", entries.get("notes", "{}"))
    for name, text in notes.items():
        if not isinstance(text, str):
            raise CheckpointError(f"{path}: note {name!r} must be text, not {text!r}")
    return _parse_config(path, stored if stored is not None else dict(config or {}), notes)


def _build(path: Path, metadata: _Metadata) -> nn.Module:
    try:
        with NothingDrawn():
            return metadata.architecture.network(metadata.config)
    except (RuntimeError, OverflowError, TypeError) as error:  # what torch raises for sizes beyond all memory
        raise CheckpointError(f"{path}: {metadata.config} does not make a network ({error})") from error


def _shapes(path: Path, metadata: _Metadata) -> dict[str, list[int]]:
    """What a network of this configuration is made of, found without any memory spent on it."""
    with torch.device("meta"):
        network = _build(path, metadata)
    state = network.state_dict()
    derived = sum(buffer.numel() for name, buffer in network.named_buffers() if name not in state)
    if derived > DERIVED:
        raise CheckpointError(f"{path}: {metadata.config} asks for tables of {derived} values; {DERIVED} are the most")
    return {name: list(value.shape) for name, value in state.items()}


def _check_tensors(path: Path, header: Header, shapes: Mapping[str, list[int]]) -> None:
    """Raise CheckpointError unless the file has exactly these tensors, in float32."""
    tensors = header.tensors
    lacking, unknown = shapes.keys() - tensors.keys(), tensors.keys() - shapes.keys()
    for problem, wrong in (("lacks", lacking), ("holds unknown", unknown)):
        if wrong:
            raise CheckpointError(
                f"{path}: {problem} tensors: {_listed(wrong)}; it must hold the {len(shapes)} of its architecture"
            )
    for name, shape in shapes.items():
        stored: TensorEntry = tensors[name]
        if stored.shape != shape:
            raise CheckpointError(f"{path}: {name} has shape {stored.shape}; its configuration makes it {shape}")
        if stored.dtype != "F32":
            raise CheckpointError(f"{path}: {name} is {stored.dtype}; weights are stored in float32 (F32)")


def _check_output(path: Path, network: nn.Module) -> None:
    """Raise CheckpointError for a network that gives no images: not numbers, or, by enormous weights, black and white.

    Ordinary weights that give black and white, such as random ones, are a network all the same: that is logged.
    """
    ramp = torch.linspace(0.1, 0.9, _PROBE, dtype=torch.float32).expand(1, 1, _PROBE, _PROBE)
    planes = torch.cat([ramp, ramp], dim=1)
    with torch.inference_mode():
        results = [network(ramp, ramp.mT)]
        enhancing = enhancing_form(network, torch.float32)
        if enhancing is not None:
            enhancing.run(
                lambda _: planes, lambda _, fused: results.append(fused), _PROBE, _PROBE, None, lambda *_: None
            )
    for fused in results:
        finite = bool(fused.isfinite().all())
        if not finite:
            problem = "no numbers"
        elif ((fused <= 0) | (fused >= 1)).float().mean() > _SATURATED:
            problem = "nothing but black and white"
        else:
            continue
        message = (
            f"{path}: these weights give {problem} where smooth grey images are fused: they are damaged, or their "
            "training went astray"
        )
        if finite and not _enormous(network):
            _LOG.warning("%s", escaped(message))
            continue
        raise CheckpointError(message)


def _enormous(network: nn.Module) -> bool:
    return any(float(value.detach().abs().max()) > _ENORMOUS for value in network.parameters() if value.numel())


def _check_finite(path: Path, name: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise CheckpointError(f"{path}: {name} has values that are not finite; weights must be")


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
