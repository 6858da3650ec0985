"""How much memory there is, and how amounts of it are shown."""

import os
from contextlib import suppress
from pathlib import Path

import torch

CGROUPS = (  # limit and use, of version 2 and of version 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
UNKNOWN = 4_000_000_000  # bytes, where the system does not say


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device: a GPU's, or the RAM that this process may still take."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return _system_memory()  # which the GPU shares
    return min([_system_memory(), *_cgroup_memory()])


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


def _cgroup_memory() -> list[int]:
    """What a container's limit leaves, if there is one."""
    left = []
    for limit, use in CGROUPS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            left.append(int(limit.read_text()) - int(use.read_text()))
    return left


def show_bytes(count: int) -> str:
    """As people write it: 1.5 GB, 300 MB, 1 KB, 12 bytes."""
    if count >= 999.5e6:
        return f"{count / 1e9:.1f} GB"
    for size, unit in ((1e6, "MB"), (1e3, "KB")):
        if count >= 0.9995 * size:
            return f"{round(count / size)} {unit}"
    return f"{count} bytes"
