"""ONNX files beside gifnet: how far results differ, time and memory in onnxruntime, and how large files are.

    python benchmarks/onnx_files.py [--networks gifnet tita gifnet-fast] [--size 640x512] [--dtypes float32 float16]

Networks of which no weights are bundled have random ones. Both compute one pair on a CPU, in processes of their own
and on one thread; time is the processor's, memory the peak of onnxruntime's process. Ratios are of one run of this
script: figures of different runs are not comparable on a machine that does other work.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def child(task: dict[str, Any]) -> dict[str, float]:
    """One computation in a process of its own; its result lies in the folder afterwards."""
    a, b = np.random.default_rng(0).random((2, 1, 1, *task["size"]), np.float32)
    work = in_runtime(task["file"], a, b) if "file" in task else in_gifnet(task["network"], a, b)
    begun = time.process_time()
    fused = work()
    seconds, peak = time.process_time() - begun, peak_bytes()
    np.save(task["out"], fused)
    return {"seconds": seconds, "bytes": peak}


def in_runtime(file: str, a: Any, b: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a, "b": b})[0]


def in_gifnet(network: str, a: Any, b: Any) -> Any:
    import torch

    torch.set_num_threads(1)
    fuser = model(network)
    planes = torch.from_numpy(a), torch.from_numpy(b)
    return lambda: fuser.fuse_planes(*planes).numpy()


def model(name: str) -> Any:
    """With its bundled weights, or with random ones that make a result of every part."""
    import torch

    import gifnet
    from gifnet.networks import registered

    if registered()[name].weights:
        return gifnet.load(name, device="cpu", dtype="float32")
    torch.manual_seed(0)
    network = registered()[name].network(registered()[name].config()).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return gifnet.Fuser(network, "cpu", "float32")


def peak_bytes() -> int:
    """The most memory that this process has had; what Linux tells of a child's ``ru_maxrss`` may be its parent's."""
    import resource

    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(task: dict[str, Any]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", json.dumps(task)], capture_output=True, text=True, check=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["gifnet", "tita", "gifnet-fast"])
    parser.add_argument("--size", default="640x512", metavar="WIDTHxHEIGHT")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float16"])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(child(json.loads(args.child))))
        return
    import gifnet

    width, height = map(int, args.size.split("x"))
    print("| network | file | MB | largest difference | levels of 255 | time | gifnet's | ratio | memory |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for network in args.networks:
            task = {"size": [height, width], "out": str(Path(folder, "out.npy"))}
            own = measured(task | {"network": network})
            wanted = np.load(task["out"])
            for dtype in args.dtypes:
                file = Path(folder, f"{network}-{dtype}.onnx")
                gifnet.export_onnx(file, model(network), dtype=dtype)
                found = measured(task | {"file": str(file)})
                fused = np.load(task["out"])
                levels = np.abs((fused * 255).round() - (wanted * 255).round()).max()
                print(
                    f"| {network} | {dtype} | {file.stat().st_size / 1e6:.2f} | {np.abs(fused - wanted).max():.1e} "
                    f"| {levels:.0f} | {found['seconds']:.2f} s | {own['seconds']:.2f} s "
                    f"| {found['seconds'] / own['seconds']:.2f} | {found['bytes'] / 1e9:.2f} GB |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
