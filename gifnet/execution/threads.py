"""gifnet's own threads, which an interrupt can end at any moment, and whose settings touch no other thread's.

``torch.set_num_threads`` also notes the number for all threads to come, whosever they are. The libraries below torch,
OpenMP and MKL, have numbers that are one thread's alone; those are set here, in gifnet's threads only.
"""

import ctypes
import functools
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import torch

Result = TypeVar("Result")

IDLE = 0.2  # seconds after which a thread without work looks whether any can still come
AGAIN = 1.0  # seconds after which who waits for a result looks again


class Pending(Generic[Result]):
    """What a function gives that runs in another thread.

    Waiting for it is one call of the interpreter's, not Python code like that of ``concurrent.futures.Future``: there,
    an interrupt in the wrong moment leaves a lock taken for ever, or turns into a RuntimeError.
    """

    def __init__(self, function: Callable[..., Result], *arguments: Any) -> None:
        self._job: Callable[[], Result] | None = functools.partial(function, *arguments)
        self._outcome: tuple[Result | None, BaseException | None] | None = None
        self._done: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """Call the function, unless that was cancelled."""
        job, self._job = self._job, None
        if job is None:
            return
        outcome: tuple[Result | None, BaseException | None]
        try:
            outcome = job(), None
        except BaseException as error:
            outcome = None, error
        del job  # and with it the arguments, before the result is used
        self._outcome = outcome
        self._done.put(None)

    def cancel(self) -> None:
        """Leave it out, if it is not begun."""
        self._job = None

    def result(self) -> Result:
        """What the function gave or raised, once it has."""
        while self._outcome is None:
            with suppress(Empty):  # an earlier interrupt may have taken the word of it
                self._done.get(timeout=AGAIN)
        value, error = self._outcome
        if error is None:
            return cast(Result, value)
        try:
            raise error
        finally:
            del self, error  # which would hold each other through the traceback


class Threads:
    """Some threads, for as long as a ``with`` block lasts.

    Where the system allows no more of them there are fewer; without any, work is done where it is given. No thread
    waits for another one to start, and one without work ends by itself once nobody can give it any: so an interrupt, at
    whatever moment, leaves no thread behind that keeps the process from ending. Each computes on one core, unless told
    otherwise.
    """

    def __init__(self, count: int, name: str, *, one_core: bool = True) -> None:
        self._count, self._name, self._one_core = count, name, one_core
        self._jobs: SimpleQueue[Pending[Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Threads":
        needed = functools.partial(_may_give_work, weakref.ref(self), threading.current_thread())
        work = functools.partial(_work, self._jobs, needed, self._one_core)
        for number in range(self._count):
            thread = threading.Thread(target=work, name=f"{self._name}-{number}")
            try:
                thread.start()
            except RuntimeError:  # the system allows no more
                break
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._jobs.put(None)  # behind all work
        for thread in self._threads:
            if thread is not threading.current_thread():  # one that lets go of a generator last ends its block
                thread.join()

    @property
    def started(self) -> int:
        """How many there are."""
        return len(self._threads)

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Pending[Result]:
        """Have a function called, in the order of submission; without threads, here and now."""
        pending = Pending(function, *arguments)
        if self._threads:
            self._jobs.put(pending)
        else:
            pending.run()
        return pending


def alone(function: Callable[..., Result], *arguments: Any) -> Result:
    """What a function gives in a thread of its own, on one core.

    Nothing that the caller's thread is set to (autocast, a default device, inference mode, a number of threads)
    changes it.
    """
    with Threads(1, "gifnet-alone") as threads:
        return threads.submit(function, *arguments).result()


def _work(jobs: "SimpleQueue[Pending[Any] | None]", needed: Callable[[], bool], one_core: bool) -> None:
    if one_core:
        use_one_core()
    while True:
        try:
            job = jobs.get(timeout=IDLE)
        except Empty:
            if needed():
                continue
            return
        if job is None:
            return
        job.run()
        del job  # and with it what it holds, while there is nothing to do


def _may_give_work(pool: "weakref.ref[Threads]", owner: threading.Thread) -> bool:
    return pool() is not None and owner.is_alive() and threading.main_thread().is_alive()


@functools.cache
def _own_settings() -> tuple[Callable[[int], Any], ...]:
    """Functions that set a number of threads for the calling thread alone, of the libraries that torch is linked to.

    None are found where a library's dependencies can't be looked into (Windows).
    """
    try:
        library = ctypes.CDLL(torch._C.__file__)
        setters = [library.omp_set_num_threads]
    except (OSError, AttributeError):
        return ()
    mkl = getattr(library, "MKL_Set_Num_Threads_Local", None)  # of Intel's and AMD's processors
    return tuple(setters if mkl is None else [*setters, mkl])


def can_use_one_core() -> bool:
    """Whether ``use_one_core`` works here."""
    return bool(_own_settings())


def use_one_core() -> None:
    """Have the calling thread, and no other, compute on one core."""
    torch.get_num_threads()  # a thread's first question sets it to torch's number; only then to its own
    for set_number in _own_settings():
        set_number(1)
