"""Opening and creating rasters: which names and formats GDAL may open, and errors that say what was wrong.

Every raster is opened by ``open_raster``. What a file holds decides its format, not its name, and some formats say
where pixels are instead of holding them: a VRT opens other files, a WMS description asks a server. So only formats that
hold their pixels are opened, unless the name itself asks for more:

* ``scene.vrt``, ``delivery.xml``, ``tiles.til``: the suffix of a format that refers to other files.
* ``NETCDF:"f.nc":x``, ``GTIFF_DIR:2:f.tif``, ``vrt://f.tif?bands=2``: the name begins with its format.

``s3://bucket/f.tif`` and ``/vsizip/f.zip/f.tif`` say where to look. That is the user's wish; the format found there is
subject to the same rules.
"""

import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from ..errors import InputError
from ..extras import require

RasterName: TypeAlias = str | os.PathLike[str]  # a path, or any other name that GDAL opens
# GDAL's names of formats that hold their pixels themselves.
FORMATS = (
    "GTiff", "COG", "SNAP_TIFF", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JP2Lura", "ECW", "MrSID", "ENVI",
    "HFA", "netCDF", "HDF4", "HDF4Image", "HDF5", "HDF5Image", "PNG", "JPEG", "JPEGXL", "WEBP", "AVIF", "GIF", "BMP",
    "PNM", "NITF", "PCIDSK", "GRIB", "FITS", "KEA", "EHdr", "RST", "SAGA", "RMF", "LAN", "PCRaster", "AIG", "AAIGrid",
    "XYZ", "USGSDEM", "DTED", "SRTMHGT", "GSAG", "GSBG", "GS7BG", "BT", "SGI", "TGA", "BAG", "ENVISAT", "CEOS",
    "SAR_CEOS",
)  # fmt: skip
# Formats that refer to other files or are databases, by the suffix that asks for them.
FORMATS_BY_SUFFIX = {
    ".vrt": ("VRT",),
    ".til": ("TIL",),
    ".xml": ("DIMAP", "SENTINEL2", "RS2", "TSX"),
    ".dim": ("DIMAP",),
    ".ers": ("ERS",),
    ".mrf": ("MRF",),
    ".zarr": ("Zarr",),
    ".gpkg": ("GPKG",),
}
SIDECARS = (".msk", ".ovr")  # masks and overviews beside a file, which GDAL opens whatever they hold
_SCHEME = re.compile(r"(?!file:)[A-Za-z][\w+.-]+://|/vsi\w")
_FORMAT_FIRST = re.compile(r"(vrt://|<VRTDataset|[A-Za-z]\w+:(?!//))")  # two letters or more: C: is a disk


def rasterio_module() -> ModuleType:
    """rasterio, with its modules of errors and windows. Raises MissingExtraError."""
    for module in ("rasterio.control", "rasterio.env", "rasterio.errors", "rasterio.io", "rasterio.windows"):
        require(module, extra="geo", purpose="reading or writing georeferenced rasters")
    return require("rasterio", extra="geo", purpose="reading or writing georeferenced rasters")


def raster_errors() -> tuple[type[Exception], ...]:
    """What rasterio raises for files and their profiles; RasterioIOError is no RasterioError before version 1.4."""
    errors = rasterio_module().errors
    return errors.RasterioError, errors.RasterioIOError, ValueError


def is_local(name: str) -> bool:
    """Whether a name is a path of this machine's files, and none that only GDAL understands."""
    return os.path.exists(name) or not (_SCHEME.match(name) or _FORMAT_FIRST.match(name))


@contextmanager
def open_raster(raster: RasterName) -> Iterator[Any]:
    """A raster, open for reading as rasterio's dataset. Raises InputError for what is none, or may not be opened."""
    name = os.fspath(raster)
    rasterio_module()  # a missing extra is said before a missing file
    if is_local(name):
        _check_file(name)
        for sidecar in _sidecars(name):
            _opened(sidecar).close()
    elif _SCHEME.match(name):
        for suffix in SIDECARS:
            _check_remote_sidecar(name + suffix)
            _check_remote_sidecar(name + suffix.upper())
    with _opened(name) as dataset:
        _check_content(dataset)
        yield dataset


