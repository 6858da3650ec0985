"""Pairs of images are found, fused (or their fused images are read) and measured, one after the other."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import InputError, escaped
from ..execution.context import in_plain_context
from ..execution.progress import bar
from ..metrics.planes import image_functions
from ..metrics.registry import chosen
from ..metrics.registry import evaluate as measure
from ..options.declarations import EVALUATION_PROGRESS
from ..options.values import Device, Dtype, Name, Progress
from .report import Evaluation, Failure, Score, SetsEvaluation
from .sources import Fault, Folder, Fusion, Models, Pair, faults, read_pair, size_of, sources_of


@in_plain_context
def evaluate_folders(
    a_dir: str | os.PathLike[str],
    b_dir: str | os.PathLike[str],
    models: Models = (),
    metrics: Iterable[str] | None = None,
    save_fused: Name | None = None,
    progress: Progress = True,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> Evaluation:
    """Fuse pairs with models, or find them fused, and measure the results.

    Pairs are files of the same stem in ``a_dir`` and ``b_dir``, in any formats that Pillow reads. The metrics see the
    luminance, 0.299 R + 0.587 G + 0.114 B. What can't be paired, read, fused or measured is recorded, and the rest
    goes on.

    Args:
        a_dir: the first sources; the infrared images of infrared-visible pairs.
        b_dir: the second sources.
        models: names and paths that ``gifnet.load`` takes, which are their labels in the result, and ``FusedImages``,
            labelled with the folder's name; or a mapping from labels to such, or to objects with a ``fuse``. None: the
            bundled model.
        metrics: names in ``gifnet.metrics.METRICS``. None: all that take a fused image and two sources, on each pair
            those that its size allows.
        save_fused: a folder for what the models make, as ``LABEL[/SET]/STEM.png``. Made if need be. In a label,
            characters that file names had better not have become ``_``.
        progress: True or None: a progress bar on stderr; a function of the pairs done and their number, which may end
            the work with an exception; False: neither.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Raises:
        InputError: no such folder, unknown metrics, models that can't be loaded or share a label.
        MissingExtraError: a metric needs torchmetrics, and it is missing (extra "metrics").
    """
    progress, names = EVALUATION_PROGRESS.check(progress), _checked_metrics(metrics)
    a, b = Folder.scan(a_dir), Folder.scan(b_dir)
    sources = {label: source.of_set("") for label, source in sources_of(models, save_fused, device, dtype).items()}
    return _evaluate(a, b, sources, names, "eval", progress)


@in_plain_context
def evaluate_sets(
    sets_dir: str | os.PathLike[str],
    models: Models = (),
    metrics: Iterable[str] | None = None,
    save_fused: Name | None = None,
    progress: Progress = True,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> SetsEvaluation:
    """``evaluate_folders`` on every set in ``sets_dir``: its subfolders with folders ``a`` and ``b``, by name.

    Args:
        sets_dir: the folder of sets.
        models: names and paths that ``gifnet.load`` takes, which are their labels in the result, and ``FusedImages``
            with a subfolder for each set, labelled with the folder's name; or a mapping from labels to such, or to
            objects with a ``fuse``. None: the bundled model.
        metrics: names in ``gifnet.metrics.METRICS``. None: all that take a fused image and two sources, on each pair
            those that its size allows.
        save_fused: a folder for what the models make, as ``LABEL[/SET]/STEM.png``. Made if need be. In a label,
            characters that file names had better not have become ``_``.
        progress: True or None: a progress bar on stderr; a function of the pairs done and their number, which may end
            the work with an exception; False: neither.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Raises:
        InputError: no such folder, no set in it, unknown metrics, models that can't be loaded or share a label.
        ImportError: a metric needs torchmetrics, and it is missing.
    """
    progress, names = EVALUATION_PROGRESS.check(progress), _checked_metrics(metrics)
    root = Path(sets_dir)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    sets = sorted(path.name for path in root.iterdir() if (path / "a").is_dir() and (path / "b").is_dir())
    if not sets:
        raise InputError(f"{root}: no set; a set is a subfolder that holds the folders a and b")
    folders = {name: (Folder.scan(root / name / "a"), Folder.scan(root / name / "b")) for name in sets}
    sources = sources_of(models, save_fused, device, dtype)
    of_sets = {name: {label: source.of_set(name) for label, source in sources.items()} for name in sets}
    return SetsEvaluation({name: _evaluate(*folders[name], of_sets[name], names, name, progress) for name in sets})


def _checked_metrics(metrics: Iterable[str] | None) -> list[str] | None:
    names = None if metrics is None else list(metrics) if not isinstance(metrics, str) else [metrics]
    if any(metric.library for metric in chosen(names)):
        image_functions()  # to say now, not after the first fusion, that it is missing
    return names


def _evaluate(
    a_folder: Folder,
    b_folder: Folder,
    fusions: Mapping[str, Fusion],
    names: Sequence[str] | None,
    title: str,
    progress: Progress,
) -> Evaluation:
    scores: list[Score] = []
    failures: list[Failure] = []
    stems = sorted(a_folder.files.keys() | b_folder.files.keys())
    shown = not callable(progress) and progress is not False
    for index, stem in enumerate(bar(iterable=stems, desc=escaped(title), unit="pair", disable=not shown)):
        if callable(progress) and index:
            progress(index, len(stems))
        try:
            pair = read_pair(stem, a_folder, b_folder)
        except Fault as fault:
            failures.append(Failure(stem, str(fault.path), fault.reason))
            continue
        for label, fusion in fusions.items():
            found = _scored(label, fusion, pair, names)
            if isinstance(found, Score):
                scores.append(found)
            else:
                failures.append(found)
    if callable(progress) and stems:
        progress(len(stems), len(stems))
    columns = tuple(metric.name for metric in chosen(names))
    return Evaluation(tuple(fusions), columns, len(stems), tuple(scores), tuple(failures))


def _scored(label: str, fusion: Fusion, pair: Pair, names: Sequence[str] | None) -> Score | Failure:
    """Fuse one pair, or find it fused, and measure it."""
    try:
        fused = fusion(pair)
        if fused.shape != pair.a.shape:
            raise Fault(pair.a_path, f"{size_of(pair.a)} pixels, but its fused image is {size_of(fused)}")
        with faults(pair.a_path):
            values = {name: float(value) for name, value in measure(fused, pair.a, pair.b, names).items()}
    except Fault as fault:
        return Failure(pair.stem, str(fault.path), fault.reason, label)
    return Score(label, pair.stem, values)
