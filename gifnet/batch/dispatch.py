"""A run whose work other processes do: they write files, this one gives them their names and keeps the record."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import torch

from ..errors import InputError
from ..execution.memory import free_memory
from ..execution.running import FREE_SHARE
from ..files.atomic import Staged, remove_leftovers
from .executors import Pool
from .manifest import Manifest
from .portable import ModelSource, PortableModel
from .run import Conduct, Job, ModelRecord, Outcome, Run
from .task import Task, not_written
from .worker import Assignment, Instructions, Report, process_images

LOSSES = 3  # workers that an image may take with it before it is given up
LOSSES_OF_DASK = 2  # times that it says so, each of which stands for several workers, and for all that they had
WAKE = 0.5  # seconds between looks for an interrupt, where waiting keeps it back (Windows)


@dataclass
class _Attempt:
    """A job that a worker has."""

    job: Job
    file: Staged
    generation: int  # of the pool


class RunElsewhere(Run):
    """The work is done by an executor's workers, a limited number of jobs at a time."""

    def __init__(
        self,
        task: Task,
        model: ModelRecord,
        source: ModelSource,
        pool: Pool,
        out: Path,
        manifest: Manifest,
        conduct: Conduct,
    ) -> None:
        super().__init__(task, model, out, manifest, conduct)
        self.pool = pool
        self.instructions = Instructions(_sharing_memory(task, source, pool.processes_here), source)
        self._under_way: dict[Any, _Attempt] = {}  # by their futures
        self._ended: SimpleQueue[Any] = SimpleQueue()  # futures
        self._suspects: deque[Job] = deque()  # one of which kills workers: each is done again by itself
        self._again: deque[Job] = deque()
        self._losses: dict[str, int] = {}  # of jobs, by their key
        self._given_up = False  # any job
        self._any_done = False

    def outcomes(self, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        """As they come. Where the iterator is closed, or an interrupt ends it, what is under way is dropped."""
        fresh = iter(jobs)
        try:
            while True:
                while (job := self._next(fresh)) is not None:
                    if (error := self._begin(job)) is not None:
                        yield job, error
                if not self._under_way:
                    return
                future = self._wait()
                attempt = self._under_way.pop(future)
                try:
                    outcome = self._end(attempt, future)
                finally:
                    attempt.file.discard()  # unless it has been published
                if outcome is not None:
                    yield outcome
        finally:
            self._drop_all()

    def _next(self, fresh: Iterator[Job]) -> Job | None:
        """The job to begin now, if any."""
        if self._suspects:
            return None if self._under_way else self._suspects.popleft()
        if len(self._under_way) >= self.pool.width:
            return None
        return self._again.popleft() if self._again else next(fresh, None)

    def _begin(self, job: Job) -> Exception | None:
        """Give a job to the workers, or say why not."""
        target = Path(os.path.abspath(self.out / job.match.output))
        try:
            self.check_target(job)
            target.parent.mkdir(parents=True, exist_ok=True)
            file = Staged(target)
        except OSError as error:
            return not_written(self.out / job.match.output, error)
        except InputError as error:
            return error
        inputs = tuple(Path(os.path.abspath(path)) for path in job.match.inputs)
        try:
            future = self.pool.submit(process_images, self.instructions, Assignment(inputs, file.path, target))
        except BaseException as error:
            file.discard()
            if not isinstance(error, BrokenExecutor):
                raise
            return self._lost(job, error)
        self._under_way[future] = _Attempt(job, file, self.pool.generation)
        future.add_done_callback(self._ended.put)
        return None

    def _wait(self) -> Any:
        """A future that has ended."""
        while True:
            with suppress(Empty):
                future = self._ended.get(timeout=WAKE)
                if future in self._under_way:
                    return future

    def _end(self, attempt: _Attempt, future: Any) -> Outcome | None:
        """What has become of a job; None if it is to be done again. Raises InputError where no job can be done."""
        error = _error_of(future)
        if error is None:
            report: Report = future.result()
            if report.state == "unfit worker":
                raise InputError(f"executor: {report.reason}")
            if report.state != "not awaited":
                self._any_done = True
                return self._record(attempt, report)
            error = InputError(report.reason)
        if isinstance(error, BrokenExecutor):
            self.pool.renew(attempt.generation, error)
        failure = self._lost(attempt.job, error)
        return None if failure is None else (attempt.job, failure)

    def _record(self, attempt: _Attempt, report: Report) -> Outcome:
        """Have what was written take its name, on record before and after."""
        job = attempt.job
        job.stamps, job.size, job.seconds = report.stamps, report.size, report.seconds
        if report.state == "failed":
            return job, InputError(self._as_named(job, report.reason))
        try:
            self.manifest.append(self.event(job, "writing"))
            attempt.file.publish()
            self.manifest.append(self.event(job, "done"))
        except OSError as error:
            return job, not_written(self.out / job.match.output, error)
        except InputError as error:
            return job, error
        return job, None

    def _as_named(self, job: Job, text: str) -> str:
        """A message of a worker's, which knows absolute paths, with the paths as they were given."""
        for path in (*job.match.inputs, self.out / job.match.output):
            text = text.replace(os.path.abspath(path), str(path))
        return text

    def _lost(self, job: Job, error: BaseException) -> Exception | None:
        """Note that a worker was lost with a job: it is done again, or given up, with the error that is given back.

        Raises InputError where workers end before anything is done at all: that is not because of one image.
        """
        text = " ".join(f"{type(error).__name__}: {error}".split())
        if self._given_up and not self._any_done:
            raise InputError(
                f"executor: its workers end before anything is done ({text}); look at what they say. A script that "
                'starts processes must do its work below: if __name__ == "__main__":'
            )
        count = self._losses[job.key] = self._losses.get(job.key, 0) + 1
        of_dask = type(error).__name__ == "KilledWorker"
        if count < (LOSSES_OF_DASK if of_dask else LOSSES):
            (self._suspects if of_dask or isinstance(error, BrokenExecutor) else self._again).append(job)
            return None
        self._given_up = True
        return InputError(f"{self.out / job.match.output}: given up, for its worker was lost {count} times ({text})")

    def _drop_all(self) -> None:
        """Cancel what is not begun and keep what is done; what is under way finds that nobody waits for it."""
        for future in self._under_way:
            future.cancel()
        for future, attempt in self._under_way.items():
            with suppress(Exception):
                if future.done() and _error_of(future) is None and future.result().state == "written":
                    self._record(attempt, future.result())
            attempt.file.discard()
        self._under_way.clear()
        for folder in {(self.out / key).parent for key in self._losses}:
            with suppress(OSError):
                remove_leftovers(folder)
        self.pool.close()


def run_elsewhere(
    task: Task, pool: Pool, model: PortableModel, out: Path, conduct: Conduct
) -> Callable[[Manifest], AbstractContextManager[Run]]:
    """What makes the run, once there is a manifest."""

    @contextmanager
    def make(manifest: Manifest) -> Iterator[Run]:
        with model.in_reach(out) as source:
            yield RunElsewhere(task, model.record, source, pool, out, manifest, conduct)

    return make


def _error_of(future: Any) -> BaseException | None:
    """What went wrong with a job that is over, apart from what its images are to blame for."""
    try:
        error: BaseException | None = future.exception()
    except CancelledError as cancelled:  # by others, or with the connection to them
        return cancelled
    return error


def _sharing_memory(task: Task, source: ModelSource, processes: int) -> Task:
    """The task with an equal part of this machine's memory for each of several processes that don't know each other."""
    execution = task.execution
    if processes == 1 or execution.memory is not None or execution.tile is None or source.device != "cpu":
        return task
    memory = int(free_memory(torch.device("cpu")) * FREE_SHARE) // processes
    return replace(task, execution=replace(execution, memory=memory))
