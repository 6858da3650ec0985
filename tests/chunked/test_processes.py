"""Real processes: a Dask cluster of this machine's, and a worker that dies."""

import os
import runpy
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from conftest import ROOT, photo, random_network
from dask.distributed import Client, LocalCluster

import gifnet
from gifnet.chunked import parts


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST", 64)


@pytest.fixture(scope="module")
def fuser() -> gifnet.Fuser:
    return gifnet.Fuser(random_network(growth=4, position_hidden=8))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=tmp_path, memory_limit="2GB"
        ) as workers,
        Client(workers) as client,
    ):
        yield client


def test_a_client_in_this_process(small_parts: None, fuser: gifnet.Fuser, tmp_path: Path) -> None:
    """Tasks, statistics and the model through a scheduler; inputs that are persisted, too."""
    a, b = (photo(130, 140, 0, seed) for seed in (0, 1))
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client,
    ):
        lazy = [client.persist(da.from_array(a, chunks=64)), da.from_array(b, chunks=70)]
        fused = fuser.fuse(*lazy).compute()
    assert np.abs(fused.astype(int) - fuser.fuse(a, b)).max() <= 1


@pytest.mark.slow
def test_a_killed_worker_s_work_is_done_again(small_parts: None, fuser: gifnet.Fuser, cluster: Client) -> None:
    a, b = (photo(600, 640, 0, seed) for seed in (0, 1))
    fused = fuser.fuse(da.from_array(a, chunks=64), da.from_array(b, chunks=64))
    victim = next(iter(cluster.run(os.getpid).values()))
    future = cluster.compute(fused)
    deadline = time.monotonic() + 300
    while not _second_pass_begun(cluster) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not future.done()
    os.kill(victim, signal.SIGKILL)
    result = future.result(timeout=500)
    assert victim not in cluster.run(os.getpid).values()
    assert np.abs(result.astype(int) - fuser.fuse(a, b)).max() <= 1


def _second_pass_begun(client: Client) -> bool:
    """Whether a worker holds what a part said in the second pass."""
    return any("pass-2" in str(key) for keys in client.has_what().values() for key in keys)


@pytest.mark.slow
def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fused.zarr"
    path = str(ROOT / "examples" / "dask_cluster.py")
    monkeypatch.setattr("sys.argv", [path, str(out), "--size", "520", "--chunk", "260", "--memory", "2GB"])
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path))
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        module = runpy.run_path(path, run_name="example")
        module["main"]()
    assert capsys.readouterr().out.count("at most") == 2
    a, b = (module["scene"](520, 260, infrared).compute(scheduler="synchronous") for infrared in (True, False))
    fused = da.from_zarr(str(out)).compute(scheduler="synchronous")
    assert np.abs(fused.astype(int) - gifnet.fuse(a, b)).max() <= 1
