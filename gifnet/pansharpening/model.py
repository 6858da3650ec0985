"""The model that pan-sharpening runs."""

import os
from functools import partial
from typing import TypeAlias

import torch

from ..api import load
from ..execution.memory import Memory
from ..execution.plan import Tile
from ..execution.progress import Progress
from ..execution.running import Execution
from ..fuser import Fuser
from .method import Fuse

Model: TypeAlias = "str | os.PathLike[str] | Fuser"


def fuse_with(
    model: Model,
    device: str | torch.device,
    dtype: str | torch.dtype,
    tile: Tile,
    memory: Memory,
    progress: Progress,
) -> Fuse:
    """A model, loaded unless it is a ``Fuser``, and how it is to run. Raises InputError for options that are none."""
    execution = Execution(tile, memory, progress)
    execution.check()
    fuser = model if isinstance(model, Fuser) else load(model, device, dtype)
    return partial(fuser.fuse_regions, execution=execution)
