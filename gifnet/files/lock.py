"""Locks of files: a folder that one process at a time works in, and whether a file's owner is still at work.

The system lets go of a lock when its process ends, however that comes about, so neither a process number that is used
again nor a crash misleads anybody. Two things a lock can't say: whether it reaches the other machines that share a
folder, for some network file systems keep locks to themselves, and anything where a file system has none.
"""

import errno
import os
import platform
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from ..errors import InputError

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int, wait: bool) -> None:
        os.lseek(file, 1 << 20, os.SEEK_SET)  # beyond the text, which others may read
        msvcrt.locking(file, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # by somebody else


@cache
def machine() -> str:
    """What names the running system, one line: on Linux its boot, which all containers of a machine share."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return f"{platform.node()} {uuid.getnode():x}".strip()


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Hold the file ``path``, which names this process and machine, while the block runs; then it is removed.

    The file of a dead process is taken over. Where a file system has no locks, there is none.

    Raises InputError, naming the file, where another process (or another thread) holds it, of which ``work`` says what
    it does, and where the file can't be made.
    """
    file = _hold(path, work)
    try:
        _sign(file)
        yield
    finally:
        _let_go(file, path)


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Hold the file ``path``, of a name that nobody else chooses, while the block runs; then it is removed.

    Others learn from ``is_abandoned`` whether the block still runs.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        _try(file, wait=True)
        if _is_at(file, path):  # nobody has taken the file for a dead one's before it was locked
            break
        os.close(file)
    try:
        _sign(file)
        yield
    finally:
        _let_go(file, path)


def is_abandoned(path: Path) -> bool | None:
    """Whether the block of ``owned(path)`` has ended without removing the file; None where that can't be known.

    It is known of processes of this machine, on file systems with locks.
    """
    try:
        file = os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        held = _try(file, wait=False)
        if not held:
            return None if held is None else False
        os.lseek(file, 0, os.SEEK_SET)
        signed = os.read(file, 200).decode("utf-8", "replace").splitlines()
        # One that is empty belongs to a process that ended, or is about to find its file gone, before it signed.
        return True if not signed or signed[1:] == [machine()] else None
    finally:
        os.close(file)


def _hold(path: Path, work: str) -> int:
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666)
        except OSError as error:
            raise InputError(f"{path}: can't be made or opened ({error.strerror})") from error
        if _try(file, wait=False) is False:
            os.lseek(file, 0, os.SEEK_SET)
            owner = os.read(file, 200).decode("utf-8", "replace").splitlines()
            os.close(file)
            process = f"process {owner[0]}" if owner else "a process that is just starting"
            where = "" if owner[1:] in ([], [machine()]) else " on another machine"
            raise InputError(f"{path}: {process}{where} {work} here; wait for its end, or give another folder")
        if _is_at(file, path):
            return file
        os.close(file)


def _try(file: int, wait: bool) -> bool | None:
    """Lock an open file: whether that was possible, None where the file system has no locks."""
    try:
        _lock(file, wait)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file is still what lies at ``path``: its last owner may have removed it before it was locked."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _sign(file: int) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, f"{os.getpid()}\n{machine()}\n".encode())


def _let_go(file: int, path: Path) -> None:
    with suppress(OSError):  # where an open file can't be removed (Windows)
        path.unlink()
    os.close(file)
    if sys.platform == "win32":
        with suppress(OSError):
            path.unlink()
