"""Frames a second of a grey and a colour image through Fuser.fuse, gifnet beside gifnet-fast, on this machine.

    python benchmarks/live.py [--sizes 640x512 1280x1024] [--models gifnet gifnet-fast] [--dtype float32] [--repeat 5]

Arrays of noise, uint8, colour included. The models take turns, and a row is the median: ratios are of one run. "cpu"
counts this process's own seconds on all cores, whatever else runs. A name of the registry without bundled weights runs
with random ones: what they are makes no difference to the time.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch

import gifnet
from gifnet.fuser import Fuser
from gifnet.networks import registered


def fuser_of(model: str, dtype: str) -> Fuser:
    """The model, or a network of that name with random weights."""
    known = registered().get(model)
    if known is None or known.weights is not None:
        return gifnet.load(model, device="cpu", dtype=dtype)
    torch.manual_seed(0)
    return Fuser(known.network(known.config()), "cpu", dtype, model)


def seconds(fuser: Fuser, a: Any, b: Any) -> tuple[float, float]:
    """Of one fusion: by the clock, and of processor time."""
    begun, used = time.perf_counter(), time.process_time()
    fuser.fuse(a, b, progress=False)
    return time.perf_counter() - begun, time.process_time() - used


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["640x512", "1280x1024"], metavar="WxH")
    parser.add_argument("--models", nargs="+", default=["gifnet", "gifnet-fast"], metavar="NAME")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    fusers = {model: fuser_of(model, args.dtype) for model in args.models}
    print(f"{torch.get_num_threads()} threads, {args.dtype}")
    heads = ("ms", 8), ("frames/s", 9), ("µs/pixel", 9), ("× first", 8), ("cpu ms", 8), ("× first", 8)
    print(f"{'pixels':>12} {'model':>14}", *(f"{head:>{width}}" for head, width in heads))
    rng = np.random.default_rng(0)
    for size in args.sizes:
        width, height = map(int, size.split("x"))
        a = rng.integers(0, 256, (height, width), dtype=np.uint8)
        b = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for fuser in fusers.values():
            seconds(fuser, a, b)  # threads started, memory mapped
        rows: dict[str, list[tuple[float, float]]] = {model: [] for model in fusers}
        for _ in range(args.repeat):
            for model, fuser in fusers.items():
                rows[model].append(seconds(fuser, a, b))
        medians = {
            model: [statistics.median(column) for column in zip(*row, strict=True)] for model, row in rows.items()
        }
        first = medians[args.models[0]]
        for model, (wall, cpu) in medians.items():
            print(
                f"{size:>12} {model:>14} {wall * 1e3:8.1f} {1 / wall:9.2f} {wall / width / height * 1e6:9.3f} "
                f"{first[0] / wall:8.1f} {cpu * 1e3:8.1f} {first[1] / cpu:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
