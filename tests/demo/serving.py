"""The page in a process of its own, as its users have it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def served(*command: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The page in a process of its own: its address, and the process, which is ended."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert "the page is at http" in line, line
        yield line.split()[5], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
