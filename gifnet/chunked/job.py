"""What tasks do: a job knows the whole work, and does a part of it at a time. Nothing here knows Dask."""

from collections.abc import Sequence
from typing import Any, Protocol

from ..execution.context import in_plain_context
from ..execution.threads import alone
from .parts import Parts
from .view import Array, Strips, View, strips_of, surrounded

Halo = tuple[int, int]  # rows and columns
Known = tuple[Any, ...]  # what the passes so far have found out of the whole image


class Job(Protocol):
    """Work on a whole image, in passes over its parts: all but the last gather what must be known of the whole."""

    @property
    def parts(self) -> Parts:
        """Of the result."""

    @property
    def inputs(self) -> Sequence[Parts]:
        """Of each input: as many as the result has, on a grid of its own."""

    @property
    def measures(self) -> int:
        """How many passes gather."""

    def halos(self, number: int) -> Sequence[Halo]:
        """How many rows and columns of each input the pass of this number reads around a part."""

    def measure(self, known: Known, place: tuple[int, int], views: Sequence[View]) -> Any:
        """What a part says of the whole, in the pass number ``len(known)``."""

    def merged(self, number: int, found: Sequence[Any]) -> Any:
        """What several parts say, of the pass of this number."""

    def finish(self, known: Known, place: tuple[int, int], views: Sequence[View]) -> Array:
        """A part of the result."""


def cut_strips(halos: Sequence[Halo], *chunks: Any) -> list[Strips]:
    """Task: what a part's neighbours need of it, of each input."""
    return [strips_of(chunk, halo) for chunk, halo in zip(chunks, halos, strict=True)]


def measure(job: Job, known: Known, place: tuple[int, int], *chunks: Any) -> Any:
    """Task: ``job.measure`` of a part."""
    return _alone(job.measure, known, place, _views(job, len(known), place, chunks))


def merge(job: Job, number: int, *found: Any) -> Any:
    """Task: what several parts say."""
    return _alone(job.merged, number, list(found))


def learn(known: Known, found: Any) -> Known:
    """Task: what is known after one more pass."""
    return (*known, found)


def finish(job: Job, known: Known, place: tuple[int, int], *chunks: Any) -> Any:
    """Task: a part of the result."""
    return _alone(job.finish, known, place, _views(job, len(known), place, chunks))


@in_plain_context
def _alone(function: Any, *arguments: Any) -> Any:
    """On one core: Dask runs as many tasks at once as there are."""
    return alone(in_plain_context(function), *arguments)


def _views(job: Job, number: int, place: tuple[int, int], chunks: Sequence[Any]) -> list[View]:
    """Of each input, from its own chunk and its eight neighbours' strips: first the chunks, then the neighbours."""
    count, views = len(job.inputs), []
    own, around = chunks[:count], chunks[count:]
    for index, (parts, halo) in enumerate(zip(job.inputs, job.halos(number), strict=True)):
        strips = [None if each is None else each[index] for each in around]
        values, above, before = surrounded(own[index], strips, halo)
        region = parts.region(*place)
        shape = (*parts.sides, *own[index].shape[2:])
        views.append(View(values, region.top - above, region.left - before, shape))
    return views
