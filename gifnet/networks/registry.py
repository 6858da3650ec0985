"""The registry of networks: all that the rest of the package knows of them.

A network is a folder that ends in a call of ``register``, and a line in ``networks/__init__.py`` that imports it. One
of another package is registered in the same way, by ``gifnet.networks.register``, before its weights are loaded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..execution.form import InferenceForm, Swapped
from .graph import Graph, Value

Role = Literal["infrared", "visible"]


@dataclass(frozen=True)
class Converter:
    """How a checkpoint that the network's authors released becomes a network.

    ``recognises``: whether a state dict, by its names, is meant to be theirs. ``convert``: the network in its plain
    form, in float32, of such a state dict and the file's name for messages; CheckpointError where it is not quite
    theirs.
    """

    expected: str  # for messages: what the file is and what it holds
    recognises: Callable[[Mapping[str, Tensor]], bool]
    convert: Callable[[Mapping[str, Tensor], str], nn.Module]


@dataclass(frozen=True)
class Architecture:
    """A network and what belongs to it.

    ``config`` is a dataclass with a default for each field, of numbers, texts and None; it raises ValueError for values
    that make no network. Its class attribute ``ADDED``, if it has one, names the fields that older files lack.
    ``network(config)`` is the plain form, for reading and training: ``network(a, b)`` fuses two planes (B, 1, H, W) in
    [0, 1]. It keeps ``config`` as an attribute.
    """

    name: str  # in weights files, and for ``gifnet train --network``
    config: type[Any]
    network: type[nn.Module]
    inference_form: Callable[[Any, torch.dtype], InferenceForm]  # of a plain network, in the precision to compute in
    enhancing_form: Callable[[Any, torch.dtype], InferenceForm | None] = lambda network, dtype: None  # None: the same
    first: Role = (
        "infrared"  # what it takes as ``a`` of an infrared-visible pair; users give the infrared first, always
    )
    converter: Converter | None = None
    graph: Callable[[Graph, Any, Value, Value], Value] | None = None  # writes what it computes of a and b, for ONNX
    enhancing_graph: Callable[[Graph, Any, Value], Value] | None = None  # None: ``graph`` of one plane, given twice
    objective: str | None = None  # what it learns by: "module:class" of a ``training.objective.Objective``
    weights: str | None = None  # the file that its name loads: in the folder of bundled weights, or of any path


_architectures: dict[str, Architecture] = {}


def register(architecture: Architecture) -> Architecture:
    """Make a network known, and give it back. ValueError where its name or its class is taken."""
    for known in _architectures.values():
        if architecture.name == known.name or architecture.network is known.network:
            raise ValueError(f"{architecture.name!r} ({architecture.network.__name__}) is registered already")
    _architectures[architecture.name] = architecture
    return architecture


def unregister(name: str) -> None:
    """Forget a network; KeyError where there is none of this name."""
    del _architectures[name]


def registered() -> Mapping[str, Architecture]:
    """The networks by name, in the order they were registered in."""
    return dict(_architectures)


def architecture_of(network: object) -> Architecture | None:
    """The architecture whose plain network this is, if there is one."""
    return next((known for known in _architectures.values() if isinstance(network, known.network)), None)


def inference_form(network: nn.Module, dtype: torch.dtype) -> InferenceForm:
    """The form in which a network runs, computing in ``dtype``; it takes the infrared image of a pair first.

    Raises TypeError for one that is not registered.
    """
    known = architecture_of(network)
    if known is None:
        raise TypeError(f"{type(network).__name__} is no registered network: gifnet.networks.register makes it one")
    return _infrared_first(known, known.inference_form(network, dtype))


def enhancing_form(network: nn.Module, dtype: torch.dtype) -> InferenceForm | None:
    """The form in which a network enhances one image; None: that in which it fuses."""
    known = architecture_of(network)
    form = known.enhancing_form(network, dtype) if known else None
    return _infrared_first(known, form) if known and form else form


def write_graph(graph: Graph, network: nn.Module, *planes: Value) -> Value:
    """Write into an empty graph how a network fuses two planes, the infrared first, or enhances one.

    Raises InputError where its architecture has no graph.
    """
    known = architecture_of(network)
    if known is None or known.graph is None:
        name = known.name if known else type(network).__name__
        raise InputError(f"model: the network {name} can't be exported: its architecture has no graph")
    if len(planes) == 1 and known.enhancing_graph is not None:
        return known.enhancing_graph(graph, network, *planes)
    first, second = planes if len(planes) == 2 else planes * 2
    return known.graph(graph, network, *((first, second) if known.first == "infrared" else (second, first)))


def _infrared_first(known: Architecture, form: InferenceForm) -> InferenceForm:
    return form if known.first == "infrared" else Swapped(form)
