"""The model that pan-sharpening runs, by name or loaded."""

from functools import partial
from typing import TypeAlias

from ..api import load
from ..execution.running import Execution
from ..fuser import Fuser
from ..options.values import Device, Dtype, Name
from .method import Fuse

Model: TypeAlias = Name | Fuser


def fuse_with(model: Model, device: Device, dtype: Dtype, execution: Execution) -> Fuse:
    """The function that fuses two planes: the model, loaded if need be, with the options of its execution."""
    fuser = model if isinstance(model, Fuser) else load(model, device, dtype)
    return partial(fuser.fuse_regions, execution=execution)
