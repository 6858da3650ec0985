"""An evaluation as a figure: the means as bars, with their deviations."""

import math
import os
from pathlib import Path
from typing import Any

from ..errors import InputError, escaped
from ..extras import require
from ..files.atomic import atomic_path
from ..metrics.registry import METRICS
from .report import Evaluation, SetsEvaluation


def plot(evaluation: Evaluation | SetsEvaluation, path: str | os.PathLike[str]) -> None:
    """Write a PNG: a panel for each metric, for sets a row of panels each; a bar for each model.

    Raises:
        InputError: another suffix, no such folder, or nothing was measured.
        MissingExtraError: matplotlib is missing (extra "train").
    """
    target = check_output(path, ".png")
    if not evaluation.scores:
        raise InputError(f"{target}: nothing to plot, no pair could be measured")
    figure_class = load_figure_class()
    models, metrics = evaluation.models, evaluation.metrics
    if isinstance(evaluation, SetsEvaluation):
        panels = [(name, each, metric) for name, each in evaluation.sets.items() for metric in metrics]
        columns = len(metrics)
    else:
        panels = [("", evaluation, metric) for metric in metrics]
        columns = min(4, len(metrics))
    rows = math.ceil(len(panels) / columns)
    height = 0.4 + 0.32 * len(models)
    figure = figure_class(figsize=(3.2 * columns, rows * (1 + height)), layout="constrained")
    for index, (name, each, metric) in enumerate(panels):
        panel = figure.add_subplot(rows, columns, index + 1)
        found = [each.summary(model, metric) for model in models]
        panel.barh(
            range(len(found)),
            [summary.mean for summary in found],
            xerr=[summary.deviation for summary in found],
            color=[f"C{i % 10}" for i in range(len(found))],
            error_kw={"elinewidth": 1, "capsize": 2},
        )
        panel.set_title(f"{escaped(name)} {metric} {METRICS[metric].arrow}".lstrip())
        panel.set_yticks(range(len(found)), list(map(escaped, models)) if index % columns == 0 else [""] * len(found))
        panel.invert_yaxis()
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def check_output(path: str | os.PathLike[str], *suffixes: str) -> Path:
    """The path, if a file can be written there: one of the suffixes, if any are given, and a folder that exists.

    Raises InputError.
    """
    target = Path(path)
    if suffixes and target.suffix.lower() not in suffixes:
        raise InputError(f"{target}: unknown suffix {target.suffix!r}; use {', '.join(suffixes)}")
    if not target.parent.is_dir():
        raise InputError(f"{target}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise InputError(f"{target}: is a folder; give a file name")
    return target


def load_figure_class() -> Any:
    """The Figure of matplotlib, which draws without a display and without pyplot's state."""
    return require("matplotlib.figure", extra="train", purpose="plotting").Figure
