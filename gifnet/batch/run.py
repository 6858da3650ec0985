"""One pass over the images of folders, resumable and on record."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import version
from ..errors import InputError, escaped
from ..execution.progress import bar
from ..execution.running import Execution
from ..files.atomic import atomic_path
from ..files.formats import DEFAULT, Encoding
from ..files.raster import Raster
from ..fuser import Fuser
from ..images.picture import ReadablePicture
from ..options.values import Lines, Progress
from ..prepare.preparation import Preparation
from .files import check_result, read_images, write_image
from .manifest import NAME, Event, Manifest, flush_to_disk
from .pairing import FolderFailure, Match
from .pipeline import overlapped


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


@dataclass(frozen=True)
class Task:
    """What is done to the images of a job, and all that decides the result but the model."""

    name: str
    preparation: Preparation
    execution: Execution
    strength: float | None = None  # of enhancing
    encoding: Encoding = DEFAULT

    def settings(self) -> dict[str, Any]:
        """The options that change pixels, in one form; those that are off are left out."""
        strength = {} if self.strength is None else {"strength": self.strength}
        return {
            "task": self.name,
            "page": self.preparation.page,
            **strength,
            **self.preparation.describe(),
            **self.encoding.describe(),
        }

    def compute(self, fuser: Fuser, pictures: Sequence[ReadablePicture]) -> Raster:
        """The result of one job's pictures."""
        if self.strength is None:
            result = fuser.fuse_images(pictures, self.preparation, self.execution)
        else:
            result = fuser.enhance_image(pictures[0], self.strength, self.preparation, self.execution)
        assert isinstance(result, Raster), f"a Fuser gave {type(result).__name__} for pictures of files"
        return result


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


class Run:
    """One pass over jobs with one model into one folder."""

    def __init__(self, task: Task, fuser: Fuser, out: Path, manifest: Manifest, conduct: Conduct) -> None:
        self.task, self.fuser, self.out, self.manifest, self.conduct = task, fuser, out, manifest, conduct
        settings = {
            **task.settings(),
            "model": fuser.sha256,
            "dtype": str(fuser.dtype).removeprefix("torch."),
            "gifnet": version.__version__,
        }
        self.settings = json.loads(json.dumps(settings, default=str))  # as they will be when read again

    def is_finished(self, match: Match) -> bool:
        """Whether an earlier run made this output of these very inputs with these settings, and it is still there."""
        event = self.manifest.finished(match.output.as_posix())
        if event is None or event.get("settings") != self.settings:
            return False
        try:
            same = event.get("inputs") == [_stamp(path) for path in match.inputs]
            return same and (self.out / match.output).stat().st_size == int(event["output"]["bytes"])
        except OSError:
            return False

    def work_through(self, jobs: Sequence[Job]) -> tuple[list[Path], list[FolderFailure]]:
        """Outputs written, and failures."""
        done: list[Path] = []
        failures: list[FolderFailure] = []
        progress = self.conduct.progress
        disable = True if progress is False or callable(progress) else None  # None: unless stderr is a terminal
        with (
            closing(overlapped(jobs, self.read, self.compute, self.write)) as outcomes,
            bar(total=len(jobs), desc=self.task.name, unit="image", disable=disable) as shown,
        ):
            for count, (job, error) in enumerate(outcomes, 1):
                shown.update()
                if callable(progress):
                    progress(count, len(jobs))
                if error is None:
                    done.append(self.out / job.match.output)
                    continue
                failure = FolderFailure(job.match.name, job.match.inputs, _reason(error))
                failures.append(failure)
                shown.set_postfix(failed=len(failures))
                self.manifest.append(self.event(job, "failed", failure.reason))
                self.conduct.tell(f"{failure.name}: {failure.reason}")
        return done, failures

    def read(self, job: Job) -> list[ReadablePicture]:
        with job.timed():
            self.check_target(job)
            job.stamps = [_stamp(path) for path in job.match.inputs]
            pictures = read_images(job.match.inputs, self.task.preparation, self.task.execution, self.fuser)
            check_result(self.out / job.match.output, *pictures)
            return pictures

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

    def compute(self, job: Job, pictures: Sequence[ReadablePicture]) -> Raster:
        with job.timed():
            return self.task.compute(self.fuser, pictures)

    def write(self, job: Job, raster: Raster) -> None:
        target = self.out / job.match.output
        with job.timed():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(target) as temporary:
                    _write(raster, temporary, target, self.task.encoding)
                    height, width = raster.array.shape[:2]
                    job.size = {"bytes": temporary.stat().st_size, "width": width, "height": height}
                    self.manifest.append(self.event(job, "writing"))
            except OSError as error:
                raise InputError(f"{target}: can't be written ({error.strerror or error})") from error
        self.manifest.append(self.event(job, "done"))

    def event(self, job: Job, status: str, error: str | None = None) -> Event:
        """What the manifest is to hold of a job."""
        return {
            "output": {"path": job.key, **(job.size if status != "failed" else {})},
            "status": status,
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "seconds": round(job.seconds, 3),
            "inputs": job.stamps or [{"path": os.path.abspath(path)} for path in job.match.inputs],
            "settings": self.settings,
            "device": str(self.fuser.device),
            "error": error,
        }


def _write(raster: Raster, temporary: Path, target: Path, encoding: Encoding) -> None:
    """Write what is to become ``target``, down to the disk."""
    try:
        write_image(raster, temporary, encoding)
    except InputError as error:
        raise InputError(str(error).replace(str(temporary), str(target))) from error
    flush_to_disk(temporary)


def _stamp(path: Path) -> dict[str, Any]:
    """What tells that a file is still the same: as with make and rsync, its size and modification time."""
    found = path.stat()
    return {"path": os.path.abspath(path), "bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def _reason(error: Exception) -> str:
    """One line; the type too where the message was not written for users."""
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, InputError) else f"{type(error).__name__}: {text}" if text else type(error).__name__
    )
