"""Pairs of images are found, fused (or their fused images are read) and measured, one after the other."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from ..checkpoints.hub import BUNDLED
from ..errors import InputError, escaped
from ..execution.context import in_plain_context
from ..execution.progress import bar
from ..files.listing import images_in, stem_of
from ..files.pillow import from_pil
from ..files.raster import Raster
from ..files.writing import write_file
from ..images import colour
from ..images.reading import read
from ..metrics.planes import image_functions
from ..metrics.registry import chosen
from ..metrics.registry import evaluate as measure
from ..models import load
from ..options.declarations import EVALUATION_PROGRESS
from ..options.values import Device, Dtype, Name, Progress
from .report import Evaluation, Failure, Score, SetsEvaluation


class FuserLike(Protocol):
    """What a model must offer, as ``gifnet.load`` gives it."""

    def fuse(self, a: str, b: str, /) -> "Image.Image | np.ndarray[Any, Any]":
        """The fused image of two image files; an array where Pillow can't hold its depth."""


@dataclass(frozen=True)
class FusedImages:
    """In a model's place: a folder of images already fused, of the pairs' stems.

    For ``evaluate_sets``, a folder with a subfolder of them for each set.
    """

    folder: str | os.PathLike[str]


Models: TypeAlias = Name | FusedImages | Sequence[Name | FusedImages] | Mapping[str, Name | FusedImages | FuserLike]


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
    a, b = _Folder.scan(a_dir), _Folder.scan(b_dir)
    sources = {label: source.of_set("") for label, source in _sources(models, save_fused, device, dtype).items()}
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
    folders = {name: (_Folder.scan(root / name / "a"), _Folder.scan(root / name / "b")) for name in sets}
    sources = _sources(models, save_fused, device, dtype)
    of_sets = {name: {label: source.of_set(name) for label, source in sources.items()} for name in sets}
    return SetsEvaluation({name: _evaluate(*folders[name], of_sets[name], names, name, progress) for name in sets})


def _checked_metrics(metrics: Iterable[str] | None) -> list[str] | None:
    names = None if metrics is None else list(metrics) if not isinstance(metrics, str) else [metrics]
    if any(metric.library for metric in chosen(names)):
        image_functions()  # to say now, not after the first fusion, that it is missing
    return names


class _Fault(Exception):
    """What keeps one pair from being measured; it is recorded and does not end the evaluation."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """What fails in the block, also for lack of memory, is recorded as this file's fault: raises _Fault for it."""
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
        files: dict[str, list[Path]] = {}
        for file in images_in(folder):
            files.setdefault(stem_of(file), []).append(file)
        return cls(folder, files)

    def only(self, stem: str) -> Path:
        """The one image of this stem. Raises _Fault where there is none, or several."""
        files = self.files.get(stem, [])
        if len(files) == 1:
            return files[0]
        found = f"several images are named {stem}: {', '.join(file.name for file in files)}"
        raise _Fault(self.path, found if files else f"no image is named {stem}")


@dataclass(frozen=True)
class _Pair:
    """Two readable sources of one size."""

    stem: str
    a_path: Path
    b_path: Path
    a: Tensor  # luminance (1, 1, H, W)
    b: Tensor


_Fusion = Callable[[_Pair], Tensor]  # a pair's fused luminance (1, 1, H, W); raises _Fault


class _Source(Protocol):
    """Where fused images come from."""

    def of_set(self, name: str) -> _Fusion:
        """The function that gives the fused images of a set. The name is empty where there are no sets."""


@dataclass(frozen=True)
class _FusedBefore:
    """Images that were fused before, in a folder."""

    folder: Path

    def of_set(self, name: str) -> _Fusion:
        folder = _Folder.scan(self.folder / name)
        return lambda pair: _luminance(folder.only(pair.stem))


@dataclass(frozen=True)
class _FusedByModel:
    """Images that a model fuses when they are asked for, and that are also saved in the folder, if there is one."""

    fuser: FuserLike
    saved: Path | None

    def of_set(self, name: str) -> _Fusion:
        folder = self.saved and self.saved / name
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

        def fuse(pair: _Pair) -> Tensor:
            with _faults(pair.a_path):
                image = self.fuser.fuse(str(pair.a_path), str(pair.b_path))
            if folder:
                path = folder / f"{pair.stem}.png"
                with _faults(path):
                    write_file(_raster(image), path)
            with _faults(pair.a_path):
                return colour.split(read(image, "fused").load().pixels)[0]

        return fuse


def _raster(image: "Image.Image | np.ndarray[Any, Any]") -> Raster:
    if isinstance(image, Image.Image):
        return from_pil(image, "fused")
    return Raster(image if image.ndim == 3 else image[..., None])


def _sources(models: Models, save_fused: Name | None, device: Device, dtype: Dtype) -> dict[str, _Source]:
    """Where the fused images of each label come from."""
    if isinstance(models, (str, os.PathLike, FusedImages)):
        models = [models]
    if not isinstance(models, Mapping):
        given = list(models) or [BUNDLED]
        models = dict(zip(map(label_of, given), given, strict=True))
        if len(models) < len(given):
            raise InputError(f"several models are named {_repeated(map(label_of, given))}; give each a name of its own")
    folders = {label: re.sub(r"[^\w.@+-]|^\.", "_", label) for label in models}
    if save_fused is not None and len(set(folders.values())) < len(folders):
        raise InputError(f"several models would be saved as {_repeated(folders.values())}; give them other names")
    sources: dict[str, _Source] = {}
    for label, model in models.items():
        if isinstance(model, FusedImages):
            sources[label] = _FusedBefore(Path(model.folder))
        else:
            fuser: FuserLike = load(model, device, dtype) if isinstance(model, (str, os.PathLike)) else model
            sources[label] = _FusedByModel(fuser, None if save_fused is None else Path(save_fused) / folders[label])
    return sources


def label_of(model: Name | FusedImages) -> str:
    """A model's label where none is given: its name or path; of a folder of fused images, the folder's name."""
    if isinstance(model, FusedImages):
        return Path(model.folder).resolve().name or str(model.folder)
    return os.fspath(model)


def _repeated(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return next(name for name, after in pairwise(ordered) if name == after)


def _evaluate(
    a_folder: _Folder,
    b_folder: _Folder,
    fusions: Mapping[str, _Fusion],
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
            pair = _read_pair(stem, a_folder, b_folder)
        except _Fault as fault:
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


def _read_pair(stem: str, a_folder: _Folder, b_folder: _Folder) -> _Pair:
    a_path, b_path = a_folder.only(stem), b_folder.only(stem)
    a, b = _luminance(a_path), _luminance(b_path)
    if a.shape != b.shape:
        raise _Fault(b_path, f"{_size(b)} pixels, but {a_path} is {_size(a)}")
    return _Pair(stem, a_path, b_path, a, b)


def _scored(label: str, fusion: _Fusion, pair: _Pair, names: Sequence[str] | None) -> Score | Failure:
    """Fuse one pair, or find it fused, and measure it."""
    try:
        fused = fusion(pair)
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
        return colour.split(read(path, str(path)).load().pixels)[0]


def _size(plane: Tensor) -> str:
    return f"{plane.shape[-1]}×{plane.shape[-2]}"
