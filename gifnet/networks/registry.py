"""The networks by name: all that the rest of the package knows of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ..execution.form import InferenceForm
from .gifnet import GIFNet, GIFNetConfig
from .gifnet import inference as gifnet_inference


@dataclass(frozen=True)
class Architecture:
    """A network: its parts, none of which knows the others."""

    name: str  # in weights files
    config: type[GIFNetConfig]  # what the network is made of, saved beside its weights
    network: type[GIFNet]  # the plain form, for reading and training, made from a configuration
    inference_form: Callable[[Any, torch.dtype], InferenceForm]  # of a plain network, in the precision to compute in
    enhancing_form: Callable[[Any, torch.dtype], InferenceForm | None] = lambda network, dtype: None  # None: the same


class SelfContained(Protocol):
    """A network outside the registry, which brings its inference form itself."""

    def inference_form(self, dtype: torch.dtype) -> InferenceForm: ...


ARCHITECTURES: Mapping[str, Architecture] = {
    "gifnet": Architecture(
        "gifnet", GIFNetConfig, GIFNet, gifnet_inference.inference_form, gifnet_inference.enhancing_form
    ),
}


def architecture_of(network: object) -> Architecture | None:
    """The architecture whose plain network this is, if there is one."""
    return next((known for known in ARCHITECTURES.values() if type(network) is known.network), None)


def inference_form(network: Any, dtype: torch.dtype) -> InferenceForm:
    """The form in which a network (registered or ``SelfContained``) runs, computing in ``dtype``."""
    for known in ARCHITECTURES.values():
        if isinstance(network, known.network):
            return known.inference_form(network, dtype)
    form: InferenceForm = network.inference_form(dtype)
    return form


def enhancing_form(network: Any, dtype: torch.dtype) -> InferenceForm | None:
    """The form in which a network enhances one image; None: that in which it fuses."""
    known = architecture_of(network)
    return known.enhancing_form(network, dtype) if known else None
