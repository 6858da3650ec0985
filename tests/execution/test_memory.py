"""What memory there is, what may be used of it by calls at the same time, and what happens where it runs out."""

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Mean, StandIn, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.execution import memory, running
from gifnet.execution.choice import TooLittleMemory
from gifnet.execution.memory import free_memory, is_out_of_memory
from gifnet.execution.plan import Plan
from gifnet.execution.shares import Share, planned
from gifnet.networks.gifnet.plan import make_plan

CPU = torch.device("cpu")
GB = 10**9
PLENTY = 10**13  # bytes, of the fake machine


class System:
    """The files of a Linux system that tell of control groups, in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc/self").mkdir(parents=True)
        self.groups, self.mounts = "", ""

    def mount(self, place: str, version: int, shows: str = "/") -> "System":
        kind = "cgroup2 cgroup rw" if version == 2 else "cgroup cgroup rw,memory"
        self.mounts += f"30 23 0:26 {shows} /{place} rw,nosuid shared:9 - {kind}\n"
        (self.root / place).mkdir(parents=True, exist_ok=True)
        return self

    def group(self, line: str) -> "System":
        self.groups += f"{line}\n"
        (self.root / "proc/self/cgroup").write_text(self.groups)
        (self.root / "proc/self/mountinfo").write_text(
            f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n{self.mounts}"
            "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        )
        return self

    def limit(self, place: str, version: int, limit: int | str, used: int, **stat: int) -> "System":
        folder = self.root / place
        folder.mkdir(parents=True, exist_ok=True)
        names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        for name, value in zip(names, (limit, used), strict=True):
            (folder / name).write_text(f"{value}\n")
        (folder / "memory.stat").write_text("".join(f"{name} {value}\n" for name, value in {"anon": 5, **stat}.items()))
        return self


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    monkeypatch.setattr(memory, "_system_memory", lambda: PLENTY)
    monkeypatch.setattr(memory, "_process_memory", list)
    monkeypatch.setattr(memory, "ROOT", tmp_path)
    return System(tmp_path)


V1 = 9223372036854771712  # how version 1 writes that there is no limit


def test_the_memory_of_this_machine_is_known() -> None:
    assert 0 < free_memory(CPU) < PLENTY


def test_no_control_groups(system: System) -> None:
    assert free_memory(CPU) == PLENTY


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_s_own_root_is_its_limit(system: System, version: int) -> None:
    place = "sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory"
    system.mount(place, version).group("0::/" if version == 2 else "9:memory:/").limit(place, version, 3 * GB, GB)
    assert free_memory(CPU) == 2 * GB


@pytest.mark.parametrize("version", [1, 2])
def test_the_tightest_limit_from_the_process_s_group_upwards_counts(system: System, version: int) -> None:
    place = "sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory"
    system.mount(place, version).group("0::/a/b/c" if version == 2 else "4:cpu,memory:/a/b/c")
    none: int | str = "max" if version == 2 else V1
    for folder, limit, used in (("a/b/c", none, GB), ("a/b", 4 * GB, GB), ("a", 3 * GB, 2 * GB), ("a/d", GB // 2, 0)):
        system.limit(f"{place}/{folder}", version, limit, used)
    assert free_memory(CPU) == GB
    system.limit(f"{place}/a/b/c", version, 2 * GB, 2 * GB - 5)
    assert free_memory(CPU) == 5


def test_a_limit_that_only_slows_down_counts_too(system: System) -> None:
    system.mount("sys/fs/cgroup", 2).group("0::/x").limit("sys/fs/cgroup/x", 2, 8 * GB, GB)
    (system.root / "sys/fs/cgroup/x/memory.high").write_text("3000000000\n")
    assert free_memory(CPU) == 2 * GB


@pytest.mark.parametrize(
    ("version", "stat", "left"),
    [
        (2, {"inactive_file": 1_500_000_000, "active_file": GB, "slab_reclaimable": 200_000_000}, 2_800_000_000),
        (1, {"inactive_file": 7, "total_inactive_file": 2 * GB, "total_active_file": GB // 2}, 2_600_000_000),
        (1, {"inactive_file": 2 * GB}, 2_100_000_000),
        (2, {"inactive_file": 9 * GB}, 3 * GB),  # read a moment later than the use
        (2, {"anon": 2 * GB, "unevictable": GB, "shmem": GB}, 100_000_000),
    ],
)  # fmt: skip
def test_what_the_page_cache_holds_is_free(system: System, version: int, stat: dict[str, int], left: int) -> None:
    place = "sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory"
    system.mount(place, version).group("0::/x" if version == 2 else "9:memory:/x")
    system.limit(f"{place}/x", version, 3 * GB, 2_900_000_000, **stat)
    assert free_memory(CPU) == left


def test_a_container_that_sees_its_part_of_the_hierarchy_only(system: System) -> None:
    """Without a namespace of its own, its group has the host's name, and the mount shows that group as its top."""
    system.mount("sys/fs/cgroup/memory", 1, shows="/docker/abc").group("9:memory:/docker/abc/inner")
    system.limit("sys/fs/cgroup/memory", 1, 2 * GB, GB)
    assert free_memory(CPU) == GB
    system.limit("sys/fs/cgroup/memory/inner", 1, GB, GB // 2)
    assert free_memory(CPU) == GB // 2


@pytest.mark.parametrize("group", ["0::/elsewhere", "0::/../../up", "0::/docker/abcdef", "nonsense", "0:"])
def test_groups_that_cannot_be_found_leave_the_mount_s_top(system: System, group: str) -> None:
    system.mount("sys/fs/cgroup", 2, shows="/docker/abc" if "docker" in group else "/")
    system.group(group).limit("sys/fs/cgroup", 2, 2 * GB, GB)
    assert free_memory(CPU) == GB


def test_both_versions_at_a_time(system: System) -> None:
    system.mount("sys/fs/cgroup/unified", 2).mount("sys/fs/cgroup/memory", 1)
    system.group("9:memory:/x").group("0::/user")
    system.limit("sys/fs/cgroup/memory/x", 1, 3 * GB, GB).limit("sys/fs/cgroup/unified/user", 2, "max", GB)
    assert free_memory(CPU) == 2 * GB


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux")
def test_a_limit_of_the_address_space_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (size + GB // 4, size + GB))
    monkeypatch.setattr(memory, "_system_memory", lambda: PLENTY)
    assert free_memory(CPU) <= GB // 4 + 10**8


# --- calls at the same time ---------------------------------------------------------------------------


class Recording(Mean):
    """Keeps its plans, and works until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[Plan] = []
        self.begun, self.end = threading.Semaphore(0), threading.Event()

    def make_plan(self, height: int, width: int, budget: int, tile: Any) -> Plan:
        return make_plan(height, width, 98, 4, budget, tile)

    def run(self, source: Any, sink: Any, height: int, width: int, plan: Any, progress: Any) -> None:
        self.plans.append(plan)
        self.begun.release()
        assert self.end.wait(20)
        super().run(source, sink, height, width, plan, progress)


def recording() -> tuple[Fuser, Recording]:
    form = Recording()

    class Network(StandIn):
        def form(self) -> Recording:
            return form

    return Fuser(Network(), "cpu"), form


def started(fuser: Fuser, image: np.ndarray, **options: Any) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(fuser.fuse(image, image, **options)))
    thread.start()
    return thread, results


@pytest.mark.parametrize("options", [{"memory": "1GB"}, {}])
def test_calls_at_the_same_time_share_the_memory(options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "free_memory", lambda device: round(GB / running.FREE_SHARE))
    fuser, form = recording()
    image = np.random.default_rng(0).random((600, 600), dtype=np.float32)
    calls = [started(fuser, image, **options) for _ in range(4)]
    assert form.begun.acquire(timeout=20)
    form.begun.acquire(timeout=0.5)  # as many as fit
    assert sum(plan.bytes for plan in form.plans) <= GB
    assert 1 <= len(form.plans) < 4, "what does not fit beside the others waits"
    form.end.set()
    for thread, results in calls:
        thread.join(20)
        np.testing.assert_allclose(results[0], image, atol=1e-6)
    assert len(form.plans) == 4


def test_a_call_within_a_call_does_not_wait_for_itself() -> None:
    fuser, form = recording()
    form.end.set()
    image = np.random.default_rng(0).random((600, 600), dtype=np.float32)

    def inner(done: int, steps: int) -> None:
        with pytest.raises(InputError, match=r"give more memory.*\(of 700 MB, .* other calls under way take\)"):
            fuser.fuse(image, image, memory="700MB")

    fuser.fuse(image, image, memory="700MB", progress=inner)


def test_a_run_is_promised_less_the_more_it_has_taken() -> None:
    share = Share(CPU, 10, 900)
    untaken = []
    for done in (0, 1 / 3, 2 / 3, 1):
        share.done = done
        untaken.append(share.untaken)
    assert untaken == [900, 450, 0, 0]


def test_a_failed_call_gives_its_share_back() -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError, match="enough"), planned(CPU, 0, lambda others: Plan(None, (), 5)):
            raise RuntimeError("enough")

    def alone(others: list[Share]) -> Plan:
        assert others == []
        return Plan(None, (), 5)

    with planned(CPU, 0, alone):
        pass
    with pytest.raises(TooLittleMemory), planned(CPU, 0, lambda others: (_ for _ in ()).throw(TooLittleMemory("no"))):
        pass


# --- before anything is decoded -----------------------------------------------------------------------


def encoded(kind: str, mode: str) -> bytes:
    """A file of 500×400 pixels."""
    file = io.BytesIO()
    Image.new(mode, (500, 400)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "planes"),
    [("PNG", "RGB", 3), ("PNG", "L", 1), ("TIFF", "RGB", 3), ("JPEG", "L", 1), ("PNG", "P", 3)],
)  # fmt: skip
def test_sizes_are_looked_at_before_files_are_decoded(
    kind: str, mode: str, planes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("it was decoded")

    content = encoded(kind, mode)
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(content)
    small = np.zeros((400, 500), np.uint8)
    for name in ("gifnet.images.reading.read_file", "gifnet.images.reading.from_pil"):
        monkeypatch.setattr(name, decoded)
    takes = 2 * planes * 500 * 400 * 4  # its planes in float32, and the result's
    opened = Image.open(path)
    for image in (path, content, opened):
        with pytest.raises(
            InputError, match=rf"memory: the images themselves take {memory.show_bytes(takes)}, but only"
        ):
            gifnet.enhance(image, memory=takes - 1, device="cpu")
        with pytest.raises(InputError, match=r"memory: the images themselves take"):
            gifnet.fuse(image, small, memory=takes + 500 * 400 * 4 - 1, device="cpu")  # and one plane more
        with pytest.raises(AssertionError, match="it was decoded"):
            gifnet.enhance(image, memory=takes, device="cpu")
    with pytest.raises(InputError, match=r"memory: the images themselves take"):
        gifnet.enhance_file(path, tmp_path / "out.png", memory=takes - 1, device="cpu")
    (tmp_path / "in").mkdir()
    path.rename(tmp_path / "in" / path.name)
    result = gifnet.enhance_folder(tmp_path / "in", tmp_path / "out", memory=takes - 1, device="cpu", progress=False)
    assert "memory: the images themselves take" in result.failed[0].reason
    monkeypatch.setattr(running, "free_memory", lambda device: takes - 1)
    with pytest.raises(InputError, match=r"take .*, but only .* are free"):
        gifnet.enhance(content, device="cpu")


def test_the_refusal_names_each_part_s_share() -> None:
    a, b = np.random.default_rng(0).random((2, 300, 400), dtype=np.float32)
    with pytest.raises(
        InputError,
        match=r"memory: 400×300 pixels take \d+ MB .* only 99 MB may be used; .*\(of 100 MB, 1 MB the images take\)",
    ):
        gifnet.fuse(a, b, memory="100MB", device="cpu")


# --- where it runs out --------------------------------------------------------------------------------

ERRORS: list[Exception] = [
    MemoryError(),
    MemoryError("Unable to allocate 3 GiB for an array"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes."),
    torch.cuda.OutOfMemoryError("CUDA out of memory"),
]


@pytest.mark.parametrize("error", ERRORS, ids=range(len(ERRORS)))
def test_what_allocators_raise_says_what_to_do(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    assert is_out_of_memory(error)
    image = photo(20, 20)
    fuser, form = recording()
    form.end.set()
    monkeypatch.setattr(form, "run", fail)
    with pytest.raises(InputError, match=r"out of memory on cpu, even with tiles of .*free some"):
        fuser.fuse(image, image)
    monkeypatch.setattr("gifnet.fuser.read", fail)
    with pytest.raises(InputError, match=r"out of memory .*free some, or give smaller images"):
        fuser.fuse(image, image)


def test_torch_s_own_allocator_is_understood() -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(1 << 46, dtype=torch.float32).fill_(1)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("expected dtype float"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_files_that_memory_does_not_hold_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    path = tmp_path / "a.png"
    Image.fromarray(photo()).save(path)
    monkeypatch.setattr("gifnet.files.reading.from_pil", fail)
    with pytest.raises(InputError, match=r"a\.png: too little memory to decode it"):
        gifnet.enhance(path, device="cpu")
