"""The record that a folder of results keeps of itself."""

import json
import os
import threading
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.atomic import atomic_path

NAME = "gifnet-manifest.jsonl"
_NO_RECORD = "is no record of gifnet's; move this file away (and its outputs, or overwrite them) to begin anew"
STATES = ("writing", "done", "failed")

Event = dict[str, Any]


class Manifest:
    """A file of one JSON object per line: what happened to each output, in order of time.

    An event has ``output`` (``path``, relative to the folder, and ``bytes`` once they are known) and ``status``:
    ``"writing"`` (recorded before the output gets its name), ``"done"`` or ``"failed"``. Every line reaches the disk
    before the next step is taken, and a last line cut short by a kill counts for nothing. Opening the file drops what
    later events have made obsolete. ``append`` may be called from several threads.

    Raises InputError for a file that can't be read or written, or that is no manifest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: dict[str, list[Event]] = {}
        self._lock = threading.Lock()
        try:
            content = self._content()
            for number, line in enumerate(content.split(b"\n")[:-1], 1):  # what follows the last newline is torn
                self._remember(self._parse(line, number))
            compacted = b"".join(_line(event) for events in self._events.values() for event in events)
            if compacted != content:
                with atomic_path(path) as temporary:
                    temporary.write_bytes(compacted)
                    flush_to_disk(temporary)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise InputError(f"{path}: can't be opened ({error.strerror or error})") from error
        except RecursionError as error:  # one that could just be read
            raise InputError(f"{path}: what it holds {_NO_RECORD}") from error

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def finished(self, output: str) -> Event | None:
        """The last event of an output (its path as recorded), if that is "done"."""
        events = self._events.get(output)
        return events[-1] if events and events[-1]["status"] == "done" else None

    def sizes(self, output: str) -> set[int]:
        """The sizes in bytes that an output may have if what is there was written under this manifest."""
        return {event["output"]["bytes"] for event in self._events.get(output, []) if event["status"] != "failed"}

    def outputs(self) -> list[str]:
        """The paths of all outputs on record."""
        return list(self._events)

    def append(self, event: Event) -> None:
        """Record an event, on the disk too."""
        line = memoryview(_line(event))
        with self._lock:
            end = os.fstat(self._file).st_size
            try:
                while line:
                    line = line[os.write(self._file, line) :]
                os.fsync(self._file)
            except OSError as error:
                os.ftruncate(self._file, end)  # half a line would spoil the next
                raise InputError(f"{self.path}: can't be written ({error.strerror or error})") from error
            self._remember(event)

    def _content(self) -> bytes:
        """What the file holds; nothing where there is none. Raises InputError for what is no file of this folder."""
        if not os.path.lexists(self.path):
            return b""
        if self.path.is_symlink() or not self.path.is_file():
            raise InputError(f"{self.path}: is no regular file; move it away to begin anew")
        return self.path.read_bytes()

    def _remember(self, event: Event) -> None:
        """Keep what still matters: nothing before "done", and of failures the last."""
        path = event["output"]["path"]
        before = [] if event["status"] == "done" else self._events.get(path, [])
        self._events[path] = [*(old for old in before if old["status"] != "failed"), event]

    def _parse(self, line: bytes, number: int) -> Event:
        try:
            event: Event = json.loads(line)
            status, output = event["status"], event["output"]
            if status not in STATES or not _is_inside(output["path"]):
                raise ValueError
            if status != "failed" and not (type(output["bytes"]) is int and output["bytes"] >= 0):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{self.path}: line {number} {_NO_RECORD}") from error
        return event


def _is_inside(path: object) -> bool:
    """Whether it is the path of something within the folder, as a record has it."""
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    form = Path(path)
    return not form.anchor and ".." not in form.parts


def _line(event: Event) -> bytes:
    return json.dumps(event).encode("ascii") + b"\n"  # ASCII, for it holds file names that are no valid Unicode too


def flush_to_disk(path: Path) -> None:
    """Return once the file's content would survive a loss of power."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
