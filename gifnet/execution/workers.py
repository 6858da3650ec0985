"""Several chunks at a time on a processor.

Splitting every operation over all cores leaves them waiting for each other many times per chunk; a chunk per core keeps
them busy, and each one's caches hold its own.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_WORKERS = 8  # beyond which Python's own lock would hold them up; further cores share an operation


class Scratch(threading.local):
    """Memory that a thread uses again and again.

    The system hands out fresh memory page by page, which costs more time than the values written to it.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def empty(self, name: str, rows: int, columns: int, like: Tensor) -> Tensor:
        """A buffer (rows, columns) with whatever was last in it.

        The same name must always come with the same ``columns`` and with tensors of the same dtype and device.
        """
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < rows:
            buffer = self._buffers[name] = like.new_empty(rows, columns)
        return buffer[:rows]


class Workers:
    """Threads that each compute whole chunks; together they use as many cores as torch is set to.

    On a GPU, which needs none, everything runs in the calling thread.
    """

    def __init__(self, device: torch.device) -> None:
        self.threads = torch.get_num_threads() if device.type == "cpu" else 1
        self.count = min(self.threads, MOST_WORKERS)
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        if self.count > 1:
            self._pool = ThreadPoolExecutor(self.count, "gifnet", torch.set_num_threads, (self.threads // self.count,))
            started = threading.Barrier(self.count + 1)
            for _ in range(self.count):
                self._pool.submit(started.wait)
            started.wait()
            # The number is each thread's own, but torch also notes it for threads to come: put that right.
            torch.set_num_threads(self.threads)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """``function`` of each item, in their order; in inference mode, which is each thread's own too."""

        def compute(item: Item) -> Result:
            with torch.inference_mode():
                return function(item)

        return self._pool.map(compute, items) if self._pool else map(compute, items)
