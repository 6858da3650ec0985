"""What ``gifnet fuse`` and ``gifnet enhance`` have in common where their inputs are folders."""

import argparse
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..batch.executors import connected
from ..batch.folders import FolderResult
from ..batch.manifest import NAME
from ..errors import InputError, escaped
from ..execution.progress import say
from ..files.formats import WRITABLE, check_suffix
from ..options.declarations import OVERWRITE, PAIRS, PATTERN, RECURSIVE, SCHEDULER, SKIP_UNMATCHED, SUFFIX, Option
from ..options.values import ExecutorLike
from .flags import WrongUsage, add_options

ENHANCING: tuple[Option[Any], ...] = (RECURSIVE, SUFFIX, OVERWRITE)
FUSING: tuple[Option[Any], ...] = (*ENHANCING, SKIP_UNMATCHED, PATTERN, PAIRS)


def add_folder_options(parser: argparse.ArgumentParser, options: Iterable[Option[Any]]) -> None:
    """Add the flags for folders, and ``--resume``, which is what happens without ``--overwrite``."""
    group = parser.add_argument_group("folders", "for inputs that are folders; OUT is one then, made where need be")
    again = group.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="skip what is finished and unchanged (default)")
    for option in (*options, SCHEDULER):
        add_options(again if option is OVERWRITE else group, option)


@contextmanager
def workers_of(scheduler: str | None) -> Iterator[ExecutorLike | None]:
    """What ``--scheduler`` names, for ``executor=``; None without it. Raises InputError as ``connected`` does."""
    if scheduler is None:
        yield None
        return
    with connected(scheduler) as client:
        if not client.nthreads():
            tell(f"the scheduler at {scheduler} has no workers yet; waiting for them")
        yield client


def are_folders(inputs: Iterable[str], output: str, given: Iterable[str]) -> bool:
    """Whether the inputs are folders; if not, OUT must have the suffix of an image.

    Raises WrongUsage for one of each kind, and for flags (``given``, those for folders) and outputs that go with the
    other kind.
    """
    inputs = list(inputs)
    folders = [path for path in inputs if os.path.isdir(path)]
    if not folders:
        refuse(given, f"{inputs[0]} is none")
        check_file_output(output)
        return False
    if len(folders) < len(inputs):
        other = next(path for path in inputs if path not in folders)
        found = "an image file" if os.path.exists(other) else "not there"
        raise WrongUsage(f"{folders[0]} is a folder but {other} is {found}; give two images or two folders")
    if Path(output).suffix.lower() in WRITABLE and not os.path.exists(output):
        raise WrongUsage(f"{folders[0]} is a folder, so OUT is to be one, and {output} is named like an image")
    return True


def refuse(given: Iterable[str], reason: str) -> None:
    """Raise WrongUsage if any flag for folders was given."""
    for name in given:
        raise WrongUsage(f"--{name.replace('_', '-')} is for folders, and {reason}")


def check_file_output(output: str) -> None:
    """Raise WrongUsage unless the suffix is that of an image that gifnet writes."""
    try:
        check_suffix(output)
    except InputError as error:
        raise WrongUsage(str(error)) from error


def tell(line: str) -> None:
    """Say something on stderr, beside a progress bar if there is one."""
    say(f"gifnet: {escaped(line)}")


def summarise(result: FolderResult, output: str, quiet: bool) -> int:
    """Say what was done. Returns the exit status: 0, or 1 if anything failed."""
    if result.failed or not quiet:
        counts = f"{len(result.done)} done, {len(result.skipped)} skipped, {len(result.failed)} failed"
        tell(f"{counts}; see {Path(output) / NAME}")
    return 1 if result.failed else 0
