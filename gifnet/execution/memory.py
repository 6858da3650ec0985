"""How much memory there is, and how amounts of it are shown."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

ROOT = Path("/")  # of the system's files
UNKNOWN = 4_000_000_000  # bytes, where the system does not say
# Of memory.stat: what the system takes back by itself when memory is wanted.
_CACHE = ("inactive_file", "active_file", "slab_reclaimable")
_ALLOCATOR_S_WORDS = ("not enough memory", "can't allocate memory", "out of memory")
_TOTAL_CACHE = ("total_inactive_file", "total_active_file")  # of version 1, subgroups included


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device: a GPU's, or the RAM that this process may still take."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return max(0, min([_system_memory(), *_group_memory(), *_process_memory()]))  # a GPU of MPS shares it


def _system_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # not Linux
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # what others take is not known
    except (AttributeError, OSError, ValueError):
        return UNKNOWN  # Windows


def _process_memory() -> list[int]:
    """What a limit of the process's own address space (``ulimit -v``) leaves, if there is one."""
    if sys.platform == "win32":
        return []
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return []
    with suppress(OSError, ValueError, IndexError):
        return [limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()]
    return [limit // 2]  # what is taken of it is not known


def _group_memory() -> list[int]:
    """What the limits of the process's control group leave, and of all groups above it: a container's, a service's.

    What the group's files hold in the page cache is free: the system drops it when memory is wanted.
    """
    left: list[int] = []
    for folder, version in _groups():
        names = ("memory.max", "memory.high") if version == 2 else ("memory.limit_in_bytes",)
        used = _number(folder / ("memory.current" if version == 2 else "memory.usage_in_bytes"))
        if used is None:
            continue
        used -= min(used, _cached(folder, version))
        limits = [limit for name in names if (limit := _number(folder / name)) is not None]
        left += [limit - used for limit in limits]
    return left


def _groups() -> Iterator[tuple[Path, int]]:
    """The folders of the process's control groups that limit memory, from its own upwards, and their version."""
    paths: dict[int, str] = {}
    for line in _lines("proc/self/cgroup"):  # number:controllers:path
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers == "" or "memory" in controllers.split(","):
            paths[1 if controllers else 2] = path
    for line in _lines("proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        if version not in paths or (version == 1 and "memory" not in kind[-1].split(",")):
            continue
        # The mount may show only a part of the hierarchy, from its field "root" on.
        top, shown, path = ROOT / fields[4].lstrip("/"), fields[3].rstrip("/"), paths[version]
        inside = path[len(shown) :] if (path + "/").startswith(shown + "/") else ""
        folder = top / inside.strip("/")
        if ".." in Path(inside).parts or not folder.is_dir():  # of another namespace
            folder = top
        while True:
            yield folder, version
            if folder == top:
                break
            folder = folder.parent


def _lines(name: str) -> list[str]:
    try:
        return (ROOT / name).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []  # not Linux


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):  # no such file, or "max"
        return int(path.read_text())
    return None


def _cached(folder: Path, version: int) -> int:
    values: dict[str, int] = {}
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            values[name] = int(value)
    names = _TOTAL_CACHE if version == 1 and _TOTAL_CACHE[0] in values else _CACHE
    return sum(values.get(name, 0) for name in names)


def show_bytes(count: int) -> str:
    """As people write it: 1.5 GB, 300 MB, 1 KB, 12 bytes."""
    if count >= 999.5e6:
        return f"{count / 1e9:.1f} GB"
    for size, unit in ((1e6, "MB"), (1e3, "KB")):
        if count >= 0.9995 * size:
            return f"{round(count / size)} {unit}"
    return f"{count} bytes"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had: Python's and NumPy's, torch's on a GPU and on a processor."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _ALLOCATOR_S_WORDS)
