"""Several chunks at a time on a processor.

Splitting every operation over all cores leaves them waiting for each other many times per chunk; a chunk per core keeps
them busy, and each one's caches hold its own.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

import torch
from torch import Tensor

from .threads import Threads, can_use_one_core

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_WORKERS = 32  # beyond which there are not enough chunks of a tile at a time


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

    On a GPU, which needs none, everything runs in the calling thread. So it does where threads can't be held to one
    core each: there, torch splits every operation itself. Where they can, every number of them gives the same bits.
    """

    def __init__(self, device: torch.device) -> None:
        count = torch.get_num_threads() if device.type == "cpu" and can_use_one_core() else 1
        self._threads = Threads(min(count, MOST_WORKERS) if count > 1 else 0, "gifnet")

    def __enter__(self) -> "Workers":
        self._threads.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.__exit__(kind, error, trace)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """``function`` of each item, in their order; in inference mode, which is each thread's own too.

        What is not begun when this iterator is closed, or what it raises, is left out.
        """

        def compute(item: Item) -> Result:
            with torch.inference_mode():
                return function(item)

        if not self._threads.started:
            yield from map(compute, items)
            return
        results = deque(self._threads.submit(compute, item) for item in items)
        try:
            while results:
                yield results.popleft().result()
        finally:
            for unread in results:
                unread.cancel()

    def call(self, function: Callable[[], Result]) -> Result:
        """What ``function`` gives, computed as chunks are: on one core, in inference mode."""
        (result,) = self.map(lambda _: function(), [None])
        return result
