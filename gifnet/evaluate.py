"""Measuring fused images, or models, on folders of pairs; and the subcommand ``gifnet eval``."""

import argparse
import csv
import io
import json
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor
from tqdm import tqdm

from . import colour
from .errors import InputError
from .files import atomic_path
from .image import read
from .metrics.planes import image_functions
from .metrics.registry import METRICS, chosen
from .metrics.registry import evaluate as measure


class FuserLike(Protocol):
    """What a model must offer, as ``gifnet.load`` gives it."""

    def fuse(self, a: str, b: str, /) -> Image.Image:
        """The fused image of two image files."""


Name = str | os.PathLike[str]  # of a model, as gifnet.load takes it


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
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, "", *self._remarks("  ")]) + "\n"

    def markdown(self) -> str:
        """The table in Markdown, the best mean of several models in bold."""
        rows = [["", *self.models], ["---", *("---:" for _ in self.models)]]
        rows += [[label, *cells] for label, cells in self._rows("**{}**" if len(self.models) > 1 else "{}")]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        return "\n".join([*lines, "", *self._remarks("- ")]) + "\n"

    def csv(self) -> str:
        """One line per model and metric: model, metric, better, mean, deviation (empty if there are none), count."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["model", "metric", "better", "mean", "deviation", "count"])
        for model in self.models:
            for metric in self.metrics:
                found = self.summary(model, metric)
                numbers = [found.mean, found.deviation] if found.count else ["", ""]
                writer.writerow([model, metric, _better(metric), *numbers, found.count])
        return text.getvalue()

    def json(self) -> str:
        """Everything: summaries, every pair's values, failures. Values that are undefined or infinite are null."""
        document = {
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
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a PNG of all means as bars, with the deviations, one panel per metric.

        Raises:
            InputError: another suffix, no such folder, or nothing was measured.
            ImportError: matplotlib is missing.
        """
        target = check_output(path, ".png")
        if not self.scores:
            raise InputError(f"{target}: nothing to plot, no pair could be measured")
        figure_class = _figure_class()
        columns = min(4, len(self.metrics))
        rows = math.ceil(len(self.metrics) / columns)
        height = 0.4 + 0.32 * len(self.models)
        figure = figure_class(figsize=(3.2 * columns, rows * (1 + height)), layout="constrained")
        for index, metric in enumerate(self.metrics):
            panel = figure.add_subplot(rows, columns, index + 1)
            found = [self.summary(model, metric) for model in self.models]
            panel.barh(
                range(len(found)),
                [summary.mean for summary in found],
                xerr=[summary.deviation for summary in found],
                color=[f"C{i % 10}" for i in range(len(found))],
                error_kw={"elinewidth": 1, "capsize": 2},
            )
            panel.set_title(f"{metric} {METRICS[metric].arrow}")
            panel.set_yticks(range(len(found)), self.models if index % columns == 0 else [""] * len(found))
            panel.invert_yaxis()
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format="png", dpi=120)

    def _rows(self, best: str) -> Iterator[tuple[str, list[str]]]:
        """Each metric's name and arrow, and its cells, the best one formatted with ``best``."""
        for metric in self.metrics:
            found = [self.summary(model, metric) for model in self.models]
            means = [summary.mean for summary in found if summary.count]
            record = (max if METRICS[metric].higher_is_better else min)(means, default=math.nan)
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
        return lines


def evaluate_folders(
    a_dir: str | os.PathLike[str],
    b_dir: str | os.PathLike[str],
    fused_dir: str | os.PathLike[str] | None = None,
    models: Name | Sequence[Name] | Mapping[str, Name | FuserLike] = (),
    metrics: Iterable[str] | None = None,
    progress: bool = True,
    device: str = "auto",
    dtype: str = "auto",
) -> Evaluation:
    """Measure fused images on folders of pairs, or fuse the pairs with models and measure the results.

    Pairs are files of the same stem in ``a_dir`` and ``b_dir``, in any formats that Pillow reads. The metrics see the
    luminance, 0.299 R + 0.587 G + 0.114 B. What can't be paired, read, fused or measured is recorded, and the rest
    goes on.

    Args:
        a_dir: the first sources; the infrared images of infrared-visible pairs.
        b_dir: the second sources.
        fused_dir: fused images of the same stems, labelled with the folder's name in the result; or
        models: what to fuse with, as names and paths that ``gifnet.load`` takes, which are their labels, or as a
            mapping from labels to such names or to objects with a ``fuse``. Neither models nor a folder: the bundled
            model.
        metrics: names in ``gifnet.metrics.METRICS``; None: all that take a fused image and two sources, on each pair
            those that its size allows.
        progress: show a progress bar on stderr.
        device: where models run, as for ``gifnet.load``.
        dtype: their precision, as for ``gifnet.load``.

    Raises:
        InputError: no such folder, unknown metrics, models and ``fused_dir`` both, models that can't be loaded.
        ImportError: a metric needs torchmetrics, and it is missing.
    """
    names = None if metrics is None else list(metrics) if not isinstance(metrics, str) else [metrics]
    measured = chosen(names)
    if any(metric.library for metric in measured):
        image_functions()  # to say now, not after the first fusion, that it is missing
    a_folder, b_folder = _Folder.scan(a_dir), _Folder.scan(b_dir)
    fusions = _fusions(fused_dir, models, device, dtype)
    scores: list[Score] = []
    failures: list[Failure] = []
    stems = sorted(a_folder.files.keys() | b_folder.files.keys())
    for stem in tqdm(stems, desc="eval", unit="pair", disable=not progress):
        try:
            a_path, b_path = a_folder.only(stem), b_folder.only(stem)
            a, b = _luminance(a_path), _luminance(b_path)
            if a.shape != b.shape:
                raise _Fault(b_path, f"{_size(b)} pixels, but {a_path} is {_size(a)}")
        except _Fault as fault:
            failures.append(Failure(stem, str(fault.path), fault.reason))
            continue
        for label, fusion in fusions.items():
            found = _scored(label, fusion, _Pair(stem, a_path, b_path, a, b), names)
            if isinstance(found, Score):
                scores.append(found)
            else:
                failures.append(found)
    labels, columns = tuple(fusions), tuple(metric.name for metric in measured)
    return Evaluation(labels, columns, len(stems), tuple(scores), tuple(failures))


class _Fault(Exception):
    """What keeps one pair from being measured; it is recorded and does not end the evaluation."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Whatever fails inside, for want of memory for instance, is the fault of this file."""
    try:
        yield
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _Fault(path, reason.removeprefix(f"{path}: ")) from error


@dataclass(frozen=True)
class _Folder:
    """A folder's images by their stem."""

    path: Path
    files: dict[str, list[Path]]

    @classmethod
    def scan(cls, path: str | os.PathLike[str]) -> "_Folder":
        folder = Path(path)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
        readable = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
        files: dict[str, list[Path]] = {}
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in readable and not file.name.startswith(".") and not file.is_dir():
                files.setdefault(file.stem, []).append(file)
        return cls(folder, files)

    def only(self, stem: str) -> Path:
        """The one image of this stem."""
        files = self.files.get(stem, [])
        if len(files) == 1:
            return files[0]
        found = f"several images are named {stem}: {', '.join(file.name for file in files)}"
        raise _Fault(self.path, found if files else f"no image is named {stem}")


# From a stem and the sources' files to the fused luminance (1, 1, H, W); raises _Fault.
_Fusion = Callable[[str, Path, Path], Tensor]


def _fusions(
    fused_dir: str | os.PathLike[str] | None,
    models: Name | Sequence[Name] | Mapping[str, Name | FuserLike],
    device: str,
    dtype: str,
) -> dict[str, _Fusion]:
    """What makes, or finds, the fused images, by label."""
    if fused_dir is not None:
        if models:
            raise InputError("give a folder of fused images or models, not both")
        folder = _Folder.scan(fused_dir)
        return {folder.path.resolve().name or str(folder.path): lambda stem, _a, _b: _luminance(folder.only(stem))}

    from .api import load
    from .hub import BUNDLED

    if isinstance(models, (str, os.PathLike)):
        models = [models]
    if not isinstance(models, Mapping):
        models = {os.fspath(name): name for name in models or [BUNDLED]}

    def fusion(model: Name | FuserLike) -> _Fusion:
        fuser: FuserLike = load(model, device, dtype) if isinstance(model, (str, os.PathLike)) else model

        def fuse(_stem: str, a: Path, b: Path) -> Tensor:
            with _faults(a):
                return colour.split(read(fuser.fuse(str(a), str(b)), "fused").pixels)[0]

        return fuse

    return {label: fusion(model) for label, model in models.items()}


@dataclass(frozen=True)
class _Pair:
    """Two readable sources of one size."""

    stem: str
    a_path: Path
    b_path: Path
    a: Tensor  # luminance (1, 1, H, W)
    b: Tensor


def _scored(label: str, fusion: _Fusion, pair: _Pair, names: Sequence[str] | None) -> Score | Failure:
    """Fuse one pair, or find it fused, and measure it."""
    try:
        fused = fusion(pair.stem, pair.a_path, pair.b_path)
        if fused.shape != pair.a.shape:
            raise _Fault(pair.a_path, f"{_size(pair.a)} pixels, but its fused image is {_size(fused)}")
        with _faults(pair.a_path):
            values = {name: float(value) for name, value in measure(fused, pair.a, pair.b, names).items()}
    except _Fault as fault:
        return Failure(pair.stem, str(fault.path), fault.reason, label)
    return Score(label, pair.stem, values)


def _luminance(path: Path) -> Tensor:
    """The luminance (1, 1, H, W) in [0, 1] of an image file."""
    with _faults(path):
        return colour.split(read(path, str(path)).pixels)[0]


def _size(plane: Tensor) -> str:
    return f"{plane.shape[-1]}×{plane.shape[-2]}"


def _better(metric: str) -> str:
    return "higher" if METRICS[metric].higher_is_better else "lower"


def _cell(summary: Summary) -> str:
    if not summary.count:
        return "–"
    digits = max(1, 3 - len(str(int(abs(summary.mean)))) + 1)
    return f"{summary.mean:.{digits}f} ± {summary.deviation:.{digits}f}"


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


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


def _figure_class() -> Any:
    """The Figure of matplotlib, which draws without a display and without pyplot's state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'gifnet[train]' (or matplotlib)") from error
    return Figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet eval``."""
    parser.add_argument("a_dir", metavar="A_DIR", help="first images; the infrared ones of infrared-visible pairs")
    parser.add_argument("b_dir", metavar="B_DIR", help="second images, of the same file stems and sizes")
    fused = parser.add_mutually_exclusive_group()
    fused.add_argument("--fused", metavar="DIR", help="measure the fused images in DIR, of the same stems")
    fused.add_argument(
        "--model",
        nargs="+",
        action="extend",
        default=[],
        metavar="M",
        help="measure these models: 'gifnet' (bundled, default), .safetensors files, or org/name[@revision]",
    )
    parser.add_argument("--metrics", nargs="+", action="extend", metavar="NAME", help=f"some of {', '.join(METRICS)}")
    parser.add_argument("--markdown", metavar="FILE", help="write the table in Markdown")
    parser.add_argument("--csv", metavar="FILE", help="write mean and deviation of each model and metric as CSV")
    parser.add_argument("--json", metavar="FILE", help="write everything, each pair's values too, as JSON")
    parser.add_argument("--plot", metavar="FILE", help="write a plot as PNG")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--dtype", default="auto", help="auto (default), float32, float16 or bfloat16")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table and write what was asked for. Returns 0, or 1 if any pair failed or there is none.

    Raises InputError and ImportError as ``evaluate_folders`` does, and for files that can't be written.
    """
    texts = {"markdown": args.markdown, "csv": args.csv, "json": args.json}
    for path in filter(None, texts.values()):  # before the work, not after it
        check_output(path)
    if args.plot:
        check_output(args.plot, ".png")
        _figure_class()
    evaluation = evaluate_folders(
        args.a_dir,
        args.b_dir,
        args.fused,
        args.model,
        args.metrics,
        progress=not args.quiet,
        device=args.device,
        dtype=args.dtype,
    )
    for kind, path in texts.items():
        if path:
            with atomic_path(path) as temporary:
                temporary.write_text(getattr(evaluation, kind)(), encoding="utf-8")
    if args.plot and evaluation.scores:
        evaluation.plot(args.plot)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(evaluation.table().encode(encoding, "replace").decode(encoding))
    return 1 if evaluation.failures or not evaluation.scores else 0
