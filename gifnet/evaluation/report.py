"""What an evaluation found, and its tables: plain text, Markdown, CSV, JSON."""

import csv
import io
import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import escaped
from ..metrics.registry import METRICS


@dataclass(frozen=True)
class Score:
    """The metrics of one fused image."""

    model: str
    pair: str  # the file stem
    values: Mapping[str, float]  # by metric; NaN where undefined


@dataclass(frozen=True)
class Failure:
    """A pair, or a model on a pair, that could not be measured."""

    pair: str
    path: str  # the file at fault
    reason: str
    model: str | None = None  # None: no model could be measured on the pair


@dataclass(frozen=True)
class Summary:
    """A metric of one model over the pairs where it is finite."""

    mean: float
    deviation: float  # the population's, that is divided by count
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Summary":
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return cls(math.nan, math.nan, 0)
        return cls(statistics.fmean(finite), statistics.pstdev(finite), len(finite))


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate_folders`` found."""

    models: tuple[str, ...]
    metrics: tuple[str, ...]
    pairs: int  # stems found in either folder
    scores: tuple[Score, ...]
    failures: tuple[Failure, ...]

    def summary(self, model: str, metric: str) -> Summary:
        """Mean and deviation of a metric over the pairs on which the model was measured."""
        return Summary.of(score.values.get(metric, math.nan) for score in self.scores if score.model == model)

    def table(self) -> str:
        """Mean ± deviation of every metric (rows) for every model (columns), and the failures, as plain text."""
        rows = [["", *self.models], *([label, *cells] for label, cells in self._rows("{}"))]
        return "\n".join([*_aligned(rows), "", *self._remarks("  ")]) + "\n"

    def markdown(self) -> str:
        """The table in Markdown, the best mean of several models in bold."""
        rows = [[label, *cells] for label, cells in self._rows("**{}**" if len(self.models) > 1 else "{}")]
        return "\n".join([*_markdown(["", *self.models], rows, left=1), "", *self._remarks("- ")]) + "\n"

    def csv(self) -> str:
        """One line per model and metric: model, metric, better, mean, deviation (empty if there are none), count."""
        return _csv(["model", "metric", "better", "mean", "deviation", "count"], self.lines())

    def lines(self) -> Iterator[list[Any]]:
        """The lines of ``csv``."""
        for model in self.models:
            for metric in self.metrics:
                found = self.summary(model, metric)
                numbers = [found.mean, found.deviation] if found.count else ["", ""]
                yield [model, metric, _better(metric), *numbers, found.count]

    def json(self) -> str:
        """Everything: summaries, every pair's values, failures. Values that are undefined or infinite are null."""
        return _json(self.document())

    def document(self) -> dict[str, Any]:
        """What ``json`` writes."""
        return {
            "pairs": self.pairs,
            "metrics": {name: {"better": _better(name)} for name in self.metrics},
            "models": {
                model: {metric: _finite(vars(self.summary(model, metric))) for metric in self.metrics}
                for model in self.models
            },
            "scores": [
                {"model": score.model, "pair": score.pair, "values": _finite(score.values)} for score in self.scores
            ],
            "failures": [vars(failure) for failure in self.failures],
        }

    def _rows(self, best: str) -> Iterator[tuple[str, list[str]]]:
        """Each metric's name and arrow, and its cells, the best one formatted with ``best``."""
        for metric in self.metrics:
            found = [self.summary(model, metric) for model in self.models]
            record = _record(metric, found)
            cells = []
            for model, summary in zip(self.models, found, strict=True):
                cell = _cell(summary)
                if 0 < summary.count < self._measured(model):
                    cell += f" (n = {summary.count})"
                cells.append(best.format(cell) if summary.count and summary.mean == record else cell)
            yield f"{metric} {METRICS[metric].arrow}", cells

    def _measured(self, model: str) -> int:
        return sum(score.model == model for score in self.scores)

    def _remarks(self, bullet: str) -> list[str]:
        """How many pairs the figures are of, and what failed."""
        counts = [self._measured(model) for model in self.models]
        if len(set(counts)) == 1:
            over = str(counts[0])
        else:
            over = ", ".join(f"{count} ({model})" for count, model in zip(counts, self.models, strict=True))
        lines = [f"Mean ± deviation over {over} of {self.pairs} pairs."]
        if self.failures:
            lines += ["", f"{len(self.failures)} failed:", ""]
        for failure in self.failures:
            model = f" ({failure.model})" if failure.model else ""
            lines.append(f"{bullet}{failure.pair}{model}: {failure.path}: {failure.reason}")
        return list(map(escaped, lines))


