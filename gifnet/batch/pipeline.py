"""Reading, computing and writing at the same time, in bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import TypeVar

from ..execution.threads import Pending, Threads

Job = TypeVar("Job")
Read = TypeVar("Read")
Computed = TypeVar("Computed")


def overlapped(
    jobs: Iterable[Job],
    read: Callable[[Job], Read],
    compute: Callable[[Job, Read], Computed],
    write: Callable[[Job, Computed], None],
    ahead: int = 2,
) -> Generator[tuple[Job, Exception | None], None, None]:
    """Each job with what went wrong, or None, in the order of ``jobs``; one job's failure leaves the others alone.

    ``compute`` runs in the caller's thread, one job at a time; meanwhile one thread reads up to ``ahead`` jobs in
    advance and another writes up to ``ahead`` behind, each in order. Where the system allows no more threads, the
    caller's does their work too. When the caller closes the iterator or an interrupt ends it, nothing more is read, and
    what was computed is still written.
    """
    remaining = iter(jobs)
    reading: deque[tuple[Job, Pending[Read]]] = deque()
    writing: deque[tuple[Job, Pending[None]]] = deque()

    def read_on() -> None:
        for job in islice(remaining, ahead + 1 - len(reading)):
            reading.append((job, reader.submit(read, job)))

    with Threads(1, "gifnet-write") as writer, Threads(1, "gifnet-read") as reader:
        try:
            read_on()
            while reading:
                job, source = reading.popleft()
                writing.append((job, _computed(job, source, compute, write, writer)))
                del source  # and with it what was read
                read_on()
                while len(writing) > ahead:
                    yield _outcome(*writing.popleft())
            while writing:
                yield _outcome(*writing.popleft())
        finally:
            for _, unread in reading:
                unread.cancel()


def _computed(
    job: Job,
    source: Pending[Read],
    compute: Callable[[Job, Read], Computed],
    write: Callable[[Job, Computed], None],
    writer: Threads,
) -> Pending[None]:
    """The job's writing, under way; or its failure before that."""
    try:
        return writer.submit(write, job, compute(job, source.result()))
    except Exception as error:
        return writer.submit(_raise, error)


def _outcome(job: Job, writing: Pending[None]) -> tuple[Job, Exception | None]:
    try:
        writing.result()
    except Exception as error:
        return job, error
    return job, None


def _raise(error: Exception) -> None:
    raise error
