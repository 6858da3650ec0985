"""What a worker does: one job of a folder, from the files that it reads to the file that it writes.

Whatever is wrong with the images is told in what it gives back, for not every exception survives the way between
processes.
"""

import functools
import os
import platform
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from .. import version
from ..errors import InputError
from ..files.atomic import atomic_path, is_awaited
from ..files.raster import Raster
from .portable import ModelSource
from .task import Task, not_written, reason, stamp

SHARE_OF_LIMIT = 0.7  # of what a Dask worker may still take: it is killed at 0.95 of its limit


@dataclass(frozen=True)
class Instructions:
    """What the jobs of a run have in common. It is sent with each of them: about a kilobyte."""

    task: Task
    model: ModelSource
    gifnet: str = version.__version__
    max_pixels: int | None = field(default_factory=lambda: Image.MAX_IMAGE_PIXELS)


@dataclass(frozen=True)
class Assignment:
    """One job, in absolute paths."""

    inputs: tuple[Path, ...]
    temporary: Path  # the file to write; of ``Staged``
    target: Path  # what it becomes


@dataclass(frozen=True)
class Report:
    """What became of an assignment."""

    state: Literal["written", "failed", "not awaited", "unfit worker"]
    reason: str = ""  # of the last three, one line
    stamps: list[dict[str, Any]] = field(default_factory=list)  # of the inputs, taken before they were read
    size: dict[str, int] = field(default_factory=dict)  # width, height and bytes of the output
    seconds: float = 0.0


class _NotAwaited(Exception):
    """Nobody waits for the file any more."""


def process_images(instructions: Instructions, assignment: Assignment) -> Report:
    """Do one job, in a worker. The file appears whole or not at all, and not once nobody waits for it any more."""
    try:
        _check_folders(*assignment.inputs, assignment.temporary)
        if not is_awaited(assignment.temporary):
            return _not_awaited(assignment)
        task = _fitting(instructions)
        fuser = instructions.model.load()
    except Exception as error:
        return Report("unfit worker", f"{reason(error)} (on {platform.node()}, process {os.getpid()})")
    stamps: list[dict[str, Any]] = []
    start = time.perf_counter()
    try:
        stamps += [stamp(path) for path in assignment.inputs]
        pictures = task.read(assignment.inputs, assignment.target, fuser)
        size = _write(task, task.compute(fuser, pictures), assignment)
    except _NotAwaited:
        return _not_awaited(assignment)
    except Exception as error:
        return Report("failed", reason(error), stamps, seconds=time.perf_counter() - start)
    return Report("written", "", stamps, size, time.perf_counter() - start)


def _write(task: Task, raster: Raster, assignment: Assignment) -> dict[str, int]:
    """Write through a temporary file of this worker's own: one that was given up may still be at the same job."""
    try:
        with atomic_path(assignment.temporary) as own:
            size = task.write(raster, own, assignment.target)
            if not is_awaited(assignment.temporary):
                raise _NotAwaited
    except OSError as error:
        raise not_written(assignment.target, error) from error
    return size


def _not_awaited(assignment: Assignment) -> Report:
    return Report("not awaited", f"{assignment.target}: nobody waits for it, as a worker sees the folder")


def _check_folders(*files: Path) -> None:
    """Raises InputError where this worker sees other files than the caller does."""
    for folder in {file.parent for file in files}:
        if not folder.is_dir():
            raise InputError(f"{folder}: is not there for a worker; have all machines see it under this name")


def _fitting(instructions: Instructions) -> Task:
    """The task as this worker is to do it. Raises InputError for another gifnet than the one that asks."""
    if instructions.gifnet != version.__version__:
        raise InputError(f"a worker has gifnet {version.__version__}; install {instructions.gifnet}, as here")
    if instructions.max_pixels != Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = instructions.max_pixels  # for other jobs too; these have the same
    task, limit = instructions.task, _memory_of_dask_worker()
    if limit is None or task.execution.memory is not None or instructions.model.device.partition(":")[0] != "cpu":
        return task
    return replace(task, execution=replace(task.execution, memory=limit))


@functools.cache  # before the first job takes any
def _memory_of_dask_worker() -> int | None:
    """Bytes that a worker of Dask's may use, if this process is one that has a limit."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # this process is none
        return None
    limit = worker.memory_manager.memory_limit
    return None if not limit else max(1, int((limit - worker.monitor.get_process_memory()) * SHARE_OF_LIMIT))
