"""Whole folders of images fused or enhanced."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..api import load
from ..checkpoints.format import file_sha256
from ..checkpoints.hub import BUNDLED, resolve
from ..errors import InputError
from ..files.atomic import remove_leftovers
from ..files.formats import WRITABLE
from ..fuser import Fuser
from .manifest import NAME, Manifest, locked
from .pairing import FolderFailure, Match, Pairing, pairs, singles
from .run import Conduct, Job, Report, Run, Task


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
    task = Task("fuse", Fuser.fuse, options, page)
    task.check_options()
    _check(out, (first, second), suffix)
    pairing = pairs(first, second, out, recursive, suffix)
    return _run(task, pairing, out, Conduct(overwrite, skip_unmatched, progress, report), model, device, dtype)


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
    task = Task("enhance", Fuser.enhance, {"strength": strength, **options}, page)
    task.check_options()
    _check(out, (folder,), suffix)
    pairing = singles(folder, out, recursive, suffix)
    return _run(task, pairing, out, Conduct(overwrite, False, progress, report), model, device, dtype)


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
    task: Task,
    pairing: Pairing,
    out: Path,
    conduct: Conduct,
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
        run = Run(task, fuser, sha256, out, manifest, conduct)
        finished = {match.output for match in pairing.matches if not conduct.overwrite and run.is_finished(match)}
        done, failures = run.work_through([Job(match) for match in pairing.matches if match.output not in finished])
    skipped = tuple(out / match.output for match in pairing.matches if match.output in finished)
    return FolderResult(tuple(done), skipped, (*failed, *failures), pairing.unmatched)


def _protect(inputs: Sequence[Path], matches: Sequence[Match], out: Path) -> None:
    """Refuse to replace an input, as may happen where an input folder lies in that of the results."""
    resolved = functools.cache(Path.resolve)  # folders are few, files may be many
    taken = {resolved(path.parent) / path.name for path in inputs}
    for target in (out / match.output for match in matches):
        if resolved(target.parent) / target.name in taken:
            raise InputError(f"{target}: would be an input and an output; give another folder for the results")