@dataclass(frozen=True)
class SetsEvaluation:
    """What ``evaluate_sets`` found: an ``Evaluation`` of the same models and metrics for each set, by its name."""

    sets: Mapping[str, Evaluation]

    @property
    def models(self) -> tuple[str, ...]:
        return next(iter(self.sets.values())).models

    @property
    def metrics(self) -> tuple[str, ...]:
        return next(iter(self.sets.values())).metrics

    @property
    def scores(self) -> tuple[Score, ...]:
        return tuple(score for evaluation in self.sets.values() for score in evaluation.scores)

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(failure for evaluation in self.sets.values() for failure in evaluation.failures)

    def ratio(self, name: str, metric: str) -> float:
        """The first of two models' mean over the second's, on one set; NaN where one is missing or not positive."""
        first, second = (self.sets[name].summary(model, metric).mean for model in self.models)
        return first / second if first > 0 and second > 0 else math.nan

    def table(self) -> str:
        """A table for each set, as ``Evaluation.table`` has it, and all means: sets and models by metrics."""
        parts = [f"{escaped(name)}\n\n{evaluation.table()}" for name, evaluation in self.sets.items()]
        rows = [["", "", *self._headings()], *self._rows("{}")]
        return "\n".join([*parts, "All sets, means", "", *_aligned(rows), *self._remarks()]) + "\n"

    def markdown(self) -> str:
        """The tables in Markdown, those of the sets below the one of all means; the best of several models in bold."""
        parts = [f"## {escaped(name)}\n\n{evaluation.markdown()}" for name, evaluation in self.sets.items()]
        rows = list(self._rows("**{}**" if len(self.models) > 1 else "{}"))
        summary = [*_markdown(["set", "model", *self._headings()], rows, left=2), *self._remarks(), ""]
        return "\n".join(["## All sets, means", "", *summary, *parts])

    def csv(self) -> str:
        """As ``Evaluation.csv``, with the set's name in front."""
        columns = ["set", "model", "metric", "better", "mean", "deviation", "count"]
        return _csv(columns, ([name, *line] for name, each in self.sets.items() for line in each.lines()))

    def json(self) -> str:
        """As ``Evaluation.json``, for each set, under ``sets``; of two models also ``ratios``, by set and metric."""
        document: dict[str, Any] = {"sets": {name: each.document() for name, each in self.sets.items()}}
        if len(self.models) == 2:
            document["ratios"] = {
                name: _finite({metric: self.ratio(name, metric) for metric in self.metrics}) for name in self.sets
            }
        return _json(document)

    def _headings(self) -> list[str]:
        return [f"{metric} {METRICS[metric].arrow}" for metric in self.metrics]

    def _rows(self, best: str) -> Iterator[list[str]]:
        """Set, model and means of every set and model; of two models also the ratios."""
        for name, evaluation in self.sets.items():
            records = {
                metric: _record(metric, [evaluation.summary(model, metric) for model in self.models])
                for metric in self.metrics
            }
            for model in self.models:
                cells = []
                for metric in self.metrics:
                    mean = evaluation.summary(model, metric).mean
                    cells.append(best.format(_number(mean)) if mean == records[metric] else _number(mean))
                yield [name, model, *cells]
            if len(self.models) == 2:
                ratios = [self.ratio(name, metric) for metric in self.metrics]
                cells = ["–" if math.isnan(ratio) else f"{ratio:.0%}" for ratio in ratios]
                yield [name, " / ".join(self.models), *cells]

    def _remarks(self) -> list[str]:
        """Of two models, in how many cells the first is better."""
        if len(self.models) != 2:
            return []
        better = total = 0
        for evaluation in self.sets.values():
            for metric in self.metrics:
                here, there = (evaluation.summary(model, metric) for model in self.models)
                if here.count and there.count:
                    total += 1
                    ahead = here.mean - there.mean
                    better += (ahead if METRICS[metric].higher_is_better else -ahead) > 0
        first, second = map(escaped, self.models)
        return ["", f"{first} is better than {second} in {better} of {total}."]


def _record(metric: str, found: Sequence[Summary]) -> float:
    """The best mean; NaN where there is none."""
    best = max if METRICS[metric].higher_is_better else min
    return best((summary.mean for summary in found if summary.count), default=math.nan)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    rows = [list(map(escaped, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _markdown(headings: list[str], rows: list[list[str]], left: int) -> list[str]:
    """A table in Markdown, all but the ``left`` first columns aligned to the right."""
    rules = ["---" if column < left else "---:" for column in range(len(headings))]
    return [
        "| " + " | ".join(escaped(cell).replace("|", "\\|") for cell in row) + " |" for row in [headings, rules, *rows]
    ]


def _csv(columns: list[str], lines: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return text.getvalue()


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _better(metric: str) -> str:
    return "higher" if METRICS[metric].higher_is_better else "lower"


def _cell(summary: Summary) -> str:
    if not summary.count:
        return "–"
    return f"{_number(summary.mean)} ± {summary.deviation:.{_digits(summary.mean)}f}"


def _number(mean: float) -> str:
    return f"{mean:.{_digits(mean)}f}" if math.isfinite(mean) else "–"


def _digits(mean: float) -> int:
    """Decimals that make four significant digits, one at least."""
    return max(1, 3 - len(str(int(abs(mean)))) + 1)


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
