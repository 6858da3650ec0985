"""Calls at the same time share the memory there is: what one was promised is not promised to another."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from .choice import TooLittleMemory
from .plan import Plan

AGAIN = 0.05  # seconds after which a call that waits looks again
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
_choosing = threading.Lock()  # not a Condition, whose Python code an interrupt can leave with its lock taken


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
    while (chosen := _chosen(share, plan)) is None:
        time.sleep(AGAIN)

    def advance(done: float) -> None:
        share.done = done

    try:
        yield chosen, advance
    finally:
        with _choosing:
            _running.discard(share)


def _chosen(share: Share, plan: Callable[[list[Share]], Plan]) -> Plan | None:
    """The share's plan, promised to it; None where it has to wait for another's end."""
    with _choosing:
        others = [other for other in _running if other.device == share.device]
        try:
            chosen = plan(others)
        except TooLittleMemory:
            if not others or any(other.owner == share.owner for other in _running):
                raise
            return None
        share.plan = chosen.bytes
        _running.add(share)
        return chosen
