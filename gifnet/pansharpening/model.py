"""The model that pan-sharpening runs, by name or loaded."""

from functools import partial

from ..execution.running import Execution
from ..models import Model, fuser_of
from ..options.values import Device, Dtype
from .method import Fuse


def fuse_with(model: Model, device: Device, dtype: Dtype, execution: Execution) -> Fuse:
    """The function that fuses two planes: the model, loaded if need be, with the options of its execution."""
    return partial(fuser_of(model, device, dtype).fuse_regions, execution=execution)
