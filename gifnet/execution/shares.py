"""Calls at the same time share the memory there is: what one was promised is not promised to another."""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from .choice import TooLittleMemory
from .plan import Plan

AGAIN = 1.0  # seconds after which a call that waits looks again
FILLED_AT = 2 / 3  # of its steps: by then a run has taken all its memory; before, the more the further it is


@dataclass(eq=False)
class Share:
    """What one run under way was promised."""

    device: torch.device
    images: int  # bytes, taken already
    plan: int = 0  # bytes, taken little by little
    done: float = 0.0  # of the run
    owner: int = field(default_factory=threading.get_ident)

    @property
    def untaken(self) -> int:
        """Bytes that it will still take."""
        return round(self.plan * max(0.0, 1 - self.done / FILLED_AT))

    @property
    def bytes(self) -> int:
        """All that it takes in the end."""
        return self.images + self.plan


_running: weakref.WeakSet[Share] = weakref.WeakSet()  # an interrupt may leave one out of order
_changed = threading.Condition()


@contextmanager
def planned(
    device: torch.device, images: int, plan: Callable[[list[Share]], Plan]
) -> Iterator[tuple[Plan, Callable[[float], None]]]:
    """A plan that goes together with those of the runs under way, and what to tell the share of it that is done.

    ``plan`` is given the others' shares on this device. Where it raises TooLittleMemory beside them, it is asked again
    when one of them is over, and that counts only once there is none. A call within another, made by a function of
    the caller's, does not wait for what may wait for it.
    """
    share = Share(device, images)
    with _changed:
        while True:
            others = [other for other in _running if other.device == device]
            try:
                chosen = plan(others)
                break
            except TooLittleMemory:
                if not others or any(other.owner == share.owner for other in _running):
                    raise
                _changed.wait(AGAIN)
        share.plan = chosen.bytes
        _running.add(share)

    def advance(done: float) -> None:
        share.done = done

    try:
        yield chosen, advance
    finally:
        with _changed:
            _running.discard(share)
            _changed.notify_all()
