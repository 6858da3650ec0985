"""Pan-sharpening of Dask arrays and of ``xarray.DataArray``: inputs checked and placed, the lazy array made."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..chunked import parts as parts_of
from ..chunked.fusing import dask_token, known_chunks
from ..chunked.graph import back_to, lazy_result
from ..chunked.kinds import dask_array, is_dask, is_labelled
from ..chunked.labelled import Axes, relabelled
from ..errors import InputError
from ..execution.running import Execution
from ..fuser import Fuser
from .chunked import Marks, SharpeningJob, coarse_edge
from .dtypes import holds
from .grids import Axis, Grid
from .placing import Placed, grid_of_labelled

CHUNK = 2048  # pixels a side of arrays that are not Dask's


def is_for_dask(ms: Any, pan: Any) -> bool:
    """Whether either is a Dask array or an ``xarray.DataArray``."""
    return any(is_dask(image) or is_labelled(image) for image in (ms, pan))


def pansharpen_lazily(ms: Any, pan: Any, fuser: Fuser, execution: Execution) -> Any:
    """As ``gifnet.pansharpen``; a lazy array where either image is one. Raises InputError."""
    if execution.progress not in (None, False):
        raise InputError(
            "progress: the work on Dask arrays is done later; use dask.diagnostics.ProgressBar or "
            "dask.distributed.progress"
        )
    if is_labelled(ms) != is_labelled(pan):
        raise InputError("ms, pan: one is a DataArray, the other is not; give two of a kind")
    return (_of_labelled if is_labelled(ms) else _of_arrays)(ms, pan, fuser, execution)


def _of_arrays(ms: Any, pan: Any, fuser: Fuser, execution: Execution) -> Any:
    arrays = [_checked(image, name) for image, name in ((ms, "ms"), (pan, "pan"))]
    grid = Grid.of_shapes(arrays[0].shape[:2], arrays[1].shape[:2])
    masked = [isinstance(getattr(array, "_meta", None), np.ma.MaskedArray) for array in arrays]
    marks = Marks("ms", None, False), Marks("pan", None, False)
    return _lazy(arrays, grid, marks, any(masked), any(masked), None, fuser, execution)


def _of_labelled(ms: Any, pan: Any, fuser: Fuser, execution: Execution) -> Any:
    axes = Axes.of(ms, "ms"), Axes.of(pan, "pan")
    lazy = is_dask(ms.data) or is_dask(pan.data)
    arrays = [_checked(which.values(image), name)
              for image, which, name in zip((ms, pan), axes, ("ms", "pan"), strict=True)]  # fmt: skip
    placed = Placed(ms, axes[0], "ms"), Placed(pan, axes[1], "pan")
    grid = grid_of_labelled(*placed)
    values = [one.nodata for one in placed]
    dtype = np.dtype(arrays[0].dtype)
    nodata = next((float(value) for value in values if value is not None and holds(dtype, value)), None)
    if nodata is None and dtype.kind == "f":
        nodata = float("nan")
    marks = Marks("ms", values[0], True), Marks("pan", values[1], True)
    covered = all(axis.covered(0, axis.fine).all() for axis in (grid.rows, grid.columns))
    marked = not covered or any(np.dtype(array.dtype).kind == "f" for array in arrays)
    marked = marked or any(value is not None for value in values)
    if marked and nodata is None:
        raise InputError(
            "ms, pan: pixels may have no data, and the result no value that says so; give ms a nodata value, by its "
            "rio.write_nodata, or crop pan to it"
        )
    sharp = _lazy(arrays, grid, marks, marked, False, nodata if marked else None, fuser, execution)
    sharp = sharp if lazy else sharp.compute(scheduler="threads")
    attrs = dict(ms.attrs)
    if marked and placed[0].nodata is None and "_FillValue" not in ms.encoding:
        attrs["_FillValue"] = dtype.type(nodata)
    labelled = relabelled(sharp, placed[1].image_of_result(placed[0], grid), axes[1], (ms, axes[0]), attrs)
    labelled.name = ms.name
    labelled.encoding = {key: value for key, value in ms.encoding.items() if key in ("grid_mapping", "_FillValue")}
    return labelled


def _checked(image: Any, name: str) -> Any:
    """An array (H, W) or (H, W, C) as one of Dask's. Raises InputError for what is no raster."""
    if not (is_dask(image) or isinstance(image, np.ndarray)):
        raise InputError(f"{name}: {type(image).__name__} beside a Dask array; give an array too")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise InputError(f"{name}: array of shape {image.shape}; give (H, W) or (H, W, bands)")
    if np.dtype(image.dtype).kind not in "uif":
        raise InputError(f"{name}: dtype {image.dtype}; give integers or floating point")
    if name == "pan" and image.ndim == 3 and image.shape[2] != 1:
        raise InputError(f"pan: {image.shape[2]} bands; a panchromatic image has one (is it the multispectral one?)")
    if is_dask(image):
        known_chunks([image], [name])
        return image
    return dask_array().from_array(image, chunks=(CHUNK, CHUNK, -1)[: image.ndim])


