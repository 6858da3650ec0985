"""Small rasters for the tests of pan-sharpening. Needs the extra [geo]."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import photo

import gifnet
from gifnet import Fuser
from gifnet.pansharpening.grids import Grid

rasterio = pytest.importorskip("rasterio", reason="needs the extra [geo]")
from rasterio.crs import CRS  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402

ALL = (slice(None), slice(None))
UTM = CRS.from_epsg(32633)
EAST, NORTH, METRES = 500000.0, 5400000.0, 2.0  # of PAN's upper left corner; a multispectral pixel's side


def write(path: Path, bands: np.ndarray, **profile: Any) -> Path:
    """(C, H, W) to a GeoTIFF; without ``transform`` and ``crs``, no georeference."""
    count, height, width = bands.shape
    profile = {"driver": "GTiff", **profile}
    with rasterio.open(path, "w", count=count, height=height, width=width, dtype=bands.dtype, **profile) as sink:
        sink.write(bands)
    return path


def scene(height: int = 12, width: int = 16, bands: int = 3, ratio: float = 4) -> tuple[np.ndarray, np.ndarray]:
    """Correlated bands (C, H, W) of 12 bits and their PAN (1, H', W'), uint16."""
    fine = round(height * ratio), round(width * ratio)
    shared = photo(*fine, channels=0, seed=1).astype(float)
    own = photo(*fine, channels=bands, seed=2).astype(float).reshape(*fine, bands)
    sharp = np.moveaxis(300 + 8 * shared[..., None] + 3 * own, 2, 0)
    grid = Grid.of_shapes((height, width), fine)
    ms = np.stack([grid.down(band)[ALL] for band in sharp])
    return ms.round().astype(np.uint16), sharp.mean(axis=0, keepdims=True).round().astype(np.uint16)


def georeference(ratio: float = 1) -> dict[str, Any]:
    return {"crs": UTM, "transform": from_origin(EAST, NORTH, METRES / ratio, METRES / ratio)}


def scene_files(folder: Path, **shape: Any) -> tuple[Path, Path, Path]:
    """A scene as ``ms.tif`` and ``pan.tif``, and the path of a result."""
    ms, pan = scene(**shape)
    paths = write(folder / "ms.tif", ms, **georeference()), write(folder / "pan.tif", pan, **georeference(4))
    return *paths, folder / "out.tif"


def in_memory(ms: np.ndarray, pan: np.ndarray, fuser: Fuser) -> np.ndarray:
    return np.moveaxis(gifnet.pansharpen(np.moveaxis(ms, 0, 2), pan[0], model=fuser), 2, 0)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        values: np.ndarray = dataset.read()
    return values
