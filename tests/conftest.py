"""What several test modules need: reference material where it is at hand, small models, small images."""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gifnet.execution.plan import Plan
from gifnet.networks import Architecture, register
from gifnet.networks.gifnet import GIFNet, GIFNetConfig
from gifnet.regions import Region

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("GIFNET_SHARED") or ROOT.parent / "shared").resolve()  # reference material, if at hand
EXAMPLES = ROOT / "examples" / "data"
MACHINE = ("GIFNET_", "HF_", "HUGGING", "TRANSFORMERS_", "XDG_", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR")


def shared_file(relative: str) -> Path:
    """A file of the reference material, or a skip that says what is missing."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"reference material not at hand: {relative}")
    return path


def pytest_configure() -> None:
    """Ctrl-C is what it is in a terminal, for processes that tests start too, where a shell has had it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What all modules have imported stays; looking for garbage need not go through it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def folders_of_no_test(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The current folder and the home of every test."""
    return tmp_path_factory.mktemp("current"), tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def no_trace_of_the_machine(folders_of_no_test: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test starts in one empty folder, which it must leave empty, and in an environment that is always the same.

    The device is the CPU unless a test says otherwise, the Hub is out of reach, and processes import this checkout.
    """
    current, home = folders_of_no_test
    for name in [name for name in os.environ if name.startswith(MACHINE)]:
        monkeypatch.delenv(name)
    path = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = {"GIFNET_DEVICE": "cpu", "HF_HUB_OFFLINE": "1", "HOME": str(home), "PYTHONPATH": os.pathsep.join(path)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(current)
    yield
    left = sorted(os.listdir(current))
    for name in left:
        (current / name).rename(home / f"{name}-{time.time_ns()}")
    assert not left, f"the test left {left} in the current folder; write into tmp_path"


@pytest.fixture(scope="session")
def official() -> GIFNet:
    """The paper's released network, converted."""
    from gifnet.checkpoints.official import convert_official

    network = convert_official(shared_file("reference/gifnet_official.pth"))
    assert isinstance(network, GIFNet)
    return network


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that makes a package's import fail, as if it were not installed, until the test is over."""

    def hide_package(package: str) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return hide_package


class Mean(torch.nn.Module):
    """A network's inference form that gives the mean of both planes, in one piece."""

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Planes (1, 2, H, W) to (1, 1, H, W); other stand-ins have another one."""
        return planes.mean(dim=1, keepdim=True)

    def make_plan(self, height: int, width: int, budget: int, tile: object) -> Plan:
        return Plan(None, (), 0)

    def run(
        self,
        source: Callable[[Region], torch.Tensor],
        sink: Callable[[Region, torch.Tensor], None],
        height: int,
        width: int,
        plan: Plan | None,
        progress: Callable[[int, int], None],
    ) -> None:
        whole = Region(0, height, 0, width)
        sink(whole, self(source(whole)))
        progress(1, 1)


class StandIn(torch.nn.Module):
    """In a network's place, for speed, and for results that can be computed by hand: the mean of both planes.

    Others have another ``form``.
    """

    def form(self) -> Mean:
        return Mean()


Passing = StandIn
register(Architecture("stand-in", object, StandIn, lambda network, dtype: network.form()))  # as any other network


def random_network(seed: int = 0, **config: object) -> GIFNet:
    """A network of random weights, spread enough that every part of it matters to the output."""
    torch.manual_seed(seed)
    model = GIFNet(GIFNetConfig(**config)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.fixture(scope="session")
def small_network() -> GIFNet:
    """A narrow network, for tests of what surrounds it."""
    return random_network(growth=4, position_hidden=8)


def photo(height: int = 40, width: int = 56, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A smooth random image (H, W, C), or (H, W) for no channels, uint8, over the full range."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(6, 6, channels or 1), dtype=np.uint8)
    planes = [
        np.asarray(Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC))
        for c in range(coarse.shape[2])
    ]
    return np.stack(planes, axis=-1) if channels else planes[0]
