"""Folders over a Dask cluster, and over processes of a plain script: workers that are really others."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_executors import assert_done, kill_at, weights
from test_folders import Place, put

import gifnet
from gifnet import InputError
from gifnet.batch.manifest import NAME

__all__ = ["weights"]  # a fixture
pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path, weights: Path) -> Place:
    return Place(tmp_path, weights, count=6)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local:
        yield local


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    import distributed

    with distributed.Client(cluster, set_as_default=False) as one:
        yield one


# --- a cluster in this test's hands ---------------------------------------------------------------


def test_a_client_is_an_executor(place: Place, client: Any) -> None:
    (place.b / "5.png").write_bytes(b"damaged")
    told: list[tuple[int, int]] = []
    result = place.fuse(executor=client, progress=lambda done, count: told.append((done, count)))
    assert [path.name for path in result.done] == [f"{index}.png" for index in range(5)]
    assert str(place.b / "5.png") in result.failed[0].reason
    assert told == [(done, 6) for done in range(1, 7)]
    put(place.b / "5.png", seed=105)
    result = place.fuse(executor=client)
    assert (len(result.skipped), len(result.done)) == (5, 1)
    assert_done(place, 6)
    assert len(place.fuse(executor=client, overwrite=True).done) == 6, "the same call gives the same answer, anew"
    assert client.run(lambda: len(__import__("gifnet.models").models._models)) == dict.fromkeys(client.nthreads(), 1), (
        "each worker has loaded its model once"
    )


def test_workers_of_several_threads_and_in_this_process(place: Place) -> None:
    import distributed

    with distributed.Client(processes=False, n_workers=1, threads_per_worker=3, dashboard_address=None) as client:
        assert len(place.fuse(executor=client).done) == 6
    assert_done(place, 6)


def test_killed_workers_lose_nothing(tmp_path: Path, weights: Path, client: Any) -> None:
    place = Place(tmp_path, weights, count=0)
    for index in range(14):
        put(place.a / f"{index}.png", index, 160, 240)
        put(place.b / f"{index}.png", index + 100, 160, 240)
    killed: list[int] = []

    def kill(done: int, count: int) -> None:
        if done in (3, 8):
            pid = next(iter(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    result = place.fuse(executor=client, progress=kill)
    assert (len(killed), len(result.done), result.failed) == (2, 14, ())
    assert_done(place, 14)


def test_a_pair_that_kills_workers_is_given_up(place: Place) -> None:
    """And those that Dask had given the same worker are not."""
    import dask
    import distributed

    class Killing(distributed.WorkerPlugin):
        def setup(self, worker: Any) -> None:
            kill_at("3.png", None)

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        client.register_plugin(Killing())
        result = place.fuse(executor=client)
    assert len(result.done) == 5
    (failure,) = result.failed
    assert failure.name == "3"
    assert "given up" in failure.reason
    assert "KilledWorker" in failure.reason
    assert len(place.fuse().done) == 1
    assert_done(place, 6)


def test_an_asynchronous_client_is_refused(place: Place, cluster: Any) -> None:
    import asyncio

    import distributed

    async def fuse() -> None:
        async with distributed.Client(cluster.scheduler_address, asynchronous=True) as client:
            place.fuse(executor=client)

    with pytest.raises(InputError, match="asynchronous"):
        asyncio.run(fuse())


# --- a scheduler and workers as users start them --------------------------------------------------


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """``dask scheduler`` and ``dask worker`` as processes: the address, and the scheduler before its workers."""
    found = folder / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_"]
    one_thread = ["--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    commands = [[f"{dask[0]}", "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--host",
                 "127.0.0.1", "--scheduler-file", str(found)]]  # fmt: skip
    commands += [[dask[0], "-m", "distributed.cli.dask_worker", "--scheduler-file", str(found), *one_thread]] * workers
    with open(folder / "cluster.log", "wb") as log:
        running = [subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) for command in commands]
        try:
            until = time.monotonic() + 120
            while not found.exists() and time.monotonic() < until:
                time.sleep(0.05)
            import json

            yield json.loads(found.read_text())["address"], running
        finally:
            for process in reversed(running):
                process.terminate()
            for process in running:
                process.wait(60)


def command(place: Place, address: str, *more: str) -> list[str]:
    arguments = ("fuse", place.a, place.b, "-o", place.out, "--model", place.model, "--device", "cpu")
    return [sys.executable, "-m", "gifnet", *map(str, arguments), "--scheduler", address, *more]


def test_the_command_line_and_a_killed_caller(place: Place, tmp_path: Path) -> None:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    for index in range(6, 20):
        put(place.a / f"{index}.png", index, 160, 240)
        put(place.b / f"{index}.png", index + 100, 160, 240)
    with dask_cluster(cluster) as (address, (_, worker, *_)):
        with subprocess.Popen(command(place, address, "--quiet"), stderr=subprocess.PIPE) as caller:
            until = time.monotonic() + 200
            while caller.poll() is None and time.monotonic() < until:
                if (place.out / NAME).exists() and (place.out / NAME).read_bytes().count(b'"done"') >= 3:
                    break
                time.sleep(0.01)
            caller.send_signal(signal.SIGKILL)
        assert caller.returncode == -signal.SIGKILL
        worker.kill()  # and the other one does the rest
        done = subprocess.run(command(place, address), capture_output=True, text=True, timeout=580, check=False)
        assert done.returncode == 0, done.stderr
        assert " skipped, 0 failed" in done.stderr
        assert " 0 skipped" not in done.stderr
        again = subprocess.run(command(place, address), capture_output=True, text=True, timeout=580, check=False)
        assert "0 done, 20 skipped, 0 failed" in again.stderr
    assert_done(place, 20)


def test_a_scheduler_that_is_not_there(place: Place) -> None:
    result = subprocess.run(
        command(place, "tcp://127.0.0.1:9"), capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("gifnet: --scheduler tcp://127.0.0.1:9: no Dask scheduler answers")
    assert not place.out.exists()


def test_a_scheduler_that_goes_away_ends_the_run(place: Place, tmp_path: Path) -> None:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    with dask_cluster(cluster, workers=0) as (address, (scheduler,)):
        with subprocess.Popen(command(place, address), stderr=subprocess.PIPE, text=True) as caller:
            until = time.monotonic() + 120
            while not (place.out / NAME).exists() and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(1)
            scheduler.kill()
            _, err = caller.communicate(timeout=120)
        assert caller.returncode == 1, err
    assert "waiting for them" in err
    assert sorted(os.listdir(place.out)) == [NAME]


# --- processes of a script ------------------------------------------------------------------------

SCRIPT = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import gifnet

def main():
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        result = gifnet.fuse_folders(*sys.argv[1:4], executor=pool, model=sys.argv[4], device="cpu", progress=False)
    print(len(result.done), len(result.failed))

{call}
"""


