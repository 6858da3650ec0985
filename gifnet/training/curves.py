"""A run's curves: rows of numbers as CSV, and drawn."""

import csv
import io
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..extras import require
from ..files.atomic import atomic_path

Row = dict[str, float]  # by column; the first column is "iteration"
WEIGHT = "weight_"  # what names of columns begin with that are tasks' weights, no losses


def write_rows(path: Path, names: Sequence[str], rows: Sequence[Row]) -> None:
    """Write a CSV file, whole or not at all."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path, before: int) -> list[Row]:
    """The rows of iterations before this one, exactly as they were written; none where there is no file.

    Raises CheckpointError, naming the file, where it is damaged.
    """
    if not path.exists():
        return []
    try:
        text = path.read_bytes().decode("utf-8")
        if not text.endswith("\n"):
            raise ValueError("it ends within a row")
        names, *cells = csv.reader(io.StringIO(text, newline=""), strict=True)
        read = [[float(value) for value in row] for row in cells]
        if names[:1] != ["iteration"] or any(len(row) != len(names) for row in read):
            raise ValueError("not a table whose first column is iteration")
        if any(later[0] <= row[0] for row, later in pairwise(read)) or any(row[0] != int(row[0]) for row in read):
            raise ValueError("its iterations don't rise")
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        raise CheckpointError(f"{path}: damaged ({error}); move it away to go on without the rows it holds") from error
    rows = [dict(zip(names, row, strict=True)) for row in read]
    return [{**row, "iteration": int(row["iteration"])} for row in rows if row["iteration"] < before]


def draw(path: Path, losses: Sequence[Row], validations: Sequence[Row] = ()) -> None:
    """A PNG of the losses, faint and smoothed, on a logarithmic scale; below them the validation score, if any.

    Columns of ``losses`` after the first two, which are iteration and rate, are drawn; those whose names begin with
    ``WEIGHT`` in a panel of their own, which is linear.
    """
    names = list(losses[0])[2:] if losses else []
    weights = [name for name in names if name.startswith(WEIGHT)]
    rows = 1 + bool(weights) + bool(validations)
    figure_class = require("matplotlib.figure", extra="train", purpose="drawing curves").Figure
    figure = figure_class(figsize=(9, 4.5 * rows), layout="constrained")
    panel, *others = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    _draw_columns(panel, losses, [name for name in names if name not in weights])
    panel.set(ylabel="loss", yscale="log")
    if weights:
        _draw_columns(others.pop(0), losses, weights).set(ylabel="weight of a task")
    for panel in others:
        x, y = (np.array([row[column] for row in validations]) for column in ("iteration", "score"))
        panel.plot(x, y, marker="o", markersize=3)
        panel.set(ylabel="validation score")
    figure.supxlabel("iteration")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _draw_columns(panel: Any, losses: Sequence[Row], names: Sequence[str]) -> Any:
    """Columns of the rows on a panel, faint and smoothed; the panel."""
    for index, name in enumerate(names):
        finite = [row for row in losses if math.isfinite(row[name])]  # a task that an iteration had none of has no loss
        if not finite:
            continue
        x, y = (np.array([row[column] for row in finite]) for column in ("iteration", name))
        width = max(1, len(y) // 50)
        middle = slice((width - 1) // 2, (width - 1) // 2 + len(y) - width + 1)
        smooth = np.convolve(y, np.full(width, 1 / width), mode="valid")
        panel.plot(x, y, color=f"C{index}", alpha=0.2, linewidth=0.5)
        panel.plot(x[middle], smooth, color=f"C{index}", label=f"{name}, mean of {width}")
    if losses:
        panel.legend()
    return panel
