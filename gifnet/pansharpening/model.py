"""The model that pan-sharpening runs."""

from functools import partial
from typing import TypeAlias

from ..api import load
from ..execution.running import Execution
from ..fuser import Fuser
from ..options.values import Device, Dtype, Name
from .method import Fuse

Model: TypeAlias = Name | Fuser


def fuse_with(model: Model, device: Device, dtype: Dtype, execution: Execution) -> Fuse:
    """A model, loaded unless it is a ``Fuser``, and how it is to run."""
    fuser = model if isinstance(model, Fuser) else load(model, device, dtype)
    return partial(fuser.fuse_regions, execution=execution)
