"""Folders over executors: the same results and record, bounded, lost workers, interrupts, what can't be done."""

import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_folders import Place, pixels, put

import gifnet
from gifnet import InputError
from gifnet.batch import executors, worker
from gifnet.batch.manifest import NAME
from gifnet.batch.portable import portable
from gifnet.batch.task import Task
from gifnet.batch.worker import Assignment, Instructions, Report, process_images
from gifnet.checkpoints.format import save_weights
from gifnet.execution.running import Execution
from gifnet.files.atomic import Staged
from gifnet.networks.gifnet import GIFNet
from gifnet.prepare.preparation import Preparation

posix = pytest.mark.skipif(sys.platform != "linux", reason="kills and forks")


@pytest.fixture(scope="session")
def weights(small_network: GIFNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_weights(small_network, path)
    return path


@pytest.fixture
def place(tmp_path: Path, weights: Path) -> Place:
    return Place(tmp_path, weights)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def processes(count: int = 2, initializer: Callable[..., None] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """Of a server that has gifnet loaded, which saves the seconds of importing torch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["command_server"])
    return ProcessPoolExecutor(count, context, initializer, arguments)


def assert_done(place: Place, count: int) -> None:
    names = [f"{index}.png" for index in range(count)]
    assert sorted(os.listdir(place.out)) == sorted([*names, NAME])
    for name in names:
        np.testing.assert_array_equal(pixels(place.out / name), place.expected(name))


# --- results --------------------------------------------------------------------------------------


def test_files_and_record_are_those_of_one_process(place: Place, threads: ThreadPoolExecutor) -> None:
    put(place.a / "sub" / "7.png", seed=7)
    put(place.b / "sub" / "7.png", seed=8)
    (place.b / "1.png").write_bytes(b"damaged")
    records, results = [], []
    for executor, folder in ((None, "here"), (threads, "there")):
        place.out = place.a.parent / folder
        results.append(place.fuse(recursive=True, executor=executor))
        for event in (events := place.events()):
            assert event.pop("time") and event.pop("seconds") > 0  # noqa: PT018
        records.append(sorted(events, key=lambda event: (event["output"]["path"], event["status"])))
    here, there = results
    assert [path.relative_to(place.out) for path in there.done] == [
        path.relative_to(place.a.parent / "here") for path in here.done
    ]
    assert there.failed == here.failed
    assert records[0] == records[1]
    for path in there.done:
        assert path.read_bytes() == (place.a.parent / "here" / path.relative_to(place.out)).read_bytes()
    assert place.lines == [f"1: {here.failed[0].reason}"]
    assert len(place.fuse(recursive=True, executor=threads).skipped) == 3
    assert len(place.fuse(recursive=True).skipped) == 3, "a run here goes on with what workers did"


def test_relative_paths(
    place: Place, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (place.b / "1.png").write_bytes(b"damaged")
    shutil.copy(place.model, tmp_path / "w.safetensors")
    result = gifnet.fuse_folders(
        "ir", "vis", "out", executor=threads, model="w.safetensors", device="cpu", progress=False
    )
    assert [str(path) for path in result.done] == ["out/0.png", "out/2.png"]
    assert result.failed[0].reason.startswith("vis/1.png: ")


@posix
def test_processes_do_the_work_and_the_caller_the_record(place: Place) -> None:
    told: list[tuple[int, int]] = []
    with processes() as pool:
        first = place.fuse(executor=pool, progress=lambda done, count: told.append((done, count)))
        second = gifnet.enhance_folder(
            place.a, place.a.parent / "sharp", executor=pool, model=gifnet.load(place.model, "cpu"), progress=False
        )
    assert (len(first.done), first.failed, told) == (3, (), [(1, 3), (2, 3), (3, 3)])
    assert_done(place, 3)
    assert (len(second.done), second.failed) == (3, ())
    expected = gifnet.enhance(place.a / "1.png", model=place.model, device="cpu")
    np.testing.assert_array_equal(pixels(second.done[1]), expected)


# --- what is sent ---------------------------------------------------------------------------------


def test_what_is_sent_is_small_and_a_worker_keeps_its_model(place: Place) -> None:
    preparation = Preparation.checked(align=np.eye(3), stretch=(1, 99))
    source = portable(place.model, "cpu").source
    assert source is not None
    instructions = Instructions(Task("fuse", preparation, Execution(progress=False)), source)
    assignment = Assignment((place.a / "0.png", place.b / "0.png"), place.out / "x.png", place.out / "0.png")
    content = pickle.dumps((instructions, assignment))
    assert len(content) < 3000
    assert pickle.loads(content)[1] == assignment
    assert source.load() is source.load()


def test_a_million_pairs_are_not_given_out_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        """Ends its calls, which do nothing, a while after there are as many as there may be."""

        def __init__(self) -> None:
            self.waiting: list[Future[Report]] = []
            self.most = 0

        def submit(self, function: Any, instructions: Instructions, assignment: Assignment) -> Future[Report]:
            self.waiting.append(future := Future())
            self.most = max(self.most, len(self.waiting))
            if len(self.waiting) == 5:
                threading.Timer(0.05, self.end).start()
            return future

        def end(self) -> None:
            ended, self.waiting = self.waiting, []
            for future in ended:
                future.set_result(Report("failed", "nothing is done"))

    monkeypatch.setattr(executors, "FEWEST", 5)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    for index in range(3, 40):
        shutil.copy(place.a / "0.png", place.a / f"{index}.png")
        shutil.copy(place.b / "0.png", place.b / f"{index}.png")
    slow = Slow()
    assert len(place.fuse(executor=slow).failed) == 40
    assert slow.most == 5
    assert os.listdir(place.out) == [NAME]


# --- models ---------------------------------------------------------------------------------------


@posix
def test_a_model_in_memory_is_had_by_processes_too(place: Place, small_network: GIFNet) -> None:
    with processes(1) as pool:
        result = place.fuse(executor=pool, model=gifnet.Fuser(small_network, "cpu"))
    assert (len(result.done), result.failed) == (3, ())
    assert_done(place, 3)


def test_a_model_whose_file_is_gone(place: Place, threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    shutil.copy(place.model, copy)
    fuser = gifnet.load(copy, "cpu")
    copy.unlink()
    assert len(place.fuse(executor=threads, model=fuser).done) == 3
    assert_done(place, 3)
    assert len(place.fuse(model=place.model).skipped) == 3, "on record are the weights, not their place"


def test_what_can_not_be_sent_is_refused(place: Place, threads: ThreadPoolExecutor) -> None:
    class Mine(gifnet.Fuser):
        pass

    fuser = gifnet.load(place.model, "cpu")
    for model, kind in ((Mine(fuser.network, "cpu"), "a Mine"), (fuser.over_time(), "one of over_time")):
        with pytest.raises(InputError, match=f"model: {kind} can't be had in other processes"):
            place.fuse(model=model, executor=threads)
    with pytest.raises(InputError, match="model: a int"):
        place.fuse(model=1, executor=threads)
    with pytest.raises(InputError, match="toaster"):
        place.fuse(device="toaster", executor=threads)
    with pytest.raises(gifnet.CheckpointError, match="nonsense"):
        place.fuse(model="nonsense", executor=threads)
    assert not place.out.exists()


def test_a_device_that_only_workers_have(place: Place) -> None:
    """The caller may be a machine without GPUs; its workers say if they have none either."""
    model = portable(place.model, "cuda:7")
    assert (model.record.device, model.record.dtype) == ("cuda:7", "float16")
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match=r"executor: .*'cuda:7'.* process \d+"):
        place.fuse(executor=pool, device="cuda:7")


# --- workers that are not fit ---------------------------------------------------------------------


def assigned(place: Place) -> tuple[Instructions, Assignment, Staged]:
    place.out.mkdir()
    source = portable(place.model, "cpu").source
    assert source is not None
    task = Task("fuse", Preparation(), Execution(progress=False))
    file = Staged(place.out / "0.png")
    return Instructions(task, source), Assignment((place.a / "0.png", place.b / "0.png"), file.path, file.path), file


def test_unfit_workers_say_why(place: Place) -> None:
    instructions, assignment, file = assigned(place)
    for wrong, words in (
        (replace(instructions, gifnet="9.9"), "a worker has gifnet"),
        (replace(instructions, model=replace(instructions.model, sha256="0" * 64)), "its weights have SHA-256"),
        (replace(instructions, model=replace(instructions.model, name="/none.safetensors")), "no such file"),
    ):
        report = process_images(wrong, assignment)
        assert (report.state, words in report.reason) == ("unfit worker", True), report
    elsewhere = replace(assignment, inputs=(place.a / "none" / "0.png", place.b / "0.png"))
    assert "have all machines see it" in process_images(instructions, elsewhere).reason
    file.discard()
    assert os.listdir(place.out) == []


def test_a_worker_reads_images_as_large_as_the_caller_does(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    instructions, assignment, file = assigned(place)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert "decompression bomb" in process_images(instructions, assignment).reason
    report = process_images(replace(instructions, max_pixels=10_000), assignment)
    assert (report.state, Image.MAX_IMAGE_PIXELS) == ("written", 10_000)
    file.discard()


def test_nothing_is_written_that_nobody_waits_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    instructions, assignment, file = assigned(place)
    compute = Task.compute

    def late(self: Task, *arguments: Any) -> Any:
        file.discard()  # the caller has been interrupted meanwhile
        return compute(self, *arguments)

    monkeypatch.setattr(Task, "compute", late)
    assert process_images(instructions, assignment).state == "not awaited"
    assert process_images(instructions, assignment).state == "not awaited"
    assert os.listdir(place.out) == []


def test_a_process_has_its_part_of_the_memory(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from gifnet.batch import dispatch

    monkeypatch.setattr(dispatch, "free_memory", lambda device: 10_000_000_000)
    source = portable(place.model, "cpu").source
    assert source is not None
    task = Task("fuse", Preparation(), Execution(progress=False))
    assert dispatch._sharing_memory(task, source, 4).execution.memory == 1_750_000_000
    assert dispatch._sharing_memory(task, source, 1) is task
    given = replace(task, execution=Execution(memory=5))
    assert dispatch._sharing_memory(given, source, 4) is given
    assert dispatch._sharing_memory(task, replace(source, device="cuda"), 4) is task


# --- lost workers ---------------------------------------------------------------------------------


def kill_at(name: str, once: Path | None) -> None:
    """In a worker: have it killed when it has computed the image of this name; once only if ``once`` names a file."""
    write = Task.write

    def killing(self: Task, raster: Any, temporary: Path, target: Path) -> dict[str, int]:
        size = write(self, raster, temporary, target)
        if target.name == name and not (once and once.exists()):
            if once:
                once.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return size

    worker.Task.write = killing  # type: ignore[method-assign]


@posix
def test_a_killed_worker_s_pair_is_done_again(place: Place, tmp_path: Path) -> None:
    with processes(2, kill_at, "1.png", tmp_path / "killed") as pool:
        result = place.fuse(executor=pool)
    assert (tmp_path / "killed").exists()
    assert (len(result.done), result.failed) == (3, ())
    assert_done(place, 3)  # and no unfinished file of the dead
    assert [status for path, status in place.history() if path == "1.png"] == ["writing", "done"]


@pytest.mark.slow
@posix
def test_a_pair_that_kills_its_workers_is_given_up_by_name(place: Place) -> None:
    with processes(2, kill_at, "1.png", None) as pool:
        result = place.fuse(executor=pool)
    assert [path.name for path in result.done] == ["0.png", "2.png"]
    (failure,) = result.failed
    assert failure.reason.startswith(f"{place.out / '1.png'}: given up, for its worker was lost 3 times (BrokenProcess")
    assert ("1.png", "failed") in place.history()
    assert sorted(os.listdir(place.out)) == ["0.png", "2.png", NAME]
    assert [path.name for path in place.fuse().done] == ["1.png"]


def cannot_begin() -> None:
    raise RuntimeError("no library")


@pytest.mark.slow
@posix
def test_processes_that_never_begin_end_the_run(place: Place) -> None:
    with processes(1, cannot_begin) as pool, pytest.raises(InputError, match="workers end before anything is done"):
        place.fuse(executor=pool)
    assert os.listdir(place.out) == [NAME]


def test_a_job_that_others_cancel_is_done_again(place: Place) -> None:
    class Cancelling(ThreadPoolExecutor):
        calls = 0

        def submit(self, *arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls in (1, 3):
                future: Future[Any] = Future()
                future.cancel()
                return future
            return super().submit(*arguments, **options)

    with Cancelling(1) as pool:
        assert (len(place.fuse(executor=pool).done), pool.calls) == (3, 5)
    assert_done(place, 3)


class KilledWorker(Exception):
    """As Dask's: one that has lost several workers with the same job."""


@pytest.mark.parametrize(("error", "times"), [(KilledWorker, 2), (OSError, 3)])
def test_a_job_that_is_lost_again_and_again_is_given_up(place: Place, error: type[Exception], times: int) -> None:
    class Losing(ThreadPoolExecutor):
        def submit(self, *arguments: Any, **options: Any) -> Any:
            if arguments[2].target.name != "1.png":
                return super().submit(*arguments, **options)
            future: Future[Any] = Future()
            future.set_exception(error("gone"))
            return future

    with Losing(1) as pool:
        result = place.fuse(executor=pool)
    assert len(result.done) == 2
    (failure,) = result.failed
    assert (
        failure.reason
        == f"{place.out / '1.png'}: given up, for its worker was lost {times} times ({error.__name__}: gone)"
    )


# --- interrupts -----------------------------------------------------------------------------------


def test_an_interrupt_drops_what_is_not_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    compute = Task.compute

    def slow(self: Task, fuser: gifnet.Fuser, pictures: Any) -> Any:
        if pictures[0].name.endswith("1.png"):
            begun.set()
            assert go_on.wait(20)
        return compute(self, fuser, pictures)

    def stop(done: int, count: int) -> None:
        assert begun.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(Task, "compute", slow)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyboardInterrupt):
            place.fuse(executor=pool, progress=stop)
        assert sorted(os.listdir(place.out)) == ["0.png", NAME]
        go_on.set()
    assert sorted(os.listdir(place.out)) == ["0.png", NAME], "what was under way is not written"
    result = place.fuse()
    assert (len(result.skipped), len(result.done)) == (1, 2)


# --- executors ------------------------------------------------------------------------------------


@posix
def test_forked_processes_are_refused(place: Place) -> None:
    """PyTorch's threads are not forked with the process, and what waits for them never ends."""
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool,
        pytest.raises(InputError, match=r"executor: .*get_context\(\"spawn\"\)"),
    ):
        place.fuse(executor=pool)


def test_executors_that_can_not_be_used(place: Place) -> None:
    class Strange:
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> int:
            return 1

    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    for executor, words in (
        (Strange(), "its submit gives a int, which can't be waited for"),
        (closed, "takes no work .*after shutdown"),
        (ThreadPoolExecutor, "executor: <class"),
        (ThreadPoolExecutor(1, initializer=cannot_begin), "is broken .*; give a new one, a rerun does the rest"),
    ):
        with pytest.raises(InputError, match=words):
            place.fuse(executor=executor)
    assert os.listdir(place.out) == [NAME]
