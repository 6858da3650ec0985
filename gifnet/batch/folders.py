"""Whole folders of images fused or enhanced, resumable, on record; and the folder side of the command line."""

import argparse
import functools
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ..api import load
from ..checkpoints.format import file_sha256
from ..checkpoints.hub import BUNDLED, resolve
from ..errors import InputError
from ..execution import running as execution
from ..files.atomic import atomic_path, remove_leftovers
from ..files.reading import WRITABLE, Raster
from ..fuser import Fuser
from ..images.reading import Picture
from ..prepare import preparation as prepare
from .files import check_result, read_image, write_image
from .manifest import NAME, Event, Manifest, flush_to_disk, locked
from .pairing import FolderFailure, Match, Pairing, pairs, singles
from .pipeline import overlapped

Report = Callable[[str], None]


@dataclass(frozen=True)
class FolderResult:
    """What ``fuse_folders`` or ``enhance_folder`` did."""

    done: tuple[Path, ...]  # outputs written
    skipped: tuple[Path, ...]  # outputs that an earlier run had finished, of the same inputs and settings
    failed: tuple[FolderFailure, ...]
    unmatched: tuple[FolderFailure, ...]  # files without a partner; in ``failed`` too, unless they are to be left out


def fuse_folders(
    a_dir: str | os.PathLike[str],
    b_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    recursive: bool = False,
    suffix: str | None = None,
    overwrite: bool = False,
    skip_unmatched: bool = False,
    progress: bool = True,
    report: Report | None = None,
    page: int | None = None,
    model: str | os.PathLike[str] = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    **options: Any,
) -> FolderResult:
    """Fuse the images of two folders, pair by pair, into a third; each pair as ``fuse_files`` does.

    Two files are a pair if their paths within their folders are the same but for the suffix; the result has that path
    in ``out_dir`` too. A file without a partner, or with several, counts as failed; no failure stops the rest.

    ``out_dir`` keeps ``gifnet-manifest.jsonl``, a record of each pair. By it a later call skips what is finished: the
    output has the recorded size, both inputs have the recorded paths, sizes and modification times, and the weights,
    their precision, gifnet's version and all options are the same. An output that is not on record is never replaced
    unless ``overwrite`` says so. Killed at any moment, a call leaves whole outputs only; the next finishes the rest.

    Args:
        a_dir: the first images, as ``a`` of ``fuse``: the infrared ones of infrared-visible pairs.
        b_dir: the second images.
        out_dir: where the results go; made if its parent exists. Where it lies within an input folder, it isn't read.
        recursive: take in subfolders (hidden ones and links to folders excepted).
        suffix: of the results, ``".png"`` for instance, which is their format. None: that of the first image if gifnet
            writes this format, else ``".png"``.
        overwrite: do everything again, and replace whatever has an output's name.
        skip_unmatched: leave out files without a partner instead of counting them as failed.
        progress: show a progress bar on stderr, if that is a terminal.
        report: called with a line about each problem when it is found; about pairing, before any work.
        page: as for ``fuse_files``.
        model: as for ``fuse``.
        device: as for ``fuse``.
        dtype: as for ``fuse``.
        options: as for ``fuse``.

    Raises:
        InputError: no such folder, no pair in them, ``out_dir`` is one of them or can't be made, another process is
            writing there, its manifest is damaged or can't be written, or a suffix gifnet doesn't write.
        CheckpointError: see ``load``.
    """
    first, second, out = Path(a_dir), Path(b_dir), Path(out_dir)
    task = _Task("fuse", Fuser.fuse, options, page)
    task.check_options()
    _check(out, (first, second), suffix)
    pairing = pairs(first, second, out, recursive, suffix)
    return _run(task, pairing, out, _Conduct(overwrite, skip_unmatched, progress, report), model, device, dtype)


def enhance_folder(
    x_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    strength: float = 1.0,
    recursive: bool = False,
    suffix: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
    report: Report | None = None,
    page: int | None = None,
    model: str | os.PathLike[str] = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    **options: Any,
) -> FolderResult:
    """Enhance the images of a folder into another, each as ``enhance_file`` does.

    Args:
        x_dir: the images.
        out_dir: where the results go, as for ``fuse_folders``, with the same record of them.
        strength: as for ``enhance``.
        recursive: as for ``fuse_folders``.
        suffix: as for ``fuse_folders``; None: that of the image if gifnet writes this format, else ``".png"``.
        overwrite: as for ``fuse_folders``.
        progress: as for ``fuse_folders``.
        report: as for ``fuse_folders``.
        page: as for ``enhance_file``.
        model: as for ``enhance``.
        device: as for ``enhance``.
        dtype: as for ``enhance``.
        options: as for ``enhance``.

    Raises:
        InputError: as for ``fuse_folders``; and a strength outside [0, 1].
        CheckpointError: see ``load``.
    """
    if not 0 <= strength <= 1:
        raise InputError(f"strength: {strength} is outside 0 (the image as it is) to 1 (fully enhanced)")
    folder, out = Path(x_dir), Path(out_dir)
    task = _Task("enhance", Fuser.enhance, {"strength": strength, **options}, page)
    task.check_options()
    _check(out, (folder,), suffix)
    pairing = singles(folder, out, recursive, suffix)
    return _run(task, pairing, out, _Conduct(overwrite, False, progress, report), model, device, dtype)


