"""Objects of Dask and xarray, told by their types' modules: neither package is imported for it."""

from types import ModuleType
from typing import Any

from ..extras import require


def is_dask(source: object) -> bool:
    """Whether it is a Dask array."""
    return _is_of(source, "dask", "Array")


def is_labelled(source: object) -> bool:
    """Whether it is an ``xarray.DataArray``."""
    return _is_of(source, "xarray", "DataArray")


def is_chunked(source: Any) -> bool:
    """Whether its values are a Dask array's."""
    return is_dask(source.data) if is_labelled(source) else is_dask(source)


def dask_array() -> ModuleType:
    """Dask's arrays, with its graphs and tasks. Raises MissingExtraError."""
    for module in ("dask.array.optimization", "dask.delayed", "dask.highlevelgraph", "dask.task_spec"):
        require(module, extra="dask", purpose="working on Dask arrays")
    return require("dask.array", extra="dask", purpose="working on Dask arrays")


def _is_of(source: object, package: str, name: str) -> bool:
    return any(one.__name__ == name and one.__module__.partition(".")[0] == package for one in type(source).__mro__)