@contextmanager
def create_raster(path: RasterName, **profile: Any) -> Iterator[Any]:
    """A raster, open for writing as rasterio's dataset. A mask that is written into it lies in the file itself."""
    rasterio = rasterio_module()
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_PAM_ENABLED=False):
        with without_warnings():
            dataset = rasterio.open(path, "w", **profile)
        try:
            yield dataset
        finally:
            with without_warnings():
                dataset.close()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Without rasterio's warnings of what gifnet deals with: no georeference, and nodata beside an alpha band."""
    errors = rasterio_module().errors
    with warnings.catch_warnings():
        for warning in (errors.NotGeoreferencedWarning, errors.NodataShadowWarning):
            warnings.simplefilter("ignore", warning)
        yield


def _opened(name: str) -> Any:
    """The dataset, if it has one of the formats that its name may have."""
    rasterio = rasterio_module()
    opener = rasterio.env.ensure_env_with_credentials(rasterio.io.DatasetReader)  # rasterio.open takes one format only
    with without_warnings():
        try:
            return opener(name, driver=_formats(name))
        except raster_errors() as error:
            raise InputError(f"{name}: can't be read as a raster ({error}){_hint(name)}") from error


def _formats(name: str) -> list[str] | None:
    """The formats that a name may turn out to have, of those that this GDAL has; None: any, for the name says it."""
    if not os.path.exists(name) and _FORMAT_FIRST.match(name):
        return None
    path = re.split(r"[?#]", name)[0] if _SCHEME.match(name) else name
    suffix = os.path.splitext(path.rstrip("/"))[1].lower()
    with rasterio_module().Env() as environment:
        known = environment.drivers()
    return [one for one in (*FORMATS, *FORMATS_BY_SUFFIX.get(suffix, ())) if one in known]


def _check_file(name: str) -> None:
    path = name.removeprefix("file://")
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{name}: {reason}") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe would be waited for
        raise InputError(f"{name}: is a pipe or a device; give a file")


def _sidecars(name: str) -> list[str]:
    """The files beside ``name`` that GDAL opens with it, whatever their format."""
    folder, own = os.path.split(name.removeprefix("file://"))
    wanted = {own.lower() + suffix for suffix in SIDECARS}
    try:
        beside = os.listdir(folder or ".")
    except OSError:  # a folder whose files may be read but not listed
        return []
    return [os.path.join(folder, one) for one in beside if one.lower() in wanted]


def _check_remote_sidecar(name: str) -> None:
    """As for local files; whether there is one shows only when it is opened."""
    try:
        _opened(name).close()
    except InputError as error:
        if "not recognized as being in a supported file format" in str(error):  # it is there
            raise


def _hint(name: str) -> str:
    """What to do about content that refers to other files."""
    try:
        with open(name.removeprefix("file://"), "rb") as file:
            start = file.read(1024)
    except OSError:
        return ""
    if not re.search(rb"<(VRTDataset|GDAL_W|GDALTileIndex|MRF_META|Dimap_Document)", start):
        return ""
    return "; it refers to other files or servers: if you trust it, give it the suffix of its format, such as .vrt"


def _check_content(dataset: Any) -> None:
    """Raises InputError for several images, none, and values that are no real numbers."""
    name, parts = dataset.name, dataset.subdatasets
    if parts:
        others = ", ..." if len(parts) > 3 else ""
        raise InputError(f"{name}: holds {len(parts)} rasters; name one of them: {', '.join(parts[:3])}{others}")
    if not dataset.count:
        raise InputError(f"{name}: holds no raster")
    if any(np.dtype(dtype).kind not in "uif" for dtype in dataset.dtypes):
        raise InputError(f"{name}: bands of {listed(dataset.dtypes)}; give integers or floating point")


def listed(dtypes: Sequence[str]) -> str:
    """The different ones, in one line."""
    return ", ".join(sorted(set(dtypes)))
