"""Fusing and enhancing Dask arrays: the work on one part of the image, and the lazy array of all parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..execution.form import Part, Source
from ..execution.margins import PIECE
from ..execution.running import Execution
from ..execution.tiles import cut
from ..images import colour
from ..images.arrays import interleaved
from ..images.chroma import MARGIN
from ..images.lazy import LazyPicture
from ..images.levels import joined
from ..images.merging import Merged, enhanced, with_chroma_of, with_chroma_of_both
from ..images.picture import check_alike
from ..prepare.preparation import Preparation
from ..regions import Region
from . import parts as parts_of
from .graph import back_to, lazy_result
from .job import Known
from .kinds import dask_array, is_dask
from .model import TaskModel
from .parts import Parts, edges_of
from .view import Array, View

NAMES = ("a", "b")


@dataclass
class FusingJob:
    """Fusing two pictures, or enhancing one (``strength`` is not None): see ``job.Job``."""

    model: TaskModel
    parts: Parts
    tile: int
    names: tuple[str, ...]
    colour: str  # the option
    strength: float | None
    channels: int  # of the result, as files have them
    flat: bool  # it has no axis of channels
    dtype: "np.dtype[Any]"
    by_evidence: bool  # both pictures have channels of colour: whether they show any must be known first

    @property
    def inputs(self) -> list[Parts]:
        return [self.parts] * len(self.names)

    @property
    def measures(self) -> int:
        return max(self.model.form.measures, int(self.by_evidence))

    @cached_property
    def margin(self) -> int:
        """What is fused around a part, for its chroma."""
        return MARGIN + -MARGIN % self.model.form.grid if self.by_evidence else 0

    def halos(self, number: int) -> list[tuple[int, int]]:
        form = self.model.form
        last = number == self.measures
        reach = form.reach(form.measures if last else number) if last or number < form.measures else 0
        return [(reach + last * self.margin,) * 2] * len(self.names)

    def measure(self, known: Known, place: tuple[int, int], views: Sequence[View]) -> tuple[Any, tuple[bool, ...]]:
        """The network's statistics, and in the first pass whether the pictures show colour."""
        form, pictures, region = self.model.form, self._pictures(views), self.parts.region(*place)
        shown: tuple[bool, ...] = ()
        if not known and self.by_evidence:
            shown = tuple(colour.shows(picture.region(0, region)[0]) for picture in pictures)
        if len(known) >= form.measures:
            return None, shown
        return form.measure(self._part(pictures, region), [statistics for statistics, _ in known]), shown

    def merged(self, number: int, found: Sequence[tuple[Any, tuple[bool, ...]]]) -> tuple[Any, tuple[bool, ...]]:
        statistics = [one for one, _ in found]
        shown = tuple(any(each) for each in zip(*(flags for _, flags in found), strict=True))
        form = self.model.form
        return (form.merged(statistics) if number < form.measures else None), shown

    def finish(self, known: Known, place: tuple[int, int], views: Sequence[View]) -> Array:
        pictures, region = self._pictures(views), self.parts.region(*place)
        height, width = self.parts.sides
        image = Region(0, height, 0, width)
        around = region.grown(self.margin, image)
        fused = torch.empty((1, 1, *around.shape))

        def sink(written: Region, values: Tensor) -> None:
            written.crop(fused, around).copy_(values)

        form = self.model.form
        statistics = [one for one, _ in known][: form.measures]
        form.fuse(self._part(pictures, around), statistics, self.model.checked(sink))
        result = np.empty((*region.shape, self.channels), self.dtype)
        merge = self._merge(pictures, known)
        for piece in cut(region, PIECE):
            grown = piece.grown(self.margin, image)
            pixels, alpha = merge(piece, grown, grown.crop(fused, around))
            values = interleaved(joined(pixels, alpha), pictures[0].dtype)
            result[piece.top - region.top : piece.bottom - region.top, piece.left - region.left :][
                :, : piece.shape[1]
            ] = values
        return result[..., 0] if self.flat else result

    def _merge(self, pictures: Sequence[LazyPicture], known: Known) -> Any:
        """How a fused luminance becomes pixels, as ``Fuser`` does it in memory."""
        if self.strength is not None:
            merge = partial(enhanced, pictures[0], self.strength)
            return lambda piece, grown, fused: merge(0, piece, piece.crop(fused, grown))
        first, second = pictures
        shown = known[0][1] if self.by_evidence else (first.coloured, second.coloured)
        if self.by_evidence and all(shown):
            return partial(with_chroma_of_both, first, second, 0)
        coloured = second if not first.coloured or shown[1] else first

        def of_one(piece: Region, grown: Region, fused: Tensor) -> Merged:
            return with_chroma_of(coloured, first, second, 0, piece, piece.crop(fused, grown))

        return of_one

    def _pictures(self, views: Sequence[Any]) -> list[LazyPicture]:
        return pictures_of(views, self.names, self.colour)

    def _part(self, pictures: Sequence[LazyPicture], region: Region) -> Part:
        return Part(planes_of(pictures, self.model.device), *self.parts.sides, region, self.tile)


def pictures_of(arrays: Sequence[Any], names: Sequence[str], chosen: str) -> list[LazyPicture]:
    """Pictures of arrays, read by regions; the one whose colour is not chosen is grey. InputError for no image's."""
    pictures = [LazyPicture.of(array, name) for array, name in zip(arrays, names, strict=True)]
    for picture in pictures:
        picture.with_scale()
    return [picture if chosen in ("auto", picture.name) else picture.as_grey() for picture in pictures]


