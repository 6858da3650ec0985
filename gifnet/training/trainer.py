"""The training loop: schedule, averaged weights, saving, resuming, curves and validation. It knows no network."""

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from ..checkpoints.format import describe, save_weights
from ..errors import CheckpointError, InputError
from ..execution.allocator import keep_freed_memory
from ..execution.progress import bar
from . import check_installed
from .curves import Row, draw, read_rows, write_rows
from .objective import Objective
from .state import State, damaged, read_state, write_state
from .validation import Validation

SAVE_SECONDS = 45.0  # the most that a killed run loses
DRAW_SECONDS = 60.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)  # that end a run, saved


class Trainer:
    """Owns the model, its averaged copy and the run's folder; how the model learns is the objective's.

    ``notes`` go into the weights' metadata. Validation draws no random numbers and moves nothing: a run's result is the
    same with and without.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective[Any],
        folder: Path,
        validation: Validation | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        check_installed()
        keep_freed_memory()
        self.objective, self.recipe, self.folder = objective, objective.recipe, folder
        self.validation, self._notes = validation, dict(notes or {})
        self.model = objective.start(model)
        self.network = str(describe(self.model)["architecture"])
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.iteration = 0
        self.curves: list[Row] = []
        self.validations: list[Row] = []
        self._drawn = -math.inf

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the curves."""
        return ("iteration", "rate", *self.objective.columns)

    @property
    def finished(self) -> bool:
        """Whether all iterations are done, and validated if they are to be."""
        validated = self.validation is None or [row["iteration"] for row in self.validations[-1:]] == [self.iteration]
        return self.iteration >= self.recipe.iterations and (validated or not self.iteration)

    def step(self, batch: Any) -> Row:
        """One iteration. Its row of the curves."""
        rate = self.recipe.rate_at(self.iteration)
        losses = self.objective.step(batch, self.iteration, rate)
        # The average follows more quickly at first, or it would remember the initial weights for long.
        decay = min(self.recipe.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                average = self.average[name]
                average.lerp_(value, 1 - decay) if value.is_floating_point() else average.copy_(value)
        row = {"iteration": self.iteration, "rate": rate, **losses}
        self.iteration += 1
        return row

    def run(self, progress: bool = True) -> signal.Signals | None:
        """Train to the last iteration, saving every 45 seconds, when validated, at the end and when it is interrupted.

        SIGTERM, and SIGINT (Ctrl-C), end the run once its iteration is done; a second SIGINT ends it at once. Returns
        the signal that left the run unfinished, None where it is finished. Raises InputError, naming the file, where
        one can't be written.
        """
        with _signals() as stopped:
            saved = time.monotonic()
            total, done = self.recipe.iterations, self.iteration
            with bar(total=total, initial=done, disable=not progress, unit="it", mininterval=5) as shown:
                self.validate(stopped)  # a run that was stopped while it validated owes this
                for batch in self.objective.batches(self.iteration, total):
                    if stopped():
                        break
                    self.curves.append(self.step(batch))
                    shown.update()
                    recent = self.curves[-100:]
                    means = {name: f"{_mean([row[name] for row in recent]):.4f}" for name in self.objective.columns}
                    shown.set_postfix(means, refresh=False)
                    validated = self.validate(stopped)
                    if validated or time.monotonic() - saved > SAVE_SECONDS:
                        self.save()
                        saved = time.monotonic()
            self._drawn = -math.inf
            self.save()
            return None if self.finished else stopped()

    def validate(self, stopped: Callable[[], object] = lambda: False) -> bool:
        """Where that is due, measure the averaged weights and keep them as ``best.safetensors`` if they are.

        False where it is not due, or ``stopped`` ended it. It is due every so many iterations, and after the last.
        """
        if self.validation is None or not self.iteration:
            return False
        if self.iteration % self.validation.every and self.iteration < self.recipe.iterations:
            return False
        if self.validations and self.validations[-1]["iteration"] == self.iteration:
            return False
        averaged = self.averaged()
        values = self.validation.measure(averaged, self.objective.device, stopped)
        if values is None:
            return False
        best = max((row["score"] for row in self.validations if math.isfinite(row["score"])), default=-math.inf)
        self.validations.append({"iteration": self.iteration, **values})
        if values["score"] > best:
            notes = {"validation": json.dumps({name: round(value, 4) for name, value in values.items()})}
            self._save_weights(averaged, "best.safetensors", self.notes() | notes)
        return True

    def save(self) -> None:
        """Write the run's folder; each file appears whole or not at all.

        ``last.safetensors`` (averaged weights, to use), ``curves.csv``, ``validation.csv``, at most every minute
        ``curves.png``, and last, so that what it resumes from is there, ``state.safetensors``.

        Raises InputError, naming the file, where one can't be written: the disk may be full.
        """
        self._save_weights(self.averaged(), "last.safetensors", self.notes())
        with self._writing("curves.csv") as path:
            write_rows(path, self.columns, self.curves)
        if self.validation is not None:
            with self._writing("validation.csv") as path:
                write_rows(path, ("iteration", *self.validation.names), self.validations)
        if time.monotonic() - self._drawn > DRAW_SECONDS:
            with self._writing("curves.png") as path:
                draw(path, self.curves, self.validations)
            self._drawn = time.monotonic()
        tensors = {"model": self.model.state_dict(), "average": self.average, "objective": self.objective.state()}
        with self._writing("state.safetensors") as path:
            write_state(path, State(self.iteration, self.network, self.recipe, tensors))

    def averaged(self) -> nn.Module:
        """A network with the averaged weights."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model

    def notes(self) -> dict[str, str]:
        """What the weights' file says of their making."""
        return {
            "trained_by": "gifnet",
            "iterations": str(self.iteration),
            "recipe": json.dumps(asdict(self.recipe), sort_keys=True),
            **self.objective.notes,
            **self._notes,
        }

    def resume(self) -> bool:
        """Go on from the run's folder; False where no state lies there.

        Raises CheckpointError, naming the file, when one is damaged, when the state is of another recipe or network,
        for the result would be of neither, and when ``validation.csv`` is of other images, for the best of both can't
        be told.
        """
        path = self.folder / "state.safetensors"
        if not path.exists():
            return False
        state = read_state(path, self.recipe, self.network)
        try:
            self.model.load_state_dict(state.tensors["model"])
            for name, value in self.average.items():
                value.copy_(state.tensors["average"][name])
            self.objective.load_state(state.tensors["objective"])
        except (KeyError, ValueError, IndexError, RuntimeError) as error:
            raise damaged(path, error) from error
        self.iteration = state.iteration
        # The curves are written before the state: the file may have rows of iterations that now are done again.
        self.curves = self._read_rows("curves.csv", self.iteration, self.columns)
        if self.curves and self.curves[-1]["iteration"] != self.iteration - 1:
            raise CheckpointError(
                f"{self.folder / 'curves.csv'}: damaged (it ends before iteration {self.iteration}, where the state "
                "is); move it away to go on without the rows it holds"
            )
        if self.validation is not None:
            columns = ("iteration", *self.validation.names)
            self.validations = self._read_rows("validation.csv", self.iteration + 1, columns)
        return True

    def _read_rows(self, name: str, before: int, columns: Sequence[str]) -> list[Row]:
        path = self.folder / name
        rows = read_rows(path, before)
        if rows and list(rows[0]) != list(columns):
            others = " and best.safetensors" if name == "validation.csv" else ""
            raise CheckpointError(
                f"{path}: holds {', '.join(list(rows[0])[1:])}; give the same options to go on with it, or move "
                f"it{others} away"
            )
        return rows

    def _save_weights(self, model: nn.Module, name: str, notes: Mapping[str, str]) -> None:
        with self._writing(name) as path:
            save_weights(model, path, notes)

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        """The path of a file of the run; what goes wrong in writing it is told in one line."""
        path = self.folder / name
        try:
            yield path
        except (OSError, SafetensorError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise InputError(
                f"{path}: can't be written ({reason}); make room, and the same command goes on from the last state"
            ) from error


@contextmanager
def _signals() -> Iterator[Callable[[], signal.Signals | None]]:
    """A function that gives the signal, of SIGNALS, that has arrived; in other threads than the main one, None ever."""
    arrived: list[signal.Signals] = []

    def note(number: int, frame: FrameType | None) -> None:
        if arrived and number == signal.SIGINT:
            raise KeyboardInterrupt
        arrived.append(signal.Signals(number))

    main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, note) for number in SIGNALS} if main else {}
    try:
        yield lambda: arrived[0] if arrived else None
    finally:
        for number, handler in previous.items():
            with suppress(TypeError):  # a handler that Python didn't set is None, and can't be set again
                signal.signal(number, handler)


def _mean(values: Sequence[float]) -> float:
    """Of those that are numbers."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
