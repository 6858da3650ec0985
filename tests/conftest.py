"""What several test modules need: reference material where it is at hand, small models, small images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gifnet.execution.plan import Plan
from gifnet.networks.gifnet import GIFNet, GIFNetConfig
from gifnet.regions import Region

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
EXAMPLES = ROOT / "examples" / "data"


def shared_file(relative: str) -> Path:
    """A file of the reference material, or a skip that says what is missing."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"reference material not at hand: {relative}")
    return path


@pytest.fixture(scope="session")
def official() -> GIFNet:
    """The paper's released network, converted."""
    from gifnet.networks.gifnet.official import convert_official

    return convert_official(shared_file("reference/gifnet_official.pth")).eval()


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


class Passing:
    """In a network's place, for speed, and for results that can be computed by hand."""

    def inference_form(self, dtype: torch.dtype) -> Mean:
        return Mean()


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