def planes_of(pictures: Sequence[LazyPicture], device: torch.device) -> Source:
    """Both luminances of two pictures; twice that of one."""

    def source(region: Region) -> Tensor:
        planes = [colour.luma_of(picture.region(0, region)[0]) for picture in pictures]
        return torch.cat(planes * (3 - len(planes)), dim=1).to(device)

    return source


def fuse_lazily(
    model: TaskModel,
    images: Sequence[Any],
    preparation: Preparation,
    execution: Execution,
    strength: float | None = None,
) -> Any:
    """A Dask array of two images' fusion, or of one enhanced (``strength``), in the first one's chunks and dtype.

    ``images``: the first a Dask array (H, W) or (H, W, C); the second one too, or another array. Raises InputError for
    what is no image, as far as shapes and dtypes tell, and for options that need the whole image.
    """
    check_options(preparation, execution)
    _ = model.form  # raises where there is none
    names = NAMES[: len(images)] if strength is None else ("x",)
    arrays = [_as_dask(image, name, images[0]) for image, name in zip(images, names, strict=True)]
    known_chunks(arrays, names)
    pictures = pictures_of(arrays, names, preparation.colour)
    if len(pictures) == 2:
        check_alike(pictures[0], pictures[1], "bring one to the other's grid first")
    job = _job(model, arrays, pictures, preparation.colour, execution, strength)
    token = dask_token(
        *(array.name for array in arrays), model.sha256, str(model.device), str(model.dtype), job.parts, job.tile,
        preparation.colour, strength, model.enhancing,
    )  # fmt: skip
    name = f"gifnet-{'fuse' if strength is None else 'enhance'}-{token}"
    like = np.empty((0,) * (2 if job.flat else 3), job.dtype)
    result = lazy_result(job, name, arrays, like, () if job.flat else (job.channels,))
    return back_to(result, *arrays[0].chunks[:2])


def _job(
    model: TaskModel,
    arrays: Sequence[Any],
    pictures: Sequence[LazyPicture],
    chosen: str,
    execution: Execution,
    strength: float | None,
) -> FusingJob:
    form = model.form
    by_evidence = len(pictures) == 2 and all(picture.coloured for picture in pictures)
    margin = (MARGIN + form.grid) * by_evidence
    smallest = max(parts_of.SMALLEST, max(form.reach(number) for number in range(form.measures + 1)) + margin)
    edges = [edges_of(chunks, form.grid, smallest) for chunks in arrays[0].chunks[:2]]
    parts = Parts(*edges)
    coloured, transparent = (
        any(getattr(picture.layout, what) for picture in pictures) for what in ("coloured", "transparent")
    )
    channels = 4 if transparent else 3 if coloured else 1
    return FusingJob(
        model=model,
        parts=parts,
        tile=model.tile((max(parts.chunks[0]), max(parts.chunks[1])), execution),
        names=tuple(picture.name for picture in pictures),
        colour=chosen,
        strength=strength,
        channels=channels,
        flat=channels == 1 and arrays[0].ndim == 2,
        dtype=np.dtype(arrays[0].dtype),
        by_evidence=by_evidence,
    )


def check_lazy(count: int, out: Any, depth: Any) -> None:
    """Raises InputError for what is not done to Dask arrays: stacks, depth maps, writing into arrays."""
    if count > 2:
        raise InputError(
            f"{count} Dask arrays: stacks of more than two are composed in memory; compute them first, or fuse two"
        )
    if depth is not None:
        raise InputError("return_depth: not of Dask arrays; compute them first")
    if out is not None:
        raise InputError("out: not with Dask arrays; store the result, by its to_zarr or dask.array.store")


def check_options(preparation: Preparation, execution: Execution) -> None:
    """Raises InputError for options that need the whole image in memory, or that Dask has of its own."""
    for name, instead in (
        ("stretch", "map the values first, as in ((x - 7000) / 2000).clip(0, 1)"),
        ("resize", "bring one to the other's grid first"),
        ("align", "align the images first"),
    ):
        if getattr(preparation, name) not in (None, False):
            raise InputError(f"{name}: needs whole images, not Dask arrays; {instead}, or compute the arrays")
    if execution.progress not in (None, False):
        raise InputError(
            "progress: the work on Dask arrays is done later; use dask.diagnostics.ProgressBar or "
            "dask.distributed.progress"
        )


def known_chunks(arrays: Sequence[Any], names: Sequence[str]) -> None:
    """Raises InputError for Dask arrays whose lengths will be known only when they are computed."""
    for array, name in zip(arrays, names, strict=True):
        if any(length != length for length in array.shape):
            raise InputError(f"{name}: Dask array of unknown chunks; call its compute_chunk_sizes first")


def dask_token(*values: Any) -> str:
    """A name for what is made of these values."""
    dask_array()
    from dask.base import tokenize

    token: str = tokenize(*values)
    return token


def _as_dask(image: Any, name: str, like: Any) -> Any:
    """The image as a Dask array; others than Dask's get the chunks of ``like``."""
    if is_dask(image):
        return image
    if not (hasattr(image, "shape") and hasattr(image, "dtype") and hasattr(image, "__getitem__")):
        raise InputError(f"{name}: {type(image).__name__} beside a Dask array; give an array too")
    if isinstance(image, Tensor):
        raise InputError(f"{name}: a tensor beside a Dask array; give an array, by tensor.numpy()")
    if tuple(image.shape[:2]) != tuple(like.shape[:2]):
        check_alike(LazyPicture.of(like, NAMES[0]), LazyPicture.of(image, name), "bring one to the other's grid first")
    chunks = (*like.chunks[:2], *((length,) for length in image.shape[2:]))
    return dask_array().from_array(image, chunks=chunks)
