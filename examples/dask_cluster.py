"""A scene larger than memory, fused by several processes of this machine: a Dask cluster like any other.

    python examples/dask_cluster.py fused.zarr --size 20000                 # two workers of 4 GB each
    python examples/dask_cluster.py fused.zarr --size 4000 --workers 1 --memory 2GB

The scene is made up as it is read, chunk by chunk; put your own arrays there (dask.array.from_zarr, rioxarray's
open_rasterio with chunks=). The result is written as it is made: nothing of the scene's size is ever in memory. Prints
how long it took, and the most memory that each worker had. Needs gifnet[dask] and zarr.
"""

import argparse
import resource
import sys
import time

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster, progress

import gifnet


def made_up(block_info: dict, infrared: bool) -> np.ndarray:
    """A chunk of a scene (h, w), uint8: waves and fields that both images show, and what only one of them does."""
    (top, bottom), (left, right) = block_info[None]["array-location"]
    y, x = np.arange(top, bottom)[:, None], np.arange(left, right)
    waves = np.sin(x / 17) * np.cos(y / 23) + np.sin((x + y) / (5 if infrared else 90))
    fields = ((y // 300) * 7919 + (x // 400) * 104729) % 11 / 11
    hot = 1.5 * ((x % 900 < 40) & (y % 700 < 40)) if infrared else 0
    return (255 * (waves / 8 + fields / 2 + 0.25 + hot).clip(0, 1)).astype(np.uint8)


def scene(size: int, chunk: int, infrared: bool) -> da.Array:
    """Size × size pixels, made up when a chunk is needed."""
    chunks = da.core.normalize_chunks(chunk, (size, size))
    return da.map_blocks(made_up, dtype=np.uint8, chunks=chunks, infrared=infrared, meta=np.empty((0, 0), np.uint8))


def most_memory() -> int:
    """Bytes of this process at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Fuse and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="the result, a Zarr array")
    parser.add_argument("--size", type=int, default=20000, help="pixels a side")
    parser.add_argument("--chunk", type=int, default=2048, help="pixels a side of a chunk")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--memory", default="4GB", help="of each worker")
    parser.add_argument("--model", default="gifnet", help="as for gifnet.load")
    args = parser.parse_args()

    fused = gifnet.fuse(
        scene(args.size, args.chunk, infrared=True), scene(args.size, args.chunk, infrared=False), model=args.model
    )
    with (
        LocalCluster(
            n_workers=args.workers, threads_per_worker=1, memory_limit=args.memory, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        print(f"{args.size}×{args.size} pixels; the dashboard: {client.dashboard_link}")
        start = time.perf_counter()
        written = client.persist(fused.to_zarr(args.out, compute=False, overwrite=True))
        progress(written, notebook=False)
        client.gather(client.compute(written))
        print(f"\nfused in {time.perf_counter() - start:.1f} s")
        for worker, count in client.run(most_memory).items():
            print(f"{worker}: at most {count / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
