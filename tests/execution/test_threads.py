"""Threads: the same bits from any number, nothing of the caller's touched, none left behind or waited for."""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pytest
import torch
from conftest import photo
from PIL import Image

import gifnet
from gifnet import Fuser
from gifnet.batch.pipeline import overlapped
from gifnet.execution import threads
from gifnet.execution.plan import Plan
from gifnet.execution.shares import planned
from gifnet.execution.threads import Threads, alone, can_use_one_core
from gifnet.networks.gifnet import GIFNet

unix = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, "cpu", "float32")


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(0).random((2, 70, 150), dtype=np.float32)
    return a, b


@pytest.fixture(autouse=True)
def torch_s_number() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def own() -> list[threading.Thread]:
    """The threads of gifnet that are alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("gifnet")]


def assert_none_left(seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while own() and time.monotonic() < until:
        gc.collect()
        time.sleep(0.01)
    assert own() == []


# --- the same bits, nothing touched -------------------------------------------------------------------


def test_any_number_of_threads_gives_the_same_bits(fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]) -> None:
    results = []
    for number in (1, 2, 3, 20):
        torch.set_num_threads(number)
        results.append(fuser.fuse(*pair))
        assert torch.get_num_threads() == number
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_a_stack_gives_the_same_bits_with_any_number_of_threads(fuser: Fuser) -> None:
    images = [np.random.default_rng(seed).random((200, 300), dtype=np.float32) for seed in range(3)]
    results = []
    for number in (1, 4):
        torch.set_num_threads(number)
        results.append(fuser.fuse(*images))
    np.testing.assert_array_equal(*results)


def test_a_model_is_the_same_whatever_number_of_threads_folds_it(
    small_network: GIFNet, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    results = []
    for number in (1, 4):
        torch.set_num_threads(number)
        results.append(Fuser(small_network, "cpu", "float32").fuse(*pair))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("calls", [15, pytest.param(80, marks=pytest.mark.slow)])
def test_calls_at_the_same_time_give_what_one_gives_and_others_threads_are_left_alone(
    fuser: Fuser, pair: tuple[np.ndarray, np.ndarray], calls: int
) -> None:
    alone_ = fuser.fuse(*pair)
    foreign: list[int] = []
    done = threading.Event()

    def begin_threads() -> None:
        while len(foreign) < 40 * calls or not done.is_set():
            thread = threading.Thread(target=lambda: foreign.append(torch.get_num_threads()))
            thread.start()
            thread.join()

    watching = threading.Thread(target=begin_threads)
    watching.start()
    with ThreadPoolExecutor(4) as pool:
        callers = list(pool.map(lambda _: (fuser.fuse(*pair), torch.get_num_threads()), range(calls)))
    done.set()
    watching.join()
    assert set(foreign) == {4}
    for result, number in callers:
        np.testing.assert_array_equal(result, alone_)
        assert number == 4


def test_the_number_that_torch_is_told_reaches_threads_to_come(
    fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    torch.set_num_threads(3)
    fuser.fuse(*pair)
    numbers: list[int] = []
    thread = threading.Thread(target=lambda: numbers.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert (numbers, torch.get_num_threads()) == ([3], 3)


@pytest.mark.skipif(not can_use_one_core(), reason="torch's libraries can't be looked into here")
def test_own_threads_compute_on_one_core() -> None:
    assert alone(torch.get_num_threads) == 1
    if torch.backends.mkl.is_available():
        with Threads(1, "gifnet") as one:
            assert "mkl_get_max_threads() : 1\n" in one.submit(torch.__config__.parallel_info).result()
    assert torch.get_num_threads() == 4


def test_without_settings_of_its_own_torch_s_threads_do_it(
    fuser: Fuser, pair: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fuser.fuse(*pair)
    monkeypatch.setattr(threads, "_own_settings", tuple)
    started: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", lambda self: started.append(self.name))
    np.testing.assert_allclose(fuser.fuse(*pair), expected, rtol=0, atol=1e-6)  # torch may sum in another order
    assert started == []


# --- no threads to be had -----------------------------------------------------------------------------


def no_threads_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system allows so many more threads of gifnet's at a time."""
    start = threading.Thread.start

    def limited(self: threading.Thread) -> None:
        if self.name.startswith("gifnet") and len(own()) >= count:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_where_threads_cannot_be_started_the_work_is_done_nevertheless(
    count: int, fuser: Fuser, pair: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fuser.fuse(*pair)
    no_threads_after(count, monkeypatch)
    # Without any thread torch splits operations itself, and may sum in another order.
    np.testing.assert_allclose(fuser.fuse(*pair), expected, rtol=0, atol=1e-6 if count == 0 else 0)
    written: list[tuple[int, int]] = []
    jobs = overlapped(range(9), lambda job: job, lambda job, read: read + 1, lambda *job: written.append(job))
    assert list(jobs) == [(job, None) for job in range(9)]
    assert written == [(job, job + 1) for job in range(9)]
    assert_none_left()


def test_folders_are_fused_without_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folders(tmp_path, 3)
    no_threads_after(0, monkeypatch)
    result = gifnet.fuse_folders(tmp_path / "a", tmp_path / "b", tmp_path / "out", progress=False, device="cpu")
    assert (len(result.done), result.failed) == (3, ())


# --- interrupts ---------------------------------------------------------------------------------------


def interrupted(work: Callable[[], object], after: float) -> bool:
    """Interrupt work in this thread after some seconds, as Ctrl-C does; whether it was still at it."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        try:
            work()
        except KeyboardInterrupt:
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return False
    except KeyboardInterrupt:  # in the last moment
        return True
    finally:
        signal.signal(signal.SIGALRM, before)


def interrupt_calls(fuser: Fuser, pair: tuple[np.ndarray, np.ndarray], times: int) -> None:
    expected = fuser.fuse(*pair)
    start = time.monotonic()
    fuser.fuse(*pair)
    takes = time.monotonic() - start
    moments = np.random.default_rng(1)
    hits = 0
    for _ in range(times):
        start = time.monotonic()
        hits += interrupted(lambda: fuser.fuse(*pair), moments.uniform(1e-4, 1.1 * takes))
        assert time.monotonic() - start < 5 + 2 * takes
    assert hits > times / 3
    assert_none_left()
    np.testing.assert_array_equal(fuser.fuse(*pair), expected)


@unix
def test_a_call_can_be_interrupted_at_any_moment(fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]) -> None:
    interrupt_calls(fuser, pair, 25)


@unix
@pytest.mark.slow
def test_a_call_can_be_interrupted_at_any_moment_often(fuser: Fuser, pair: tuple[np.ndarray, np.ndarray]) -> None:
    interrupt_calls(fuser, pair, 500)


@unix
def test_waiting_can_be_interrupted_at_any_moment() -> None:
    """The waits alone, where ``concurrent.futures`` and ``threading.Condition`` leave locks taken now and then."""
    moments = np.random.default_rng(2)
    cpu = torch.device("cpu")
    plan = Plan(None, (), bytes=1)

    def wait() -> None:
        for _ in range(1000):
            workers.submit(time.sleep, 1e-5).result()
            with planned(cpu, 0, lambda others: plan):
                pass

    with Threads(2, "gifnet-test") as workers:
        assert sum(interrupted(wait, moments.uniform(2e-5, 2e-4)) for _ in range(3000)) == 3000
    assert_none_left()


@unix
@pytest.mark.parametrize("call", ["start", "join", "_started.wait"])
def test_an_interrupt_while_threads_start_or_end_leaves_none(
    call: str, fuser: Fuser, pair: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 4):  # of the thread at which it comes
        calls = 0
        original: Any = threading.Event.wait if call == "_started.wait" else getattr(threading.Thread, call)

        def interrupting(self: Any, *arguments: Any, original: Any = original, number: int = number) -> Any:
            nonlocal calls
            own_ = call == "_started.wait" or self.name.startswith("gifnet")
            calls += own_
            if own_ and calls == number:
                raise KeyboardInterrupt
            return original(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(
                threading.Event if call == "_started.wait" else threading.Thread, call.split(".")[-1], interrupting
            )
            with pytest.raises(KeyboardInterrupt):
                fuser.fuse(*pair)
        assert_none_left()


def make_folders(place: Path, count: int) -> None:
    for seed, name in enumerate("ab"):
        (place / name).mkdir()
        for index in range(count):
            Image.fromarray(photo(48, 64, 0, seed=10 * index + seed)).save(place / name / f"{index}.png")


def run_calls(ready: str) -> None:
    """Fuse again and again, in a process of its own."""
    torch.set_num_threads(4)
    a, b = np.random.default_rng(0).random((2, 70, 150), dtype=np.float32)
    fuser = gifnet.load(device="cpu")
    Path(ready).touch()
    while True:
        fuser.fuse(a, b)


def run_folders(ready: str) -> None:
    """The command line on two folders, in a process of its own."""
    from gifnet.cli import main

    torch.set_num_threads(4)
    place = Path(ready).parent
    Path(ready).touch()
    sys.exit(main(["fuse", str(place / "a"), str(place / "b"), "-o", str(place / "out"), "--overwrite", "--quiet"]))


def interrupt_processes(place: Path, work: Callable[[str], None], times: int) -> None:
    moments = np.random.default_rng(2)
    make_folders(place, 6)
    for index in range(times):
        ready = place / f"ready{index}"
        process = commands.forked(work, str(ready))
        try:
            until = time.monotonic() + 120
            while not ready.exists():
                assert process.is_alive(), process.exitcode
                assert time.monotonic() < until
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.3))
            assert process.pid is not None
            if process.is_alive():
                os.kill(process.pid, signal.SIGINT)
            process.join(20)
            assert not process.is_alive(), "it did not end when it was interrupted"
            assert process.exitcode in (0, 1, 130, -signal.SIGINT)
        finally:
            if process.is_alive():
                process.kill()
                process.join()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
@pytest.mark.parametrize("work", [run_calls, run_folders])
def test_an_interrupted_process_ends(work: Callable[[str], None], tmp_path: Path) -> None:
    interrupt_processes(tmp_path, work, 5)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
@pytest.mark.parametrize("work", [run_calls, run_folders])
def test_an_interrupted_process_ends_every_time(work: Callable[[str], None], tmp_path: Path) -> None:
    interrupt_processes(tmp_path, work, 100)


def test_threads_end_with_the_last_that_could_give_them_work() -> None:
    pool = Threads(2, "gifnet-test")
    pool.__enter__()  # and never left
    assert len(own()) == 2
    del pool
    assert_none_left()
