"""The command line as users meet it, a process: started as they do, or forked from one that has gifnet loaded."""

import multiprocessing
import multiprocessing.process
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
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
    return Command(*arguments, **environment).result(seconds)


def run_code(code: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``python -c`` in a folder; where forking is safe the process has imported torch before, but not gifnet."""
    return _Process(_code, code, ["-c", code], folder or Path.cwd()).result()


def run_new(code: str, *arguments: object) -> str:
    """What ``python -c`` with these arguments prints, in a process that shares nothing with others, memory neither."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


class _Process:
    """A process under way, its output in files: a function's in one that is forked where that is safe, else Python's.

    ``python`` are the arguments of the latter; ``environment`` are variables that differ from this process's.
    """

    def __init__(
        self,
        function: Callable[[Any], object],
        argument: object,
        python: list[str],
        folder: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._python, self._logs = python, tempfile.TemporaryDirectory()
        paths = [os.path.join(self._logs.name, name) for name in ("out", "err")]
        variables = {**os.environ, **(environment or {})}
        self._forked = self._started = None
        if sys.platform == "linux":
            self._forked = forked(_in_place, function, argument, str(folder), variables, paths)
        else:
            with open(paths[0], "w") as out, open(paths[1], "w") as err:
                words = [sys.executable, *python]
                self._started = subprocess.Popen(words, stdout=out, stderr=err, cwd=folder, env=variables)

    def is_alive(self) -> bool:
        return self._forked.is_alive() if self._forked else bool(self._started and self._started.poll() is None)

    def send_signal(self, number: int) -> None:
        process = self._forked or self._started
        if process and process.pid and self.is_alive():
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(process.pid, number)

    def result(self, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Its status and output, once it has ended.

        Raises subprocess.TimeoutExpired, and ends it, after that many seconds.
        """
        with self._logs as logs:
            try:
                status = self._wait(seconds)
            except subprocess.TimeoutExpired:
                self.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
                self._wait(seconds)
                raise
            paths = (Path(logs, name) for name in ("out", "err"))
            out, err = (path.read_text() if path.exists() else "" for path in paths)  # it may be killed before both
        return subprocess.CompletedProcess(self._python, status, out, err)

    def _wait(self, seconds: float) -> int:
        if self._started:
            return self._started.wait(seconds)
        assert self._forked
        self._forked.join(seconds)
        if self._forked.exitcode is None:
            raise subprocess.TimeoutExpired(self._python, seconds)
        return self._forked.exitcode


class Command(_Process):
    """A command under way; where forking is safe, in a process that has imported gifnet and loaded its model before."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        words = [str(argument) for argument in arguments]
        super().__init__(_command_line, words, ["-m", "gifnet", *words], Path.cwd(), environment)


def forked(function: Callable[..., object], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """A function under way in a process that has imported gifnet and loaded its model before. On Linux only."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["command_server"])
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def _in_place(
    function: Callable[[object], object], argument: object, folder: str, variables: dict[str, str], logs: list[str]
) -> None:
    """A function in a folder and an environment; all that it says goes into files, decoders in C included."""
    for descriptor, log in enumerate(logs, 1):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    function(argument)


def _command_line(words: list[str]) -> None:
    from gifnet.cli import main

    sys.exit(main(words))


def _code(code: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("gifnet", "huggingface_hub")]:
        del sys.modules[name]
    exec(code, {"__name__": "__main__"})
