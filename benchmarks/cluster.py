"""How folders scale over processes of one thread each, on this machine.

    python benchmarks/cluster.py [--processes 1 2 4] [--pairs 24] [--size 640x512] [--dask] [--model gifnet]
                                 [--repeat 2] [--json FILE]

Each row fuses the same folder of pairs, and is a process of its own: without an executor, with one thread and with all
cores; then over 1, 2 and 4 spawned processes (and with --dask, workers of a LocalCluster) of one thread each. Workers
have fused a few pairs before the clock starts, so that importing torch and loading the model, which a long run does
once, are shown apart ("start"). Of several repeats the quickest counts. The files of all rows must be the same, byte
for byte. Ratios are of one run of this script, to one process with one thread; more processes than cores can't help.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WARM = 3  # pairs for each worker before the clock starts


def make_pairs(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Pairs of noise: the network takes as long for noise as for photographs."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    width, height = size
    for name, channels in (("a", ()), ("b", (3,))):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, *channels), dtype=np.uint8)
            Image.fromarray(coarse).resize(size).save(folder / name / f"{index:04}.png")


@contextmanager
def workers(kind: str, count: int) -> Iterator[Any]:
    """An executor of so many processes; None: no executor."""
    if kind == "here":
        yield None
    elif kind == "processes":
        with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
            yield pool
    else:
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


def child(task: dict[str, Any]) -> dict[str, Any]:
    """One row: the seconds of each repeat, and of what comes before."""
    import gifnet

    folder, options = Path(task["folder"]), {"model": task["model"], "device": "cpu", "progress": False}
    begun = time.perf_counter()
    with workers(task["kind"], task["count"]) as executor:
        gifnet.fuse_folders(folder / "warm/a", folder / "warm/b", folder / "warm/out", executor=executor,
                            overwrite=True, **options)  # fmt: skip
        start, seconds = time.perf_counter() - begun, []
        for _ in range(task["repeat"]):
            begun = time.perf_counter()
            result = gifnet.fuse_folders(folder / "a", folder / "b", folder / task["out"], executor=executor,
                                         overwrite=True, **options)  # fmt: skip
            seconds.append(time.perf_counter() - begun)
            assert not result.failed, result.failed
    return {"start": start, "seconds": min(seconds), "all": seconds}


def measure(threads: int, **task: Any) -> dict[str, Any]:
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(task)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{task}: {done.stderr.strip() or done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def differing(folders: list[Path]) -> list[str]:
    """Names of results that are not the same in all folders."""
    names = sorted(path.name for path in folders[0].glob("*.png"))
    return [name for name in names if len({(folder / name).read_bytes() for folder in folders}) > 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--size", default="640x512", metavar="WxH")
    parser.add_argument("--dask", action="store_true", help="workers of a LocalCluster too")
    parser.add_argument("--model", default="gifnet")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each row, of which the quickest counts")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(child(json.loads(args.child))))
        return

    width, height = map(int, args.size.split("x"))
    kinds = ["processes", *(["dask"] if args.dask else [])]
    here = dict.fromkeys([("here", 1, 1), ("here", 1, cores())])
    plan = [*here, *((kind, count, 1) for kind in kinds for count in args.processes)]
    print(f"{cores()} cores, {args.pairs} pairs of {args.size}, model {args.model}")
    print(f"{'':>10} {'processes':>9} {'threads':>7} {'start s':>8} {'seconds':>8} {'pairs/min':>9} {'ratio':>6}")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pairs(folder, args.pairs, (width, height))
        make_pairs(folder / "warm", WARM * max(args.processes), (64, 64))
        for number, (kind, count, threads) in enumerate(plan):
            task = {"folder": name, "model": args.model, "repeat": args.repeat, "out": f"out{number}"}
            row = {"kind": kind, "count": count, "threads": threads}
            row |= measure(threads, kind=kind, count=count, **task)
            rows.append(row)
            row["ratio"] = rows[0]["seconds"] / row["seconds"]
            rate = 60 * args.pairs / row["seconds"]
            print(
                f"{kind:>10} {count:>9} {threads:>7} {row['start']:8.1f} {row['seconds']:8.2f} {rate:9.1f} "
                f"{row['ratio']:6.2f}",
                flush=True,
            )
        unlike = differing([folder / f"out{number}" for number in range(len(plan))])
    print("the files of all rows are the same" if not unlike else f"files that differ: {', '.join(unlike)}")
    if args.json:
        report = {"cores": cores(), "pairs": args.pairs, "size": args.size, "rows": rows, "unlike": unlike}
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.exit(bool(unlike))


if __name__ == "__main__":
    main()
