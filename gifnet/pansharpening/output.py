"""The GeoTIFF that pan-sharpening makes: checked before any work, and written band by band."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files.atomic import atomic_path
from ..files.writing import check_folder
from .bands import raster_window
from .datasets import create_raster, is_local, raster_errors, rasterio_module
from .grids import Array, windows
from .method import Fuse
from .scene import Scene

BLOCK = 512  # pixels a side of the GeoTIFF's tiles
SCRATCH_BYTES = 4  # of the fused plane, a pixel
DEFLATED = 0.5  # of a raster's bytes that it hardly ever takes less of once compressed


def check_output(out: str | os.PathLike[str]) -> Path:
    """The path of a result. Raises InputError where no GeoTIFF can be written."""
    path, name = Path(out), os.fspath(out)
    if not is_local(name):
        raise InputError(f"{name}: the result is written as a local file; give a path")
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{name}: the result is a GeoTIFF; its suffix must be .tif")
    return check_folder(path)


class Scratch:
    """A temporary file beside the result, for the fused plane of one band after the other."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __call__(self, shape: tuple[int, int]) -> Array:
        """A plane (H, W) of float32."""
        return np.memmap(self._file, np.float32, "r+", shape=shape)


@contextmanager
def scratch_beside(out: Path, scene: Scene) -> Iterator[Scratch]:
    """Room for the work. Raises InputError where files can't be made, and where the disk is too small."""
    folder, (height, width) = out.parent, scene.shape
    plane = SCRATCH_BYTES * height * width
    result = int(DEFLATED * height * width * len(scene.bands) * scene.dtype.itemsize)
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"{out}: can't be written into {folder} ({error.strerror})") from error
    with file:
        _reserve(file, plane, folder)
        free = shutil.disk_usage(folder).free
        if free < result:
            raise InputError(
                f"{folder}: no room for the result, which takes {result} bytes or more: {free} are free beside {plane} "
                "of intermediate results"
            )
        yield Scratch(file)


def _reserve(file: Any, size: int, folder: Path) -> None:
    """Make ``file`` that long, in bytes. A full disk shows here: later, it would end the process (SIGBUS)."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except OSError as error:
        raise InputError(f"{folder}: no room for {size} bytes of intermediate results ({error.strerror})") from error


@contextmanager
def output_raster(out: Path, scene: Scene) -> Iterator[Any]:
    """The result, open for writing; it takes its place when the block ends without an error."""
    with atomic_path(out) as temporary:
        try:
            with create_raster(temporary, **_profile(scene)) as sink:
                _describe(scene, sink)
                yield sink
        except raster_errors() as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{out}: can't be written ({error.__cause__ or error})") from error


def write(scene: Scene, fuse: Fuse, sink: Any, scratch: Scratch) -> None:
    """All bands, and what marks the pixels without data."""
    for index, window, values in scene.sharpen(fuse, scratch):
        sink.write(values, index + 1, window=raster_window(window))
    for window in windows(scene.shape):
        if scene.has_alpha:
            sink.write(scene.alpha(window), len(scene.bands) + 1, window=raster_window(window))
        elif scene.needs_mask:
            sink.write_mask(scene.mask(window), window=raster_window(window))


def _profile(scene: Scene) -> dict[str, Any]:
    """How rasterio is to create the result."""
    (height, width), place = scene.shape, scene.georeference
    return {
        "driver": "GTiff", "width": width, "height": height, "count": len(scene.bands) + scene.has_alpha,
        "dtype": scene.dtype, "crs": place.crs, "transform": place.transform, "nodata": scene.nodata,
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "band", "bigtiff": "if_safer",
        "compress": "deflate", "predictor": 3 if scene.dtype.kind == "f" else 2,
    }  # fmt: skip


def _describe(scene: Scene, sink: Any) -> None:
    """Write where the result lies, and what the multispectral rasters say of their bands."""
    colours = rasterio_module().enums.ColorInterp
    bands = [(placed.band.dataset, placed.band.index) for placed in scene.bands]
    alpha = scene.has_alpha
    scene.georeference.write(sink)
    sink.descriptions = [*scene.descriptions, *([None] if alpha else [])]
    sink.scales = [*(dataset.scales[index - 1] for dataset, index in bands), *([1.0] if alpha else [])]
    sink.offsets = [*(dataset.offsets[index - 1] for dataset, index in bands), *([0.0] if alpha else [])]
    sink.colorinterp = [
        *(dataset.colorinterp[index - 1] for dataset, index in bands), *([colours.alpha] if alpha else [])
    ]  # fmt: skip
    shared = set.intersection(*(set(_tags(dataset, 0).items()) for dataset in scene.ms))
    sink.update_tags(**dict(shared))
    for number, (dataset, index) in enumerate(bands, 1):
        sink.update_tags(number, **_tags(dataset, index))


def _tags(dataset: Any, index: int) -> dict[str, str]:
    """A band's (0: the file's own), but those that are not true of the result."""
    tags: dict[str, str] = dataset.tags(index)
    return {key: value for key, value in tags.items() if not key.startswith("STATISTICS_") and key != "AREA_OR_POINT"}
