"""A folder that one process at a time works in."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: int) -> None:
        os.lseek(file, 1 << 20, os.SEEK_SET)  # beyond the text, which others may read
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # some network file systems


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Hold the file ``path``, which names this process, while the block runs; then it is removed.

    The system lets go of it when the process ends, however that comes about: the file of a dead process is taken over.
    Where a file system has no locks, there is none.

    Raises InputError, naming the file, where another process (or another thread) holds it; ``work`` is what it does.
    """
    file = _hold(path, work)
    try:
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        with suppress(OSError):  # where an open file can't be removed, it is taken over next time
            path.unlink()
        os.close(file)


def _hold(path: Path, work: str) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _try_lock(file)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return file
            os.lseek(file, 0, os.SEEK_SET)
            owner = os.read(file, 20)
            os.close(file)
            process = f"process {owner.decode('ascii', 'replace').strip() or '(starting)'}"
            raise InputError(f"{path}: {process} {work} here; wait for its end, or give another folder") from error
        # Its last owner may have removed the file between the opening and the locking: then it is nobody's.
        if path.exists() and os.path.samestat(os.fstat(file), os.stat(path)):
            return file
        os.close(file)
