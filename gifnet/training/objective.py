"""What a network learns, from what, and how its weights move: what the training loop leaves to each network."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..networks.registry import Architecture
from .recipe import Recipe

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Sources:
    """The folders and files that a run learns from. An objective refuses what it can't use, with an InputError."""

    infrared: Path
    visible: Path  # with the same file stems
    photos: Path | None = None
    exposures: tuple[Path, Path] | None = None  # dark and bright ones, with the same file stems
    densenet: Path | None = None  # weights of a network that losses need


class Objective(ABC, Generic[Batch]):
    """A network's objective: its batches, steps, losses and optimisers. ``Trainer`` does everything else.

    ``start`` fills ``optimisers`` and ``learned``; what is in them is saved with a run, and resumed bit for bit. All
    else must follow from the recipe and the iteration: random numbers are drawn from generators made of both.
    """

    recipe_type: ClassVar[type[Recipe]] = Recipe  # with the objective's own settings

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.learned: dict[str, Tensor] = {}  # outside the network, such as weights of tasks

    @classmethod
    @abstractmethod
    def from_sources(cls, recipe: Any, sources: Sources, device: torch.device) -> "Objective[Any]":
        """The objective of a recipe (a ``recipe_type``), with its images read. InputError for what can't be used."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The names of the losses that ``step`` gives: columns of the run's curves."""

    @property
    def notes(self) -> Mapping[str, str]:
        """What the weights' file says of the objective beside the recipe."""
        return {}

    def prepare(self, folder: Path, progress: bool = True) -> None:
        """Make what the first batch needs, or read what an earlier run left of it in the run's folder."""

    @abstractmethod
    def start(self, model: nn.Module) -> nn.Module:
        """The network as it is to be trained, on the device and in training mode; its optimisers are made here."""

    @abstractmethod
    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of iterations ``start`` to ``stop - 1``, each a function of the seed and its iteration alone."""

    @abstractmethod
    def step(self, batch: Batch, iteration: int, rate: float) -> dict[str, float]:
        """One iteration at this learning rate: the weights move. Its losses by column, NaN for what it had none of."""

    def state(self) -> dict[str, Tensor]:
        """The optimisers' moments and what is learned outside the network, by name."""
        state = {f"learned/{name}": value.detach() for name, value in self.learned.items()}
        for name, optimiser in self.optimisers.items():
            for index, moments in optimiser.state_dict()["state"].items():
                state |= {f"optimiser/{name}/{index}/{moment}": value for moment, value in moments.items()}
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` gave. Raises KeyError, ValueError or RuntimeError where it is of something else."""
        moments: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in self.optimisers}
        for key, value in state.items():
            kind, name, *rest = key.split("/")
            if kind == "optimiser":
                index, moment = rest
                moments[name].setdefault(int(index), {})[moment] = value
        for name, optimiser in self.optimisers.items():
            _check_moments(optimiser, moments[name])
            optimiser.load_state_dict({**optimiser.state_dict(), "state": moments[name]})
        with torch.no_grad():
            for name, own in self.learned.items():
                own.copy_(state[f"learned/{name}"])


def _check_moments(optimiser: torch.optim.Optimizer, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Raise ValueError unless each moment has its parameter's shape, or is one number."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for index, values in moments.items():
        for name, value in values.items():
            if value.numel() > 1 and value.shape != parameters[index].shape:
                raise ValueError(f"{name} of parameter {index} has shape {tuple(value.shape)}")


def objective_of(architecture: Architecture) -> type[Objective[Any]]:
    """The objective that the registry names for a network. InputError where it names none."""
    if architecture.objective is None:
        raise InputError(f"{architecture.name}: has no objective to be trained by")
    found = pkgutil.resolve_name(architecture.objective)
    if not (isinstance(found, type) and issubclass(found, Objective)):
        raise InputError(f"{architecture.name}: {architecture.objective} is no Objective")
    return found
