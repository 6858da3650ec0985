"""A transform that is known before, of a rig whose cameras don't move: given, or read from a file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import AlignmentError, InputError
from ...images.picture import Picture
from ...options.values import TransformLike, check_align
from .resampling import Array
from .transform import Alignment, overlap_of

Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Given:
    """A matrix from ``a``'s pixels to ``b``'s, and the sizes of the images that it was found with, where known."""

    name: str  # for messages
    matrix: Array  # (3, 3) float64
    size: Size | None = None  # width, height of a
    size_b: Size | None = None

    @classmethod
    def of(cls, transform: "Path | Array | TransformLike") -> "Given":
        """Of a file, a matrix (3, 3) or an ``Alignment``. Raises InputError."""
        if isinstance(transform, Path):
            return cls.read(transform)
        if isinstance(transform, np.ndarray):
            return cls("align", transform)
        matrix = check_align(np.asarray(transform.matrix))
        assert isinstance(matrix, np.ndarray)
        return cls("align", matrix, transform.size, getattr(transform, "size_b", None))

    @classmethod
    def read(cls, path: Path) -> "Given":
        """Of a file as ``Alignment.save`` writes it, or one with a matrix alone. Raises InputError."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{path}: can't be read ({error.strerror}); give what gifnet align A B -o T.json writes"
            ) from error
        except ValueError as error:
            raise InputError(f"{path}: is no JSON; give what gifnet align A B -o T.json writes") from error
        entries: dict[str, Any] = content if isinstance(content, dict) else {"matrix": content}
        try:
            matrix = check_align(entries.get("matrix") or [])
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        assert isinstance(matrix, np.ndarray)
        return cls(str(path), matrix, _size(entries.get("size"), path), _size(entries.get("size_b"), path))

    def between(self, a: Picture, b: Picture) -> Alignment:
        """The alignment of these two.

        Raises InputError where they have other sizes than the transform is of, AlignmentError where they share nothing.
        """
        sizes = [(picture.layout.width, picture.layout.height) for picture in (a, b)]
        for picture, size, own in zip((a, b), (self.size, self.size_b), sizes, strict=True):
            if size is not None and size != own:
                raise InputError(
                    f"{self.name}: is a transform for images of {size[0]}×{size[1]} pixels, and {picture.name} is "
                    f"{picture.size}; align images of this size, or give the matrix alone"
                )
        overlap = overlap_of(self.matrix, *sizes)
        if overlap == (0, 0, 0, 0):
            raise AlignmentError(
                f"{self.name}: takes no pixel of {a.name} into {b.name}; give a matrix from a's pixels to b's"
            )
        return Alignment(self.matrix, 1.0, overlap, "homography", sizes[0], sizes[1])


def _size(size: Any, path: Path) -> Size | None:
    if size is None:
        return None
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise InputError(f"{path}: {size!r} is no size; give width and height, as gifnet align writes them")
    return size[0], size[1]
