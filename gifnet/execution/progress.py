"""Telling how far the work is, on stderr. It may be closed, missing or full: what is said never stops the work."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tqdm import tqdm

from ..options.values import Progress, Steps

BAR_DELAY = 2.0  # seconds before a progress bar appears unasked


class _Stderr:
    """What ``sys.stderr`` is at the time; what it can't take is dropped."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        with suppress(Exception):  # streams of others' making raise anything
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(Exception):
            sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether a person may see it."""
        with suppress(Exception):
            return bool(sys.stderr.isatty())
        return False

    def fileno(self) -> int:
        """For the terminal's width. OSError where there is none."""
        try:
            return int(sys.stderr.fileno())
        except Exception as error:
            raise OSError("stderr has no file") from error


STDERR: Any = _Stderr()


def bar(**options: Any) -> Any:
    """A progress bar of tqdm's, with its options, on stderr."""
    return tqdm(file=STDERR, **options)


def say(line: str) -> None:
    """A line on stderr, beside a progress bar if there is one."""
    tqdm.write(line, file=STDERR)


def occupy_closed_streams() -> None:
    """Have nothing stand in for stdin, stdout and stderr where they are closed, lest the next file opened does.

    What a decoder in C remarks on stderr would be written into it.
    """
    while (nowhere := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(nowhere)


def drop_unwritable_stderr() -> None:
    """Let go of what stderr could not take: Python would try once more in the end, and report that as a failure."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except Exception:
        with suppress(Exception):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)


@contextmanager
def reporter(progress: Progress, unit: str = "step") -> Iterator[Steps]:
    """What to call after every step with the number done and the number of all.

    A function is called itself. True: a bar on stderr, which counts in ``unit``. None: a bar, but only on a terminal
    and after two seconds.
    """
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not STDERR.isatty()):
        yield lambda done, steps: None
        return
    with bar(desc="gifnet", unit=unit, delay=0 if progress else BAR_DELAY, leave=bool(progress)) as shown:

        def report(done: int, steps: int) -> None:
            shown.total = steps
            shown.update(done - shown.n)

        yield report
