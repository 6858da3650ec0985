"""``gifnet info``."""

import argparse
import platform

import torch

from ..checkpoints.format import read_config, read_metadata_and_hash
from ..checkpoints.hub import resolve
from ..errors import escaped
from ..execution.device import choose_device, choose_dtype
from ..execution.precision import WORTH, bfloat16_share
from ..options.declarations import DEVICE, DTYPE, MODEL
from ..version import __version__
from . import flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet info``."""
    flags.add_options(parser, MODEL, DEVICE, DTYPE)


def run(args: argparse.Namespace) -> int:
    """Print versions, device and what the weights say of themselves; returns the exit status."""
    device = choose_device(args.device)
    weights = resolve(args.model)
    config = read_config(weights.config_path) if weights.config_path else None
    metadata, sha256 = read_metadata_and_hash(weights.path, config)
    rows = {
        "gifnet": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(device),
        "dtype": str(choose_dtype(args.dtype, device)).removeprefix("torch."),
        **({"bfloat16": _bfloat16()} if device.type == "cpu" else {}),
        "weights": str(weights.path),
        "sha256": sha256,
    }
    notes = {f"note {name}": text for name, text in metadata.pop("notes", {}).items()}  # never in the place of a row
    for name, value in (rows | metadata | notes).items():
        print(f"{escaped(name):<16} {escaped(str(value))}")
    return 0


def _bfloat16() -> str:
    """How well the processor does with it, and what follows from that."""
    share = bfloat16_share()
    chosen = "bfloat16" if share <= WORTH else "float32"
    return f"{share:.2f} of float32's time here, for a block of a network; --dtype fastest is {chosen}"
