"""Tables that follow from a network's configuration alone, such as which pixels of a window lie how far apart."""

from collections.abc import Callable

import torch
from torch import Tensor


def table(shape: tuple[int, ...], make: Callable[[], Tensor]) -> Tensor:
    """What ``make`` gives, of this shape; on the meta device, where loading finds the shapes of a network, no values.

    There, many of torch's operations first import a compiler, which takes every process that loads a model a second.
    """
    empty = torch.empty(shape)
    return empty if empty.is_meta else make()
