"""Time and memory of gifnet, beside the plain form of the network, on this machine.

    python benchmarks/speed.py [--sizes 640x512 1920x1080 6000x4000] [--dtypes float32 bfloat16] [--memory 2GB]
                               [--network tita] [--json FILE] [--repeat 3]

Each row is a process of its own, which fuses planes of random noise in memory-mapped files, as large rasters are; its
peak memory is the whole process's, above that of ``import torch``. The baseline is the network's plain form as the
paper's code runs it: NCHW, both branches throughout, in one piece, float32; it is run at the sizes where its
activations, about 8 kB a pixel, fit; gifnet-fast's plain form is the one that runs. A network of which no weights are
bundled has random ones. Ratios are of one run of this script: figures of different runs are not comparable on a machine
that does other work.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BASELINE_BYTES = 8_000  # a pixel
FLOP = {"gifnet": 1.29e6, "tita": 3.5e6, "gifnet-fast": 3.8e4}  # a pixel, folded: beside the machine's matmul rate


def child(task: dict[str, Any]) -> dict[str, float]:
    """One row, measured in a process of its own."""
    import torch

    start = peak_bytes()
    if task["what"] == "matmul":
        return {"rate": matmul_rate(getattr(torch, task["dtype"]))}
    width, height = task["size"]
    seconds = (baseline if task["what"] == "baseline" else gifnet_fuse)(width, height, task)
    return {"seconds": min(seconds), "bytes": peak_bytes() - start}


def matmul_rate(dtype: Any) -> float:
    """FLOP/s of a large matrix product."""
    import torch

    a = torch.rand(2048, 2048).to(dtype)
    rates = []
    for _ in range(8):
        begun = time.perf_counter()
        a @ a
        rates.append(2 * 2048**3 / (time.perf_counter() - begun))
    return max(rates)


def plain_network(name: str) -> Any:
    """The network's plain form, with its bundled weights if there are any."""
    import torch

    from gifnet.checkpoints.hub import load_model
    from gifnet.networks import registered

    network = registered()[name]
    if network.weights:
        return load_model(name)[0]
    torch.manual_seed(0)
    return network.network(network.config()).eval()


def baseline(width: int, height: int, task: dict[str, Any]) -> list[float]:
    import torch

    network = plain_network(task["network"])
    a, b = torch.rand(2, 1, 1, height, width)
    seconds = []
    with torch.inference_mode():
        for _ in range(task["repeat"]):
            begun = time.perf_counter()
            network(a, b)
            seconds.append(time.perf_counter() - begun)
    return seconds


def gifnet_fuse(width: int, height: int, task: dict[str, Any]) -> list[float]:
    import numpy as np

    from gifnet.fuser import Fuser

    fuser = Fuser(plain_network(task["network"]), task["device"], task["dtype"])
    seconds = []
    with tempfile.TemporaryDirectory(dir=task["folder"]) as folder:
        rng = np.random.default_rng(0)
        images = []
        for name in ("a", "b", "out"):
            image = np.memmap(Path(folder, name), np.uint8, "w+", shape=(height, width))
            for top in range(0, height if name != "out" else 0, 256):
                image[top : top + 256] = rng.integers(0, 256, image[top : top + 256].shape, dtype=np.uint8)
            image.flush()
            images.append(np.memmap(Path(folder, name), np.uint8, "r+", shape=(height, width)))
            del image
        for _ in range(task["repeat"]):
            begun = time.perf_counter()
            tiles = {"tile": None} if task["untiled"] else {"memory": task["memory"]}
            fuser.fuse(images[0], images[1], out=images[2], progress=False, **tiles)
            seconds.append(time.perf_counter() - begun)
    return seconds


def peak_bytes() -> int:
    """The most memory that this process has had (Linux: of RAM, kilobytes; macOS: bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(**task: Any) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(task)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{task}: {done.stderr.strip() or done.returncode}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def start_seconds(*command: str) -> float:
    """The quickest of five runs of a Python process."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["640x512", "1920x1080", "6000x4000"], metavar="WxH")
    parser.add_argument("--network", default="gifnet", choices=list(FLOP))
    parser.add_argument("--untiled", action="store_true", help="in one piece, whatever memory that takes")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--memory", default=None, help="as for gifnet.fuse; default: what is free")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--baseline-limit", default="8GB", help="no baseline where it takes more")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each row, of which the quickest counts")
    parser.add_argument("--folder", default=None, help="of the temporary images")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(child(json.loads(args.child))))
        return

    from gifnet.options.values import parse_bytes

    limit = parse_bytes(args.baseline_limit)
    start = {"torch": start_seconds("-c", "import torch"), "gifnet info": start_seconds("-m", "gifnet", "info")}
    rates = {dtype: measure(what="matmul", dtype=dtype)["rate"] for dtype in args.dtypes}
    report: dict[str, Any] = {
        "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "memory": args.memory,
        "network": args.network,
        "matmul": rates, "start": start, "rows": [],
    }  # fmt: skip
    print(f"{report['cores']} cores; matmul " + ", ".join(f"{d} {r / 1e9:.0f} GFLOP/s" for d, r in rates.items()))
    print(f"start: import torch {start['torch']:.2f} s, gifnet info {start['gifnet info']:.2f} s")
    print(f"{'pixels':>12} {'':>9} {'seconds':>8} {'µs/pixel':>8} {'MB':>6} {'× baseline':>10} {'of matmul':>9}")
    first: dict[str, float] = {}
    for size in args.sizes:
        width, height = map(int, size.split("x"))
        common = {"size": (width, height), "repeat": args.repeat, "folder": args.folder, "network": args.network}
        rows = []
        if width * height * BASELINE_BYTES <= limit:
            rows.append(("baseline", measure(what="baseline", **common)))
        for dtype in args.dtypes:
            task = {"dtype": dtype, "memory": args.memory, "device": args.device, "untiled": args.untiled}
            rows.append((dtype, measure(what="gifnet", **common, **task)))
        plain = dict(rows).get("baseline", {}).get("seconds")
        for name, row in rows:
            row |= {"pixel": row["seconds"] / (width * height), "width": width, "height": height}
            ratio = share = ""
            if name != "baseline":
                row["of_matmul"] = FLOP[args.network] / row["pixel"] / rates[name]
                row["to_first_size"] = row["pixel"] / first.setdefault(name, row["pixel"])
                share = f"{row['of_matmul']:.0%}"
                if plain:
                    row["baseline_ratio"] = plain / row["seconds"]
                    ratio = f"{row['baseline_ratio']:.1f}"
            report["rows"].append({"name": name, **row})
            print(
                f"{size:>12} {name:>9} {row['seconds']:8.2f} {row['pixel'] * 1e6:8.2f} {row['bytes'] / 1e6:6.0f} "
                f"{ratio:>10} {share:>9}",
                flush=True,
            )
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
