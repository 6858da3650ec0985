"""Files that appear whole or not at all."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

_TEMPORARY = re.compile(r"\.gifnet-[0-9a-f]{16}(\.\w+)?")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` (same suffix) that takes its place when the block ends without an error.

    The block is to write a file there. On an error it is removed, and whatever was at ``path`` is left as it was.
    A file that is replaced keeps its permissions. Of a symbolic link, the file that it points to is replaced.

    Raises InputError where there is a pipe, a device or a socket.
    """
    path = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: is no regular file; give another name")
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else None
    temporary = path.with_name(f".gifnet-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of ``atomic_path`` that processes killed meanwhile have left in ``folder``."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
