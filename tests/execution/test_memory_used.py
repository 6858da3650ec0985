"""What a process really takes is no more than the plan says that it chose."""

import json
import sys
from pathlib import Path

import commands
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says of a process's memory"),
]

FUSE = """
import json, sys
from pathlib import Path

import numpy as np
import torch

from gifnet.fuser import Fuser
from gifnet.networks import registered
from gifnet.options.values import parse_bytes


def peak():  # not ru_maxrss, which a process inherits from who started it
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


folder, name, tile, memory, height, width = sys.argv[1:]
height, width, tile = int(height), int(width), tile if tile == "auto" else int(tile)
network = registered()[name]
fuser = Fuser(network.network(network.config()), "cpu", "float32")
for image in "ab":
    made = np.memmap(Path(folder, image), np.uint8, "w+", shape=(height, width))
    made[:] = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    made.flush()
    del made
a, b = (np.memmap(Path(folder, image), np.uint8, "r", shape=(height, width)) for image in "ab")
out = np.memmap(Path(folder, "out"), np.uint8, "w+", shape=(height, width))
before = peak()
fuser.fuse(a, b, out=out, tile=tile, memory=memory, progress=False)
plan = fuser._form.make_plan(height, width, parse_bytes(memory), tile)
print(json.dumps([peak() - before, plan.bytes, plan.tile]))
"""


@pytest.mark.parametrize(
    ("name", "tile", "memory", "height", "width"),
    [
        ("gifnet", "auto", "600MB", 768, 1024),
        ("gifnet", 128, "2GB", 512, 768),
        ("gifnet-fast", 256, "1GB", 2000, 3000),
        ("gifnet-fast", "auto", "200MB", 2000, 3000),
        ("tita", "auto", "600MB", 512, 768),
        ("tita", 128, "2GB", 512, 768),
    ],
)
def test_no_more_than_planned(name: str, tile: int | str, memory: str, height: int, width: int, tmp_path: Path) -> None:
    """The mapped files' pages, which the system may take back at any time, count as the process's too."""
    taken, planned, size = json.loads(commands.run_new(FUSE, tmp_path, name, tile, memory, height, width))
    assert size is None or size < max(height, width)
    assert taken - 3 * height * width <= planned
