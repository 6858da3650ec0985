"""The networks by name: all that the rest of the package knows of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ..execution.form import InferenceForm
from .gifnet import GIFNet, GIFNetConfig
from .gifnet.inference import inference_form as gifnet_inference_form


@dataclass(frozen=True)
class Architecture:
    """A network: its parts, none of which knows the others."""

    name: str  # in weights files
    config: type[GIFNetConfig]  # what the network is made of, saved beside its weights
    network: type[GIFNet]  # the plain form, for reading and training, made from a configuration
    inference_form: Callable[[Any, torch.dtype], InferenceForm]  # of a plain network, in the precision to compute in


class SelfContained(Protocol):
    """A network outside the registry, which brings its inference form itself."""

    def inference_form(self, dtype: torch.dtype) -> InferenceForm: ...


ARCHITECTURES: Mapping[str, Architecture] = {
    "gifnet": Architecture("gifnet", GIFNetConfig, GIFNet, gifnet_inference_form),
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
