"""How much memory there is, and how people write amounts of it."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import torch

from ..errors import InputError

Memory: TypeAlias = int | str | None  # an option: bytes, a text such as "2GB", or what is free

UNITS = {"": 1, "b": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgt", 1)
    for suffix, base in (("b", 1000), ("", 1000), ("ib", 1024))
}
CGROUPS = (  # limit and use, of version 2 and of version 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
UNKNOWN = 4_000_000_000  # bytes, where the system does not say


def parse_bytes(memory: int | float | str) -> int:
    """An amount of memory in bytes: a number, or a text such as ``"2GB"``, ``"1.5 GiB"`` or ``"500M"``.

    Raises InputError for anything else, and for nothing.
    """
    count = memory if isinstance(memory, (int, float)) and not isinstance(memory, bool) else 0.0
    if isinstance(memory, str):
        match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([a-z]*)", memory.strip().lower())
        if match and match[2] in UNITS:
            count = float(match[1]) * UNITS[match[2]]
    if not 1 <= count < 2**63:
        raise InputError(f"memory: {memory!r}; give bytes, or a text such as '2GB' or '500 MiB'")
    return int(count)


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
    """As people write it: 1.5 GB, 300 MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
