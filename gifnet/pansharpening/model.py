"""The model that pan-sharpening runs."""

from functools import partial

from ..execution.running import Execution
from ..models import Model, fuser_of
from ..options.values import Device, Dtype
from .method import Fuse


def fuse_with(model: Model, device: Device, dtype: Dtype, execution: Execution) -> Fuse:
    """A model, loaded unless it is a ``Fuser``, and how it is to run."""
    return partial(fuser_of(model, device, dtype).fuse_regions, execution=execution)
