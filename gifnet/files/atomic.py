"""Files that appear whole or not at all."""

import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import InputError
from .lock import is_abandoned, owned

_TEMPORARY = re.compile(r"(\.gifnet-[0-9a-f]{16})(\.\w+)?")
_OWNER = ".lock"  # suffix of the file that a temporary file's owner holds
LONG_AGO = 7 * 24 * 3600  # seconds without a change, after which no process can still be writing


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` (same suffix) that takes its place when the block ends without an error.

    The block is to write a file there. On an error it is removed, and whatever was at ``path`` is left as it was.
    A file that is replaced keeps its permissions. Of a symbolic link, the file that it points to is replaced.
    Meanwhile a second file beside it, with a lock, says that this process is at work.

    Raises InputError where there is a pipe, a device or a socket.
    """
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: is no regular file; give another name")
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else None
    name = f".gifnet-{secrets.token_hex(8)}"
    temporary = path.with_name(name + path.suffix)
    with owned(path.with_name(name + _OWNER)):
        try:
            yield temporary
            if mode is not None:
                temporary.chmod(mode)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


class Staged:
    """``atomic_path`` for a file that another process writes: its temporary ``path`` is taken here, until either end.

    Raises InputError as ``atomic_path`` does, and OSError.
    """

    def __init__(self, target: Path) -> None:
        self._block = ExitStack()
        self.path = self._block.enter_context(atomic_path(target))

    def publish(self) -> None:
        """Have what was written at ``path`` take the target's place. Raises OSError, where nothing was written too."""
        self._block.close()

    def discard(self) -> None:
        """Remove what was written, if it was; the target stays as it was."""
        with suppress(OSError):
            self._block.__exit__(_Discarded, _Discarded(), None)


class _Discarded(Exception):
    """Ends the block of a file that is not wanted any more."""


def is_awaited(temporary: Path) -> bool:
    """Whether the block of ``atomic_path`` that gave this temporary path still runs, in whatever process."""
    return temporary.with_suffix(_OWNER).exists()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of ``atomic_path`` in ``folder`` whose process has been killed.

    Those of living processes stay. So do those whose process can't be known, for it ran on another machine or the file
    system has no locks, unless they have not been written to for a week.
    """
    groups: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match and path.is_file() and not path.is_symlink():
            groups.setdefault(match[1], []).append(path)
    for name, paths in groups.items():
        abandoned = is_abandoned(folder / (name + _OWNER))
        if abandoned or (abandoned is None and all(map(_is_old, paths))):
            # The owner's file last: without it, a temporary file is nobody's.
            for path in sorted(paths, key=lambda path: path.suffix == _OWNER):
                with suppress(OSError):
                    path.unlink()


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > LONG_AGO
    except FileNotFoundError:
        return False