def run_script(place: Place, call: str) -> "subprocess.CompletedProcess[str]":
    script = place.a.parent / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).format(call=call))
    arguments = [sys.executable, str(script), *map(str, (place.a, place.b, place.out, place.model))]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=580, check=False)


def test_a_plain_script_with_spawned_processes(place: Place) -> None:
    result = run_script(place, 'if __name__ == "__main__":\n    main()')
    assert (result.returncode, result.stdout) == (0, "6 0\n"), result.stderr
    assert_done(place, 6)


def test_a_script_that_forgets_its_guard_is_told(place: Place) -> None:
    result = run_script(place, "main()")
    assert result.returncode == 1
    assert "InputError: executor: its workers end before anything is done" in result.stderr
    assert '__name__ == "__main__"' in result.stderr.splitlines()[-1]
    assert sorted(os.listdir(place.out)) == [NAME]


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to groups")
def test_ctrl_c_ends_a_script_and_its_processes(place: Place) -> None:
    for index in range(6, 40):
        put(place.a / f"{index}.png", index, 160, 240)
        put(place.b / f"{index}.png", index + 100, 160, 240)
    script = place.a.parent / "script.py"
    script.write_text(SCRIPT.format(call='if __name__ == "__main__":\n    main()'))
    arguments = [sys.executable, str(script), *map(str, (place.a, place.b, place.out, place.model))]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        timer = threading.Timer(200, lambda: os.killpg(process.pid, signal.SIGKILL))
        timer.start()
        while process.poll() is None:
            if (place.out / NAME).exists() and (place.out / NAME).read_bytes().count(b'"done"') >= 3:
                break
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, err = process.communicate()
        timer.cancel()
    assert "KeyboardInterrupt" in err
    done = [name for name in os.listdir(place.out) if name.endswith(".png") and name[0] != "."]
    assert 3 <= len(done) < 40
    assert not [name for name in os.listdir(place.out) if name.startswith(".gifnet")]
    result = gifnet.fuse_folders(place.a, place.b, place.out, model=place.model, device="cpu", progress=False)
    assert (len(result.skipped), len(result.failed)) == (len(done), 0)
