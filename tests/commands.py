"""The command line as users meet it, a process: started as they do, or forked from one that has gifnet loaded."""

import multiprocessing
import multiprocessing.process
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run_fresh(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m gifnet`` with these arguments and variables, and the seconds that importing torch takes."""
    return subprocess.run(
        [sys.executable, "-m", "gifnet", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **environment},
    )  # fmt: skip


def run(*arguments: object, seconds: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """As ``run_fresh``, but where forking is safe the process has imported gifnet and loaded its model before.

    Raises subprocess.TimeoutExpired after that many seconds.
    """
    if sys.platform != "linux":
        return run_fresh(*arguments, **environment)
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder, "out"), Path(folder, "err")
        process = forked(_command_line, words, os.getcwd(), {**os.environ, **environment}, *map(str, logs))
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, seconds)
        out, err = (log.read_text() for log in logs)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(words, process.exitcode, out, err)


def forked(function: Callable[..., object], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """A function under way in a process that has imported gifnet and loaded its model before. On Linux only."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["command_server"])
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def _command_line(words: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    """One command in a folder and an environment; all that it says goes into files, decoders in C included."""
    for descriptor, log in enumerate((out, err), 1):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    from gifnet.cli import main

    sys.exit(main(words))
