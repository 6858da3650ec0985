"""gifnet computes the same whatever context it is called in, and says so where memory runs out."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import InputError
from .memory import is_out_of_memory

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_CPU = torch.device("cpu")
_KINDS = ("cpu", "cuda", "mps")  # of devices, each with an autocast of its own


@contextmanager
def plain_context() -> Iterator[None]:
    """No autocast, no gradients, and new tensors on the CPU where no device is named: for the calling thread alone.

    torch's default dtype is one for all threads, so it is left as it is: gifnet names the dtype of every new tensor.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for kind in _KINDS:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device() != _CPU:
            stack.enter_context(_CPU)
        yield


def in_plain_context(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function that runs in ``plain_context``, and raises InputError where memory runs out."""

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with plain_context():
            try:
                return function(*args, **kwargs)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = " ".join(str(error).split()) or type(error).__name__
                raise InputError(
                    f"out of memory ({reason}); free some, or give smaller images, or memmaps and out=, which are read "
                    "and written by regions"
                ) from error

    return run


class NothingDrawn(TorchFunctionMode):
    """Networks are made without initial values, where these would be thrown away: the caller's seed is left alone.

    What is drawn all the same, such as a truncated normal until its values lie within, has a generator of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._generator = torch.Generator()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func in (Tensor.uniform_, Tensor.normal_) and args and args[0].is_meta:
            return args[0]
        if func in (Tensor.uniform_, Tensor.normal_) and kwargs.get("generator") is None:
            kwargs["generator"] = self._generator
        return func(*args, **kwargs)