def _lazy(
    arrays: Sequence[Any],
    grid: Grid,
    marks: tuple[Marks, Marks],
    marked: bool,
    masked: bool,
    nodata: float | None,
    fuser: Fuser,
    execution: Execution,
) -> Any:
    """The lazy array, in PAN's chunks."""
    ms, pan = (array if array.ndim == 3 else array[..., None] for array in arrays)
    model = fuser.task_model(enhancing=False)
    job = SharpeningJob(
        model=model, parts=parts_of.Parts((0, pan.shape[0]), (0, pan.shape[1])), coarse=parts_of.Parts((0, 1), (0, 1)),
        grid=grid, tile=0, bands=ms.shape[2], marks=marks, marked=marked, masked=masked, nodata=nodata,
        dtype=np.dtype(ms.dtype), flat=arrays[0].ndim == 2,
    )  # fmt: skip
    _cut(job, pan.chunks[:2])
    job.tile = model.tile((max(job.parts.chunks[0]), max(job.parts.chunks[1])), execution)
    token = dask_token(
        ms.name, pan.name, model.sha256, str(model.device), str(model.dtype), job.parts, job.coarse, grid, job.tile,
        marks, marked, masked, nodata,
    )  # fmt: skip
    like: Any = np.empty((0,) * arrays[0].ndim, job.dtype)
    like = np.ma.MaskedArray(like) if masked else like
    result = lazy_result(job, f"gifnet-pansharpen-{token}", [ms, pan], like, () if job.flat else (job.bands,))
    return back_to(result, *pan.chunks[:2])


def _cut(job: SharpeningJob, chunks: Sequence[Sequence[int]]) -> None:
    """Set the job's parts: those of PAN's grid, and as many of the multispectral one."""
    halos = [job.halos(number) for number in range(job.measures + 1)]
    fine, coarse = ([max(halo[which][side] for halo in halos) for side in range(2)] for which in (1, 0))
    edges = []
    for side, axis in enumerate((job.grid.rows, job.grid.columns)):
        edges.append(_edges(chunks[side], axis, job.model.form.grid, fine[side], coarse[side]))
    job.parts = parts_of.Parts(*edges)
    job.coarse = parts_of.Parts(*(
        tuple(coarse_edge(axis, edge) for edge in own)
        for axis, own in zip((job.grid.rows, job.grid.columns), edges, strict=True)
    ))  # fmt: skip


def _edges(chunks: Sequence[int], axis: Axis, grid: int, fine: int, coarse: int) -> tuple[int, ...]:
    """A part is as long as what its neighbours read of it, on either grid."""

    def far_enough(start: int, end: int) -> bool:
        return coarse_edge(axis, end) - coarse_edge(axis, start) >= max(coarse, 1)

    return parts_of.edges_of(chunks, grid, max(parts_of.SMALLEST, fine), far_enough)
