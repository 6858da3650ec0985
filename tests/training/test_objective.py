"""The loop with another network than GIFNet: two optimisers, losses again after the step, state of its own."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import photo
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from gifnet.checkpoints.format import load_weights
from gifnet.cli import main
from gifnet.errors import CheckpointError, InputError
from gifnet.execution.local import LocalForm
from gifnet.networks import Architecture, register, unregister
from gifnet.training.objective import Objective, Sources, objective_of
from gifnet.training.recipe import Recipe
from gifnet.training.trainer import Trainer


@dataclass(frozen=True)
class ScaleConfig:
    """None."""


class Scale(nn.Module):
    """Two numbers to learn, and a count that is not averaged."""

    count: Tensor

    def __init__(self, config: ScaleConfig) -> None:
        super().__init__()
        self.config = config
        self.gains = nn.Parameter(torch.tensor([0.2, 0.3]))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * self.gains[0] + b * self.gains[1]


@dataclass(frozen=True)
class BalancedRecipe(Recipe):
    """With a setting of its own."""

    balance_rate: float = 0.025


class Balanced(Objective[Tensor]):
    """Two tasks whose weights are learned too, by what a step did to their losses, as FAMO does."""

    recipe_type = BalancedRecipe
    recipe: BalancedRecipe

    @classmethod
    def from_sources(cls, recipe: Any, sources: Sources, device: torch.device) -> "Balanced":
        if sources.photos:
            raise InputError(f"{sources.photos}: photographs are of no use to it")
        return cls(recipe, device)

    @property
    def columns(self) -> tuple[str, ...]:
        return ("first", "second")

    def start(self, model: nn.Module) -> nn.Module:
        assert isinstance(model, Scale)
        self.model = model.to(self.device).train()
        self.learned = {"logits": torch.zeros(2, requires_grad=True)}
        self.optimisers = {
            "network": torch.optim.Adam(model.parameters(), lr=self.recipe.rate),
            "balance": torch.optim.Adam([self.learned["logits"]], lr=self.recipe.balance_rate, weight_decay=1e-3),
        }
        return model

    def batches(self, start: int, stop: int) -> Iterator[Tensor]:
        for i in range(start, stop):
            yield torch.rand(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(self.recipe.seed * 1000 + i))

    def losses(self, batch: Tensor) -> Tensor:
        fused = self.model(*batch)
        return torch.stack([(fused - plane).square().mean() for plane in batch])

    def step(self, batch: Tensor, iteration: int, rate: float) -> dict[str, float]:
        logits, (network, balance) = self.learned["logits"], self.optimisers.values()
        for group in network.param_groups:
            group["lr"] = rate
        before = self.losses(batch)
        network.zero_grad()
        (logits.softmax(0).detach() * before.log()).sum().backward()  # type: ignore[no-untyped-call]
        network.step()
        self.model.count += 1
        change = before.detach().log() - self.losses(batch).detach().log()
        balance.zero_grad()
        (logits.softmax(0) * change).sum().backward()  # type: ignore[no-untyped-call]
        balance.step()
        return dict(zip(self.columns, before.tolist(), strict=True))


SCALE = Architecture(
    "scale",
    ScaleConfig,
    Scale,
    lambda network, dtype: LocalForm(network, dtype, halo=0, values=3),
    objective="test_objective:Balanced",
)


@pytest.fixture(autouse=True)
def scale(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    register(SCALE)
    yield
    unregister("scale")


def trainer(folder: Path, **settings: float) -> Trainer:
    folder.mkdir(exist_ok=True)
    recipe = BalancedRecipe(iterations=8, warmup=2, rate=0.05, **settings)  # type: ignore[arg-type]
    return Trainer(Scale(ScaleConfig()), Balanced(recipe, torch.device("cpu")), folder)


def assert_same(state: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in state.items())


def test_two_optimisers_are_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole, first = trainer(tmp_path / "whole"), trainer(tmp_path / "halves")
    assert whole.run(progress=False) is None
    for batch in first.objective.batches(0, 3):
        first.curves.append(first.step(batch))
    first.save()
    second = trainer(tmp_path / "halves")
    assert second.resume()
    assert second.run(progress=False) is None
    assert second.curves == whole.curves
    assert list(whole.curves[0]) == ["iteration", "rate", "first", "second"]
    names = whole.objective.state().keys()
    assert {"learned/logits", "optimiser/network/0/exp_avg", "optimiser/balance/0/exp_avg_sq"} <= names
    assert float(whole.objective.learned["logits"].detach().abs().min()) > 0.01, "they moved"
    assert_same(
        load_file(tmp_path / "halves" / "state.safetensors"), load_file(tmp_path / "whole" / "state.safetensors")
    )
    for name in ("last.safetensors", "curves.csv"):
        assert (tmp_path / "halves" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert int(whole.average["count"]) == 8
    assert all(math.isfinite(value) for row in whole.curves for value in row.values())
    # Without the second optimiser's moments, it is another run.
    state = dict(first.objective.state())
    without = {name: value for name, value in state.items() if "balance" not in name}
    third = trainer(tmp_path / "third")
    third.resume()
    third.objective.load_state(without)
    assert not third.objective.optimisers["balance"].state


def test_the_state_of_another_network_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path / "run").save()
    unregister("scale")
    register(replace(SCALE, name="renamed"))
    with pytest.raises(CheckpointError, match=r"state\.safetensors: of the network 'scale', not 'renamed'"):
        trainer(tmp_path / "run").resume()
    unregister("renamed")
    register(SCALE)


def test_a_state_that_lacks_something_is_refused(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run")
    run.objective.learned = {}
    run.save()
    with pytest.raises(CheckpointError, match=r"state\.safetensors: damaged, or not of .*learned/logits"):
        trainer(tmp_path / "run").resume()


def test_the_command_trains_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ir", "vis"):
        (tmp_path / name).mkdir()
        Image.fromarray(photo(60, 60, 0)).save(tmp_path / name / "1.png")
    arguments = ["train", str(tmp_path / "ir"), str(tmp_path / "vis"), "-o", str(tmp_path / "run"), "--device", "cpu"]
    held_out = ["--validate", str(tmp_path / "ir"), str(tmp_path / "vis")]
    settings = ["--network", "scale", "--set", "iterations=4", "--set", "balance_rate=0.1"]
    assert main([*arguments, *settings, *held_out]) == 0
    assert isinstance(load_weights(tmp_path / "run" / "best.safetensors"), Scale)
    capsys.readouterr()
    for wrong, message in (
        (["--network", "scale", "--set", "train_only=all"], "unknown setting train_only"),
        (["--network", "scale", "--photos", str(tmp_path / "ir")], "photographs are of no use to it"),
        (["--network", "scale", "--phi", "gradient"], "unknown setting losses"),
        (["--network", "nothing"], "network: 'nothing'; give one of gifnet, tita"),
        (["--init", str(tmp_path / "run" / "last.safetensors")], "weights of 'scale', not of 'gifnet'"),
    ):
        assert main([*arguments, *wrong]) == 1
        assert message in capsys.readouterr().err


def test_what_is_no_objective_is_refused() -> None:
    with pytest.raises(InputError, match="scale: has no objective"):
        objective_of(replace(SCALE, objective=None))
    with pytest.raises(InputError, match=r"scale: test_objective:Scale is no Objective"):
        objective_of(replace(SCALE, objective="test_objective:Scale"))