@dataclass
class _Job:
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
class _Task:
    """What is done to the images of a job, and all that decides the result but the model."""

    name: str
    function: Callable[..., Any]  # of a Fuser and pictures
    options: Mapping[str, Any]  # of the function
    page: int | None

    def check_options(self) -> None:
        """Raise TypeError for options that the function doesn't have, which no image could change."""
        inspect.signature(self.function).bind_partial(**self.options)


@dataclass(frozen=True)
class _Conduct:
    """How a run goes about it, which doesn't change any result."""

    overwrite: bool
    skip_unmatched: bool
    progress: bool
    report: Report | None

    def tell(self, line: str) -> None:
        if self.report is not None:
            self.report(line)


def _check(out: Path, inputs: Sequence[Path], suffix: str | None) -> None:
    """Raise InputError for folders and a suffix that can't be worked with."""
    if suffix is not None and suffix.lower() not in WRITABLE:
        raise InputError(f"unknown image suffix {suffix!r}; use {', '.join(WRITABLE)}")
    for folder in inputs:
        if not folder.is_dir():
            raise InputError(f"{folder}: {'is a file; give a folder' if folder.exists() else 'no such folder'}")
        if out.resolve() == folder.resolve():
            raise InputError(f"{out}: is a folder of inputs; give another one for the results")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder for the results")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist")


def _run(
    task: _Task,
    pairing: Pairing,
    out: Path,
    conduct: _Conduct,
    model: str | os.PathLike[str],
    device: str | torch.device,
    dtype: str | torch.dtype,
) -> FolderResult:
    """Say what can't be paired, load, look at what is finished, and do the rest."""
    failed = [*pairing.ambiguous, *(() if conduct.skip_unmatched else pairing.unmatched)]
    for failure in failed:
        conduct.tell(f"{failure.name}: {failure.reason}")
    if conduct.skip_unmatched and pairing.unmatched:
        conduct.tell(f"left out, having no partner: {len(pairing.unmatched)}")
    _protect(pairing.files, pairing.matches, out)
    sha256 = file_sha256(resolve(model).path)
    fuser = load(model, device, dtype, sha256)
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: can't be made ({error.strerror})") from error
    with locked(out), Manifest(out / NAME) as manifest:
        outputs = {*map(Path, manifest.outputs()), *(match.output for match in pairing.matches)}
        for folder in {out, *((out / path).parent for path in outputs)}:
            if folder.is_dir():
                remove_leftovers(folder)
        run = _Run(task, fuser, sha256, out, manifest, conduct)
        finished = {match.output for match in pairing.matches if not conduct.overwrite and run.is_finished(match)}
        done, failures = run.work_through([_Job(match) for match in pairing.matches if match.output not in finished])
    skipped = tuple(out / match.output for match in pairing.matches if match.output in finished)
    return FolderResult(tuple(done), skipped, (*failed, *failures), pairing.unmatched)


def _protect(inputs: Sequence[Path], matches: Sequence[Match], out: Path) -> None:
    """Refuse to replace an input, as may happen where an input folder lies in that of the results."""
    resolved = functools.cache(Path.resolve)  # folders are few, files may be many
    taken = {resolved(path.parent) / path.name for path in inputs}
    for target in (out / match.output for match in matches):
        if resolved(target.parent) / target.name in taken:
            raise InputError(f"{target}: would be an input and an output; give another folder for the results")


