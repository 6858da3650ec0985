"""The table of all figures: a row per measure, a column per method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

NOTHING = "–"


@dataclass(frozen=True)
class Measure:
    """How a measure is printed, and which of its values is best."""

    unit: str
    digits: int
    best: float  # the value that there is no better one than

    def distance(self, value: float) -> float:
        """How far a value, as printed, is from the best."""
        rounded = round(value, self.digits)
        return -rounded if self.best == np.inf else abs(rounded - self.best)

    def text(self, value: float) -> str:
        return "∞" if value == np.inf else f"{value:.{self.digits}f}"


MEASURES = {
    "PSNR": Measure("dB", 2, np.inf),
    "PSNR luma": Measure("dB", 2, np.inf),
    "gain in PSNR luma": Measure("dB", 2, np.inf),
    "overshoot": Measure("levels", 3, 0),
    "MEF-SSIM": Measure("", 4, 1),
    "Qabf": Measure("", 3, 1),
    "hue error": Measure("degrees", 2, 0),
    "saturation": Measure("", 3, 1),
    "deviation of saturation": Measure("", 3, 0),
}


@dataclass
class Table:
    """Values by row (task and measure) and column (method), and why some are missing."""

    columns: Sequence[str]
    rows: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def put(self, task: str, column: str, values: Mapping[str, float]) -> None:
        """The values of one method in one task, by measure."""
        for measure, value in values.items():
            self.rows.setdefault((task, measure), {})[column] = value

    def markdown(self) -> str:
        """A Markdown table, the best of each row in bold, and the notes below it."""
        lines = [row(["task", "measure", *self.columns]), row(["---", "---", *["---:"] * len(self.columns)])]
        previous = ""
        for (task, name), values in self.rows.items():
            lines.append(row(["" if task == previous else task, *self._cells(name, values)]))
            previous = task
        return "\n".join([*lines, *([""] if self.notes else []), *(f"* {note}" for note in self.notes)])

    def as_list(self) -> list[dict[str, object]]:
        """The rows, for JSON; infinite values are None."""
        return [
            {
                "task": task,
                "measure": measure,
                "values": {name: value if np.isfinite(value) else None for name, value in values.items()},
            }
            for (task, measure), values in self.rows.items()
        ]

    def _cells(self, name: str, values: Mapping[str, float]) -> list[str]:
        measure = MEASURES[name]
        least = min(measure.distance(value) for value in values.values())
        cells = [name + (f", {measure.unit}" if measure.unit else "")]
        for column in self.columns:
            if column not in values:
                cells.append(NOTHING)
            elif len(values) > 1 and measure.distance(values[column]) == least:
                cells.append(f"**{measure.text(values[column])}**")
            else:
                cells.append(measure.text(values[column]))
        return cells


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
