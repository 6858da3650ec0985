"""Executors of users: how much they take at a time, and what is done when one breaks."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from ..errors import InputError
from ..extras import require
from ..options.values import ExecutorLike

AHEAD = 2  # jobs under way for each worker: one that it works on, and one that waits for it
FEWEST, MOST = 8, 400  # of jobs under way; each keeps a file open
LOOK_AGAIN = 5.0  # seconds after which workers are counted again, for a cluster may grow
PATIENCE = 10  # seconds to find a scheduler


class Pool:
    """An executor, and its like where it breaks. Raises InputError for what is none that can be used."""

    def __init__(self, executor: ExecutorLike) -> None:
        self.generation = 0  # how often it was replaced
        self._client: Any = None
        self._own: ProcessPoolExecutor | None = None
        self._executor: Any = executor
        self._counted, self._width = -LOOK_AGAIN, FEWEST
        as_executor = getattr(executor, "get_executor", None)
        if as_executor is not None:  # a client of Dask's
            if getattr(executor, "asynchronous", False):
                raise InputError("executor: an asynchronous client; give one that is not, in a thread of its own")
            self._client = executor
            self._executor = as_executor(pure=False)
        elif isinstance(executor, ProcessPoolExecutor):
            _refuse_forks(executor)

    @property
    def processes_here(self) -> int:
        """How many processes of this machine share its memory."""
        return self._workers() if isinstance(self._executor, ProcessPoolExecutor) else 1

    @property
    def width(self) -> int:
        """How many jobs may be under way."""
        if time.monotonic() - self._counted >= LOOK_AGAIN:
            self._width = min(max(FEWEST, AHEAD * self._workers()), MOST)
            self._counted = time.monotonic()
        return self._width

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A future. Raises BrokenExecutor where even a new pool breaks, InputError for an executor that is closed."""
        try:
            return self._submit(function, *arguments)
        except BrokenExecutor as error:
            self.renew(self.generation, error)
            return self._submit(function, *arguments)

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            future = self._executor.submit(function, *arguments)
        except BrokenExecutor:
            raise
        except Exception as error:
            raise InputError(f"executor: takes no work ({type(error).__name__}: {error})") from error
        if not hasattr(future, "add_done_callback"):
            raise InputError(
                f"executor: its submit gives a {type(future).__name__}, which can't be waited for; give a "
                "concurrent.futures executor or a dask.distributed.Client"
            )
        return future

    def renew(self, generation: int, error: BaseException) -> None:
        """Replace a broken pool of processes by a like one, unless this was done since ``generation``.

        Raises InputError for executors that this can't be done with.
        """
        if generation != self.generation:
            return
        old: Any = self._executor
        kind: type = type(old)
        if kind is not ProcessPoolExecutor:
            raise InputError(f"executor: is broken ({error}); give a new one, a rerun does the rest") from error
        self.close()
        options: dict[str, Any] = {}
        if sys.version_info >= (3, 11):
            options["max_tasks_per_child"] = old._max_tasks_per_child
        self._executor = self._own = ProcessPoolExecutor(
            old._max_workers, old._mp_context, old._initializer, old._initargs, **options
        )
        self.generation += 1

    def close(self) -> None:
        """End the replacement, if there is one; the executor itself is its owner's."""
        if self._own is not None:
            self._own.shutdown(wait=True, cancel_futures=True)
            self._own = None

    def _workers(self) -> int:
        if self._client is not None:
            return sum(self._client.nthreads().values())
        count = getattr(self._executor, "_max_workers", None)  # of concurrent.futures, loky and others
        return count if isinstance(count, int) else (os.cpu_count() or 1)


def _refuse_forks(executor: Any) -> None:
    """Raises InputError for processes that are copies of this one: torch's threads are not, and they wait for them."""
    if executor._mp_context.get_start_method() == "fork":
        raise InputError(
            "executor: its processes are forked from this one, in which PyTorch may wait for ever; give "
            'ProcessPoolExecutor(..., mp_context=multiprocessing.get_context("spawn"))'
        )


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of the Dask scheduler at an address. Raises InputError where there is none, and without the extra."""
    distributed = require("distributed", "dask", "--scheduler")
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:  # Dask's own are of these kinds
        cause = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"--scheduler {address}: no Dask scheduler answers ({cause}); give the address that dask scheduler shows"
        ) from error
    with client:
        yield client