def _in_one_form(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that change pixels, those that are off left out."""
    prepared = {name: value for name, value in options.items() if name in prepare.OPTIONS}
    rest = {name: value for name, value in options.items() if name not in (*prepare.OPTIONS, *execution.NEUTRAL)}
    return rest | prepare.describe(**prepared)


class _Run:
    """One pass over jobs with one model into one folder."""

    def __init__(
        self, task: _Task, fuser: Fuser, sha256: str, out: Path, manifest: Manifest, conduct: _Conduct
    ) -> None:
        from .. import __version__

        self.task, self.fuser, self.out, self.manifest, self.conduct = task, fuser, out, manifest, conduct
        settings = {
            "task": task.name,
            "page": task.page,
            **_in_one_form(task.options),
            "model": sha256,
            "dtype": str(fuser.dtype).removeprefix("torch."),
            "gifnet": __version__,
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

    def work_through(self, jobs: Sequence[_Job]) -> tuple[list[Path], list[FolderFailure]]:
        """Outputs written, and failures."""
        done: list[Path] = []
        failures: list[FolderFailure] = []
        disable = None if self.conduct.progress else True  # None: unless stderr is a terminal
        with (
            closing(overlapped(jobs, self.read, self.compute, self.write)) as outcomes,
            tqdm(total=len(jobs), desc=self.task.name, unit="image", disable=disable) as bar,
        ):
            for job, error in outcomes:
                bar.update()
                if error is None:
                    done.append(self.out / job.match.output)
                    continue
                failure = FolderFailure(job.match.name, job.match.inputs, _reason(error))
                failures.append(failure)
                bar.set_postfix(failed=len(failures))
                self.manifest.append(self.event(job, "failed", failure.reason))
                self.conduct.tell(f"{failure.name}: {failure.reason}")
        return done, failures

    def read(self, job: _Job) -> list[Picture]:
        with job.timed():
            self.check_target(job)
            job.stamps = [_stamp(path) for path in job.match.inputs]
            pictures = [read_image(path, self.task.page) for path in job.match.inputs]
            check_result(self.out / job.match.output, *pictures)
            return pictures

    def check_target(self, job: _Job) -> None:
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

    def compute(self, job: _Job, pictures: Sequence[Picture]) -> Raster:
        with job.timed():
            result: Raster = self.task.function(self.fuser, *pictures, progress=False, **self.task.options)
            return result

    def write(self, job: _Job, raster: Raster) -> None:
        target = self.out / job.match.output
        with job.timed():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(target) as temporary:
                    _write(raster, temporary, target)
                    height, width = raster.array.shape[:2]
                    job.size = {"bytes": temporary.stat().st_size, "width": width, "height": height}
                    self.manifest.append(self.event(job, "writing"))
            except OSError as error:
                raise InputError(f"{target}: can't be written ({error.strerror or error})") from error
        self.manifest.append(self.event(job, "done"))

    def event(self, job: _Job, status: str, error: str | None = None) -> Event:
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


def _write(raster: Raster, temporary: Path, target: Path) -> None:
    """Write what is to become ``target``, down to the disk."""
    try:
        write_image(raster, temporary)
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


def add_arguments(parser: argparse.ArgumentParser, pairs: bool) -> None:
    """The arguments of ``gifnet fuse`` (pairs) and ``gifnet enhance`` that are for folders."""
    group = parser.add_argument_group("folders", "for inputs that are folders; OUT is one then, made where need be")
    group.add_argument("--recursive", action="store_true", help="take in subfolders, and keep them in OUT")
    group.add_argument("--suffix", metavar=".EXT", help="format of the results (default: the input's, else .png)")
    if pairs:
        group.add_argument("--skip-unmatched", action="store_true", help="a file without a partner is no failure")
    again = group.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="skip what is finished and unchanged (default)")
    again.add_argument("--overwrite", action="store_true", help="do all again, and replace whatever is in the way")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary of success")


def are_inputs(args: argparse.Namespace, *inputs: str) -> bool:
    """Whether the inputs are folders.

    Raises InputError for one of each kind, and for options and outputs that go with the other kind.
    """
    folders = [path for path in inputs if os.path.isdir(path)]
    if folders and len(folders) < len(inputs):
        other = next(path for path in inputs if path not in folders)
        found = "an image file" if os.path.exists(other) else "not there"
        raise InputError(f"{folders[0]} is a folder but {other} is {found}; give two images or two folders")
    names = ("recursive", "suffix", "skip_unmatched", "resume", "overwrite")
    for name in () if folders else names:
        if getattr(args, name, None):
            raise InputError(f"--{name.replace('_', '-')} is for folders, and {inputs[0]} is none")
    if folders and Path(args.output).suffix.lower() in WRITABLE and not os.path.exists(args.output):
        raise InputError(f"{folders[0]} is a folder, so OUT is to be one, and {args.output} is named like an image")
    return bool(folders)


def run_fuse(args: argparse.Namespace) -> int:
    """Fuse two folders; the exit status is 0, or 1 if anything failed."""
    result = fuse_folders(args.a, args.b, args.output, skip_unmatched=args.skip_unmatched, **_keywords(args))
    return _summarise(result, args)


def run_enhance(args: argparse.Namespace) -> int:
    """Enhance a folder; the exit status is 0, or 1 if anything failed."""
    return _summarise(enhance_folder(args.x, args.output, strength=args.strength, **_keywords(args)), args)


def _keywords(args: argparse.Namespace) -> dict[str, Any]:
    same = ("recursive", "suffix", "overwrite", "page", "model", "device", "dtype")
    chosen = {name: getattr(args, name) for name in same} | prepare.chosen(args) | execution.chosen(args)
    return chosen | {"progress": not args.quiet, "report": _tell}


def _tell(line: str) -> None:
    tqdm.write(f"gifnet: {line}", file=sys.stderr)


def _summarise(result: FolderResult, args: argparse.Namespace) -> int:
    if result.failed or not args.quiet:
        counts = f"{len(result.done)} done, {len(result.skipped)} skipped, {len(result.failed)} failed"
        _tell(f"{counts}; see {Path(args.output) / NAME}")
    return 1 if result.failed else 0
