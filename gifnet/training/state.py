"""The file that a run is resumed from: the network, its average, the objective's state, and the recipe."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError, InputError
from ..files.atomic import atomic_path
from .recipe import Recipe, build_recipe

PARTS = ("model", "average", "objective")


class State(NamedTuple):
    """What a run is at an iteration."""

    iteration: int
    network: str  # its name in the registry
    recipe: Recipe
    tensors: Mapping[str, Mapping[str, Tensor]]  # of each of PARTS, by name


def write_state(path: Path, state: State) -> None:
    """Write ``state``, whole or not at all."""
    tensors = {f"{part}/{name}": value for part in PARTS for name, value in state.tensors[part].items()}
    metadata = {
        "iteration": str(state.iteration),
        "network": state.network,
        "config": json.dumps(asdict(state.recipe)),
    }
    with atomic_path(path) as temporary:
        # Copies, for a tensor may share its memory with another, which the format can't say.
        save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()}, temporary, metadata)


def read_state(path: Path, recipe: Recipe, network: str) -> State:
    """Read a state of this recipe and network.

    Settings that the file lacks, for they did not exist when it was written, have their defaults. Raises
    CheckpointError, naming the file, for a state of anything else, and a damaged one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        iteration = int(metadata["iteration"])
        values: Any = json.loads(metadata["config"])
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    try:
        found = build_recipe(type(recipe), values)
    except InputError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if found != recipe:
        raise CheckpointError(f"{path}: of another recipe; give the same options to resume it, or another folder")
    if metadata.get("network", network) != network:
        raise CheckpointError(f"{path}: of the network {metadata['network']!r}, not {network!r}; give another folder")
    unknown = [name for name in tensors if name.partition("/")[0] not in PARTS]
    if unknown:
        raise damaged(path, ValueError(f"unknown tensors, such as {unknown[0]}"))
    parts = {
        part: {name.removeprefix(f"{part}/"): value for name, value in tensors.items() if name.startswith(f"{part}/")}
        for part in PARTS
    }
    return State(iteration, network, found, parts)


def damaged(path: Path, error: Exception) -> CheckpointError:
    """The error to raise for a state that can't be gone on from."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return CheckpointError(
        f"{path}: damaged, or not of this gifnet and network ({reason}); move it away to start anew, from "
        "last.safetensors with --init for instance, or give another folder"
    )
