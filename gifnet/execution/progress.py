"""Telling how far the work is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from ..options.values import Progress, Steps

BAR_DELAY = 2.0  # seconds before a progress bar appears unasked


@contextmanager
def reporter(progress: Progress, unit: str = "step") -> Iterator[Steps]:
    """What to call after every step with the number done and the number of all.

    A function is called itself. True: a bar on stderr, which counts in ``unit``. None: a bar, but only on a terminal
    and after two seconds.
    """
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not (sys.stderr and sys.stderr.isatty())):
        yield lambda done, steps: None
        return
    with tqdm(desc="gifnet", unit=unit, delay=0 if progress else BAR_DELAY, leave=bool(progress)) as bar:

        def report(done: int, steps: int) -> None:
            bar.total = steps
            bar.update(done - bar.n)

        yield report
