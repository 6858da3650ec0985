"""What is measured: pairs of images in two folders, and where their fused images come from."""

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
from ..errors import InputError
from ..files.listing import images_in, stem_of
from ..files.pillow import from_pil
from ..files.raster import Raster
from ..files.writing import write_file
from ..images import colour
from ..images.reading import read
from ..models import load
from ..options.values import Device, Dtype, Name


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


class Fault(Exception):
    """What keeps one pair from being measured; it is recorded and does not end the evaluation."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """What fails in the block, also for lack of memory, is recorded as this file's fault: raises Fault for it."""
    try:
        yield
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Fault(path, reason.removeprefix(f"{path}: ")) from error


@dataclass(frozen=True)
class Folder:
    """A folder's images by their stem."""

    path: Path
    files: dict[str, list[Path]]

    @classmethod
    def scan(cls, path: str | os.PathLike[str]) -> "Folder":
        folder = Path(path)
        files: dict[str, list[Path]] = {}
        for file in images_in(folder):
            files.setdefault(stem_of(file), []).append(file)
        return cls(folder, files)

    def only(self, stem: str) -> Path:
        """The one image of this stem. Raises Fault where there is none, or several."""
        files = self.files.get(stem, [])
        if len(files) == 1:
            return files[0]
        found = f"several images are named {stem}: {', '.join(file.name for file in files)}"
        raise Fault(self.path, found if files else f"no image is named {stem}")


@dataclass(frozen=True)
class Pair:
    """Two readable sources of one size."""

    stem: str
    a_path: Path
    b_path: Path
    a: Tensor  # luminance (1, 1, H, W)
    b: Tensor


Fusion = Callable[[Pair], Tensor]  # a pair's fused luminance (1, 1, H, W); raises Fault


class Source(Protocol):
    """Where fused images come from."""

    def of_set(self, name: str) -> Fusion:
        """The function that gives the fused images of a set. The name is empty where there are no sets."""


@dataclass(frozen=True)
class _FusedBefore:
    """Images that were fused before, in a folder."""

    folder: Path

    def of_set(self, name: str) -> Fusion:
        folder = Folder.scan(self.folder / name)
        return lambda pair: _luminance(folder.only(pair.stem))


@dataclass(frozen=True)
class _FusedByModel:
    """Images that a model fuses when they are asked for, and that are also saved in the folder, if there is one."""

    fuser: FuserLike
    saved: Path | None

    def of_set(self, name: str) -> Fusion:
        folder = self.saved and self.saved / name
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

        def fuse(pair: Pair) -> Tensor:
            with faults(pair.a_path):
                image = self.fuser.fuse(str(pair.a_path), str(pair.b_path))
            if folder:
                path = folder / f"{pair.stem}.png"
                with faults(path):
                    write_file(_raster(image), path)
            with faults(pair.a_path):
                return colour.luma_of(read(image, "fused").load().pixels)

        return fuse


def _raster(image: "Image.Image | np.ndarray[Any, Any]") -> Raster:
    if isinstance(image, Image.Image):
        return from_pil(image, "fused")
    return Raster(image if image.ndim == 3 else image[..., None])


def sources_of(models: Models, save_fused: Name | None, device: Device, dtype: Dtype) -> dict[str, Source]:
    """Where the fused images of each label come from."""
    if isinstance(models, (str, os.PathLike, FusedImages)):
        models = [models]
    if not isinstance(models, Mapping):
        given = list(models)
        models = dict(zip(map(label_of, given), given, strict=True))
        if len(models) < len(given):
            raise InputError(f"several models are named {_repeated(map(label_of, given))}; give each a name of its own")
    models = models or {label_of(BUNDLED): BUNDLED}
    folders = {label: re.sub(r"[^\w.@+-]|^\.", "_", label) for label in models}
    if save_fused is not None and len(set(folders.values())) < len(folders):
        raise InputError(f"several models would be saved as {_repeated(folders.values())}; give them other names")
    sources: dict[str, Source] = {}
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


def read_pair(stem: str, a_folder: Folder, b_folder: Folder) -> Pair:
    a_path, b_path = a_folder.only(stem), b_folder.only(stem)
    a, b = _luminance(a_path), _luminance(b_path)
    if a.shape != b.shape:
        raise Fault(b_path, f"{size_of(b)} pixels, but {a_path} is {size_of(a)}")
    return Pair(stem, a_path, b_path, a, b)


def _luminance(path: Path) -> Tensor:
    """The luminance (1, 1, H, W) in [0, 1] of an image file."""
    with faults(path):
        return colour.luma_of(read(path, str(path)).load().pixels)


def size_of(plane: Tensor) -> str:
    return f"{plane.shape[-1]}×{plane.shape[-2]}"
