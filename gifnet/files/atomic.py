"""Files that appear whole or not at all."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\.gifnet-[0-9a-f]{16}(\.\w+)?")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` (same suffix) that takes its place when the block ends without an error.

    The block is to write a file there. On an error it is removed, and whatever was at ``path`` is left as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".gifnet-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of ``atomic_path`` that processes killed meanwhile have left in ``folder``."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
