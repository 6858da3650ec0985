"""An image as the fusion sees it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ..errors import InputError
from ..files.metadata import NO_METADATA, Metadata
from ..regions import Region

_FILE_DTYPES = (torch.uint8, torch.uint16, torch.float32)  # from the shallowest to the deepest


@dataclass(frozen=True)
class Picture:
    """An image as the fusion sees it, and the way back to the kind it came as."""

    pixels: Tensor  # (B, 1 or 3, H, W) float32 in [0, 1], grey or R, G, B
    alpha: Tensor | None  # (B, 1, H, W), as pixels
    name: str  # the file or argument, for messages
    packer: "Packer"  # the way back
    dtype: torch.dtype  # of the result
    metadata: Metadata = NO_METADATA
    file: bool = False  # read from a file, or the bytes of one

    @property
    def size(self) -> str:
        """Width × height, for messages."""
        return f"{self.pixels.shape[-1]}×{self.pixels.shape[-2]}"

    @property
    def short_name(self) -> str:
        """The name without folders: notes go into files, and folders are private."""
        return os.path.basename(self.name)

    @property
    def coloured(self) -> bool:
        return self.pixels.shape[1] == 3

    @property
    def nbytes(self) -> int:
        """What its planes take in memory."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)

    def region(self, index: int, region: Region) -> tuple[Tensor, Tensor | None]:
        """Pixels (1, 1 or 3, h, w) and alpha of a part of the image number ``index``."""
        part = (
            slice(index, index + 1),
            slice(None),
            slice(region.top, region.bottom),
            slice(region.left, region.right),
        )
        return self.pixels[part], None if self.alpha is None else self.alpha[part]

    def loaded(self) -> "Picture":
        """With its pixels in memory, where they were not yet (see ``lazy``)."""
        return self

    def pack(self, pixels: Tensor, alpha: Tensor | None) -> Any:
        """Pixels (B, 1 or 3, H, W) and alpha in the caller's kind, at this picture's depth, with its metadata."""
        return self.packer(pixels, alpha, self.dtype, self.metadata)

    def cropped(self, box: tuple[int, int, int, int]) -> "Picture":
        """Its part from left, top to right, bottom (exclusive)."""
        left, top, right, bottom = box
        alpha = None if self.alpha is None else self.alpha[..., top:bottom, left:right]
        return replace(self, pixels=self.pixels[..., top:bottom, left:right], alpha=alpha)

    def resampled(self, resample: Callable[[Tensor], Tensor]) -> "Picture":
        """With its planes (B, C, H, W) resampled; colours are weighted by alpha, if there is one."""
        if self.alpha is None:
            return replace(self, pixels=resample(self.pixels).clamp(0, 1))
        both = resample(torch.cat([self.pixels * self.alpha, self.alpha], dim=1))
        alpha = both[:, -1:].clamp(0, 1)
        return replace(self, pixels=(both[:, :-1] / alpha.clamp(min=1e-4)).clamp(0, 1), alpha=alpha)

    def noted(self, notes: Sequence[str]) -> "Picture":
        """With what was done to it in the results' metadata."""
        text = "; ".join(notes).encode("ascii", "replace").decode()
        return replace(self, metadata=self.metadata.noting(f"gifnet: {text}")) if notes else self

    def fused_with(self, *others: "Picture") -> "Picture":
        """The one to pack the fusion of all: of files the deepest decides; the metadata are of the first in colour."""
        metadata = next((picture.metadata for picture in (self, *others) if picture.coloured), self.metadata)
        if not self.file:
            return replace(self, metadata=metadata)
        dtypes = {picture.dtype for picture in (self, *others) if picture.file}
        return replace(self, dtype=max(dtypes, key=_FILE_DTYPES.index), metadata=metadata)


Packer: TypeAlias = Callable[[Tensor, Tensor | None, torch.dtype, Metadata], Any]


def check_alike(a: Picture, b: Picture) -> None:
    """Raises InputError where two pictures differ in size or number."""
    if a.pixels.shape[-2:] != b.pixels.shape[-2:]:
        raise InputError(
            f"{a.name} is {a.size} pixels but {b.name} is {b.size}; fusion needs aligned images of one size: "
            "give resize='a' or 'b' if they show the same, align=True if not quite, or crop one to the other"
        )
    if len(a.pixels) != len(b.pixels):
        raise InputError(
            f"{a.name} holds {len(a.pixels)} images but {b.name} holds {len(b.pixels)}; give as many of each"
        )
