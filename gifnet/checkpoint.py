"""gifnet's weights on disk: one safetensors file, its configuration and format version in the metadata."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import CheckpointError
from .files import atomic_path
from .network import GIFNet, GIFNetConfig

FORMAT_VERSION = 1
ARCHITECTURE = "gifnet"


def save_weights(model: GIFNet, path: str | Path) -> None:
    """Write the model's state dict and configuration, atomically; values in float32."""
    state = {name: value.detach().float().cpu().contiguous() for name, value in model.state_dict().items()}
    config = {"format_version": FORMAT_VERSION, "architecture": ARCHITECTURE, **asdict(model.config)}
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata={"gifnet": json.dumps(config, sort_keys=True)})
