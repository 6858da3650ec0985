"""Dask arrays once more: read when something is known, rather than kept until then.

``dask.graph_manipulation.bind`` is for this, but of layers made of tasks (slices, new chunks) it renames the tasks and
not what they refer to (Dask 2026.8): their inputs would be read at once, and kept.
"""

from collections.abc import Hashable
from typing import Any

from ..extras import require
from .kinds import dask_array

Key = Any


def read_after(array: Any, known: Any, suffix: str) -> Any:
    """The array made of tasks of its own, which begin when ``known``, a Delayed, is done.

    What lies in memory already, chunks of persisted arrays and of NumPy's, is referred to, not copied. ``suffix``
    makes the names of the tasks.
    """
    da, spec = dask_array(), _module("task_spec")
    keys = [key for row in _flat(array.__dask_keys__()) for key in row]
    given = array.__dask_graph__()
    held = {key for key, node in given.items() if _is_future(node)}
    nodes = _module("array.optimization").optimize(given, keys)
    names = {key: _renamed(key, suffix) for key, node in nodes.items()
             if key not in held and not isinstance(node, spec.DataNode)}  # fmt: skip
    graph: dict[Key, Any] = {}
    for key, node in nodes.items():
        if key not in names:
            if key not in held:
                graph[key] = node
            continue
        new = node.substitute(names, key=names[key])
        first = names.keys().isdisjoint(node.dependencies)
        graph[names[key]] = spec.Task(names[key], _second, spec.TaskRef(known.key), new) if first else new
    for key in keys:
        if key not in names:
            graph[_renamed(key, suffix)] = spec.Alias(_renamed(key, suffix), key)
    name = f"{array.name}-{suffix}"
    before = [known, array] if held else [known]
    whole = _module("highlevelgraph").HighLevelGraph.from_collections(name, graph, dependencies=before)
    return da.Array(whole, name, array.chunks, meta=array._meta)


def _second(_: Any, value: Any) -> Any:
    return value


def _renamed(key: Key, suffix: str) -> Key:
    if isinstance(key, tuple) and key and isinstance(key[0], str):
        return (f"{key[0]}-{suffix}", *key[1:])
    return f"{key}-{suffix}"


def _is_future(node: Any) -> bool:
    """Whether it stands for a result that a cluster holds."""
    return bool(getattr(node, "__dask_future__", False)) or type(node).__name__ == "Future"


def _flat(keys: Any) -> list[list[Hashable]]:
    """An array's keys, which are nested by its axes, in rows."""
    if keys and not isinstance(keys[0], list):
        return [list(keys)]
    return [row for each in keys for row in _flat(each)]


def _module(name: str) -> Any:
    return require(f"dask.{name}", extra="dask", purpose="working on Dask arrays")
