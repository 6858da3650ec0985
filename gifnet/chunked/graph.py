"""A job laid out as Dask tasks: for each part and pass one, and one that cuts what its neighbours need of it.

Inputs are read once in each pass, and not before the pass before it is done: what has been read need not be kept, so
that memory does not grow with the image.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from ..extras import require
from .again import read_after
from .job import Halo, Job, cut_strips, finish, learn, measure, merge
from .kinds import dask_array
from .view import NEIGHBOURS

MERGED = 32  # parts whose statistics one task merges
Key = Any
Graph = dict[Key, Any]


def lazy_result(job: Job, name: str, inputs: Sequence[Any], like: Any, trailing: tuple[int, ...]) -> Any:
    """A Dask array of the job's result, in its parts.

    Args:
        job: the work.
        name: what the result is to be called; unique for what goes into it.
        inputs: Dask arrays (H, W, ...).
        like: an empty array of the result's dtype and number of dimensions.
        trailing: the result's lengths after height and width.
    """
    layout = _Layout(job, name, inputs)
    known = layout.constant("known", ())
    for number in range(job.measures):
        known = layout.measured(number, known)
    graph, dependencies = layout.tasks(name, job.measures, known, finish, trailing)
    da, high = dask_array(), _module("highlevelgraph")
    whole = high.HighLevelGraph.from_collections(name, graph, dependencies=dependencies)
    chunks = (*job.parts.chunks, *((length,) for length in trailing))
    return da.Array(whole, name, chunks, meta=like)


class _Layout:
    """Names and tasks of one job."""

    def __init__(self, job: Job, name: str, arrays: Sequence[Any]) -> None:
        self.job, self.name, self.arrays = job, name, list(arrays)
        rows, columns = job.parts.shape
        self.places = list(product(range(rows), range(columns)))
        self.data = self.constant("job", job)

    def constant(self, what: str, value: Any) -> Any:
        """A value as a Delayed: one that many tasks share, sent to each worker once."""
        key, task_spec = f"{self.name}-{what}", _module("task_spec")
        return self._delayed(key, {key: task_spec.DataNode(key, value)}, [])

    def measured(self, number: int, known: Any) -> Any:
        """A Delayed of what is known after the pass of this number."""
        task_spec = _module("task_spec")
        name = f"{self.name}-pass-{number + 1}"
        graph, dependencies = self.tasks(name, number, known, measure, ())
        keys: list[Key] = [(name, *place) for place in self.places]
        level = 0
        while len(keys) > 1 or level == 0:
            groups = [keys[start : start + MERGED] for start in range(0, len(keys), MERGED)]
            level += 1
            for index, group in enumerate(groups):
                merged = (f"{name}-merged", level, index)
                refs = map(task_spec.TaskRef, group)
                graph[merged] = task_spec.Task(merged, merge, self._ref(self.data), number, *refs)
            keys = [(f"{name}-merged", level, index) for index in range(len(groups))]
        key = f"{name}-known"
        graph[key] = task_spec.Task(key, learn, self._ref(known), task_spec.TaskRef(keys[0]))
        return self._delayed(key, graph, dependencies)

    def tasks(
        self, name: str, number: int, known: Any, function: Callable[..., Any], trailing: tuple[int, ...]
    ) -> tuple[Graph, list[Any]]:
        """A pass: a task for each part, and what cuts the strips; and the collections that they depend on."""
        task_spec = _module("task_spec")
        graph: Graph = {}
        arrays = self._read(number, known)
        strips = self._strips(graph, f"{name}-around", arrays, self.job.halos(number))
        data, before = self._ref(self.data), self._ref(known)
        for place in self.places:
            chunks = [task_spec.TaskRef(_key(array, place)) for array in arrays]
            around = [self._neighbour(strips, place, step) for step in NEIGHBOURS]
            key = (name, *place, *(0 for _ in trailing))
            graph[key] = task_spec.Task(key, function, data, before, place, *chunks, *around)
        return graph, [*arrays, self.data, known]

    def _strips(self, graph: Graph, name: str, arrays: Sequence[Any], halos: Sequence[Halo]) -> str | None:
        """Add tasks that cut strips of all chunks, where any are needed; their name."""
        if len(self.places) == 1 or not any(map(any, halos)):
            return None
        task_spec = _module("task_spec")
        for place in self.places:
            key, chunks = (name, *place), [task_spec.TaskRef(_key(array, place)) for array in arrays]
            graph[key] = task_spec.Task(key, cut_strips, tuple(halos), *chunks)
        return name

    def _neighbour(self, strips: str | None, place: tuple[int, int], step: tuple[int, int]) -> Any:
        (row, column), (rows, columns) = (place[0] + step[0], place[1] + step[1]), self.job.parts.shape
        if strips is None or not (0 <= row < rows and 0 <= column < columns):
            return None
        return _module("task_spec").TaskRef((strips, row, column))

    def _read(self, number: int, known: Any) -> list[Any]:
        """The inputs in the job's parts; after the first pass once more, to be read when the one before is done."""
        arrays = self.arrays
        if number:
            suffix = f"{self.name}-{number + 1}"
            again = {array.name: read_after(array, known, suffix) for array in arrays}
            arrays = [again[array.name] for array in arrays]
        return [
            array.rechunk((*parts.chunks, *((length,) for length in array.shape[2:])))
            for array, parts in zip(arrays, self.job.inputs, strict=True)
        ]

    def _ref(self, delayed: Any) -> Any:
        return _module("task_spec").TaskRef(delayed.key)

    def _delayed(self, key: Key, graph: Graph, dependencies: list[Any]) -> Any:
        whole = _module("highlevelgraph").HighLevelGraph.from_collections(key, graph, dependencies=dependencies)
        return _module("delayed").Delayed(key, whole)


def _module(name: str) -> Any:
    return require(f"dask.{name}", extra="dask", purpose="working on Dask arrays")


def _key(array: Any, place: tuple[int, int]) -> Key:
    """A chunk's: of an array whose axes after the first two have one chunk."""
    return (array.name, *place, *(0 for _ in array.shape[2:]))


def back_to(array: Any, rows: Sequence[int], columns: Sequence[int]) -> Any:
    """An array in chunks of these heights and widths."""
    return array.rechunk((tuple(rows), tuple(columns), *array.chunks[2:]))
