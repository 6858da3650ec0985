"""oneDNN keeps few shapes where gifnet comes first, as many as the user says, and the environment stays as it was."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")

# Convolutions of many shapes, and the first one again: is it still there?
CONVOLUTIONS = """
import os, sys
import torch
if sys.argv[1] == "late":
    torch.conv2d(torch.zeros(2, 8, 9, 9), torch.zeros(8, 8, 3, 3))
import gifnet
before = {name: value for name, value in os.environ.items() if "CACHE_CAPACITY" in name}
gifnet.load("gifnet", "cpu")
assert {name: value for name, value in os.environ.items() if "CACHE_CAPACITY" in name} == before
for width in [*range(20, 20 + 300), 20]:
    print("WIDTH", width, flush=True)
    torch.conv2d(torch.zeros(2, 8, 9, width), torch.zeros(8, 8, 3, 3))
"""

# A convolution as wide as GIFNet's of 1,000 shapes: megabytes of memory asked for after 200 of them, and in the end.
SHAPES = """
import re
import torch
import gifnet
gifnet.load("gifnet", "cpu")
weights = torch.zeros(98, 98, 3, 3)
for index in range(1000):
    with torch.inference_mode():
        torch.conv2d(torch.zeros(2, 98, 6 + index // 50, 10 + index % 50), weights)
    if index in (199, 999):
        print(int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def output(code: str, *arguments: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if "PRIMITIVE_CACHE" not in name} | variables
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "variables", "kept"),
    [
        ("gifnet", {}, False),
        ("gifnet", {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "4096"}, True),
        ("gifnet", {"DNNL_PRIMITIVE_CACHE_CAPACITY": "4096"}, True),
        ("late", {}, True),
    ],
)
def test_what_is_kept(first: str, variables: dict[str, str], kept: bool) -> None:
    text = output(CONVOLUTIONS, first, ONEDNN_VERBOSE="profile", **variables)
    *_, last = text.split("WIDTH ")
    assert re.match(r"20\n", last)
    (found,) = re.findall(r"create:cache_(hit|miss),cpu,convolution", last)
    assert found == ("hit" if kept else "miss")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_sizes_that_vary_take_less_memory() -> None:
    few, many = (
        [int(line) for line in output(SHAPES, OMP_NUM_THREADS="1", **variables).split()]
        for variables in ({}, {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1024"})
    )
    assert few[1] - few[0] < 0.5 * (many[1] - many[0])
