"""TITA's batches: as many pairs of each of the three tasks."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import tasks
from ...data import prepared
from ...tasks import TaskData

OF_TASKS = (tasks.MODAL, tasks.FOCUS, tasks.EXPOSURE)  # in the order of ``losses.TASKS``


class TITABatch(NamedTuple):
    """Pairs (3 B, 1, crop, crop) in [0, 1]: B of each task, in the order of ``losses.TASKS``."""

    a: Tensor  # of the infrared-visible pairs, the visible, as the network wants it
    b: Tensor
    target: Tensor  # of focus pairs; of the others, nothing that counts


def batch(data: TaskData, iteration: int) -> TITABatch:
    """The batch of an iteration, a function of the seed and of it alone."""
    rng = np.random.default_rng((data.images.seed, iteration, 3))
    crops = [data.pair(task, rng) for task in OF_TASKS for _ in range(data.config.batch)]
    first, second, target = (torch.stack(planes)[:, None] for planes in zip(*crops, strict=True))
    return TITABatch(second, first, target)


def batches(data: TaskData, start: int, stop: int) -> Iterator[TITABatch]:
    """Batches ``start`` to ``stop - 1``."""
    return prepared(lambda iteration: batch(data, iteration), start, stop, workers=1)
