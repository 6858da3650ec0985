"""A model as tasks take it with them: small on the way, ready to run where it arrives."""

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..checkpoints.format import network_sha256
from ..errors import InputError
from ..execution.choice import TooLittleMemory
from ..execution.form import InferenceForm, PartForm, Sink, by_parts, finite_sink
from ..execution.running import Execution
from ..execution.threads import alone
from ..networks.registry import enhancing_form, inference_form

MEMORY = 1_000_000_000  # bytes for the work on one part, where nothing else is said


@dataclass
class TaskModel:
    """A network and how to run it. Pickled without its inference form, which is made again."""

    network: nn.Module  # the plain one, on the CPU
    device: torch.device
    dtype: torch.dtype
    name: str
    known_sha256: str | None  # of the weights' file, where they were read from one
    enhancing: bool  # in the form for one image
    _form: InferenceForm | None = field(default=None, repr=False)
    _making: Any = field(default_factory=threading.Lock, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_form": None, "_making": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _making=threading.Lock())

    @property
    def sha256(self) -> str:
        """Of the weights."""
        return self.known_sha256 or network_sha256(self.network)

    @property
    def form(self) -> PartForm:
        """Raises InputError for a network that has none for parts."""
        form = by_parts(self.inference)
        if form is None:
            raise InputError(
                f"{self.name or type(self.network).__name__}: this network can't work on Dask arrays: its inference "
                "form has no by_parts; compute the arrays first"
            )
        return form

    @property
    def inference(self) -> InferenceForm:
        """The form in which the network runs, on its device."""
        with self._making:
            if self._form is None:
                form = alone(enhancing_form, self.network, self.dtype) if self.enhancing else None
                form = alone(inference_form, self.network, self.dtype) if form is None else form
                self._form = form.to(self.device)
            return self._form

    def tile(self, part: tuple[int, int], execution: Execution) -> int:
        """Pixels a side of what a task works on at once. Raises InputError where memory is too little for any."""
        budget = MEMORY if execution.memory is None else execution.memory
        try:
            plan = self.inference.make_plan(*part, budget, execution.tile)
        except TooLittleMemory as error:
            raise TooLittleMemory(f"{error} (for each task: a part of {part[1]}×{part[0]} pixels)") from error
        return plan.tile or max(part)

    def checked(self, sink: Sink) -> Sink:
        """A sink that refuses what are no numbers."""
        return finite_sink(sink, self.name, self.dtype)
