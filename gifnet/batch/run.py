"""One pass over the images of folders, resumable and on record."""

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import version
from ..errors import InputError, escaped
from ..execution.progress import bar
from ..files.atomic import atomic_path
from ..files.raster import Raster
from ..fuser import Fuser
from ..images.picture import ReadablePicture
from ..options.values import Lines, Progress
from .manifest import NAME, Event, Manifest
from .pairing import FolderFailure, Match
from .pipeline import overlapped
from .task import Task, not_written, reason, stamp


@dataclass
class Job:
    """A match, and what becomes known of it on the way."""

    match: Match
    stamps: list[dict[str, Any]] = field(default_factory=list)  # of the inputs, taken before they were read
    size: dict[str, int] = field(default_factory=dict)  # width, height and bytes of the output
    seconds: float = 0.0  # spent on it, waiting apart

    @property
    def key(self) -> str:
        """The output as the manifest names it."""
        return self.match.output.as_posix()

    @contextmanager
    def timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


Outcome = tuple[Job, Exception | None]  # a job that is over, and what went wrong


@dataclass(frozen=True)
class Conduct:
    """How a run goes about it, which doesn't change any result."""

    overwrite: bool
    skip_unmatched: bool
    progress: Progress
    report: Lines | None

    def tell(self, line: str) -> None:
        if self.report is not None:
            self.report(escaped(line))


@dataclass(frozen=True)
class ModelRecord:
    """What the manifest says of a model."""

    sha256: str
    dtype: str  # "float32"
    device: str


class Run(ABC):
    """One pass over jobs with one model into one folder; where the work is done is the subclass's."""

    def __init__(self, task: Task, model: ModelRecord, out: Path, manifest: Manifest, conduct: Conduct) -> None:
        self.task, self.model, self.out, self.manifest, self.conduct = task, model, out, manifest, conduct
        settings = {**task.settings(), "model": model.sha256, "dtype": model.dtype, "gifnet": version.__version__}
        self.settings = json.loads(json.dumps(settings, default=str))  # as they will be when read again

    @abstractmethod
    def outcomes(self, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        """Do the work; each job when it is over, its output written and on record, and what went wrong, or None."""

    def is_finished(self, match: Match) -> bool:
        """Whether an earlier run made this output of these very inputs with these settings, and it is still there."""
        event = self.manifest.finished(match.output.as_posix())
        if event is None or event.get("settings") != self.settings:
            return False
        try:
            same = event.get("inputs") == [stamp(path) for path in match.inputs]
            return same and (self.out / match.output).stat().st_size == int(event["output"]["bytes"])
        except OSError:
            return False

    def work_through(self, jobs: Sequence[Job]) -> tuple[list[Path], list[FolderFailure]]:
        """Outputs written, and failures, each in the order of ``jobs``."""
        failures: dict[str, FolderFailure] = {}
        over: set[str] = set()
        progress = self.conduct.progress
        disable = True if progress is False or callable(progress) else None  # None: unless stderr is a terminal
        with (
            closing(self.outcomes(jobs)) as outcomes,
            bar(total=len(jobs), desc=self.task.name, unit="image", disable=disable) as shown,
        ):
            for count, (job, error) in enumerate(outcomes, 1):
                over.add(job.key)
                shown.update()
                if callable(progress):
                    progress(count, len(jobs))
                if error is None:
                    continue
                failure = FolderFailure(job.match.name, job.match.inputs, reason(error))
                failures[job.key] = failure
                shown.set_postfix(failed=len(failures))
                self.manifest.append(self.event(job, "failed", failure.reason))
                self.conduct.tell(f"{failure.name}: {failure.reason}")
        done = [self.out / job.match.output for job in jobs if job.key in over and job.key not in failures]
        return done, [failures[job.key] for job in jobs if job.key in failures]

    def check_target(self, job: Job) -> None:
        """Refuse an output whose name belongs to a folder, or to a file that this folder's runs did not write."""
        target = self.out / job.match.output
        if target.is_dir():
            raise InputError(f"{target}: is a folder")
        if self.conduct.overwrite or not os.path.lexists(target):
            return
        known = self.manifest.sizes(job.key)
        if not target.is_file() or target.stat().st_size not in known:
            found = "has been changed since gifnet wrote it" if known else f"exists, but {NAME} does not list it"
            raise InputError(f"{target}: {found}; move it away, or replace it with --overwrite (overwrite=True)")

    def event(self, job: Job, status: str, error: str | None = None) -> Event:
        """What the manifest is to hold of a job."""
        return {
            "output": {"path": job.key, **(job.size if status != "failed" else {})},
            "status": status,
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "seconds": round(job.seconds, 3),
            "inputs": job.stamps or [{"path": os.path.abspath(path)} for path in job.match.inputs],
            "settings": self.settings,
            "device": self.model.device,
            "error": error,
        }


class RunHere(Run):
    """The work is done in this process: reading, computing and writing at the same time."""

    def __init__(self, task: Task, fuser: Fuser, out: Path, manifest: Manifest, conduct: Conduct) -> None:
        dtype = str(fuser.dtype).removeprefix("torch.")
        super().__init__(task, ModelRecord(fuser.sha256, dtype, str(fuser.device)), out, manifest, conduct)
        self.fuser = fuser

    def outcomes(self, jobs: Sequence[Job]) -> Generator[Outcome, None, None]:
        return overlapped(jobs, self.read, self.compute, self.write)

    def read(self, job: Job) -> list[ReadablePicture]:
        with job.timed():
            self.check_target(job)
            job.stamps = [stamp(path) for path in job.match.inputs]
            return self.task.read(job.match.inputs, self.out / job.match.output, self.fuser)

    def compute(self, job: Job, pictures: Sequence[ReadablePicture]) -> Raster:
        with job.timed():
            return self.task.compute(self.fuser, pictures)

    def write(self, job: Job, raster: Raster) -> None:
        target = self.out / job.match.output
        with job.timed():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(target) as temporary:
                    job.size = self.task.write(raster, temporary, target)
                    self.manifest.append(self.event(job, "writing"))
            except OSError as error:
                raise not_written(target, error) from error
        self.manifest.append(self.event(job, "done"))
