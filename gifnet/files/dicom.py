"""DICOM, by pydicom: the extra ``[dicom]``. Names in CamelCase are the standard's."""

from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError
from ..extras import require
from .deep import check_page
from .limits import check_pixels, check_whole
from .raster import Array, Raster


def count(file: BinaryIO, name: str) -> int:
    """How many frames it holds."""
    return _frames(_dataset(file, name))


def read(file: BinaryIO, name: str, page: int | None) -> Raster:
    """A frame: colour as uint8 or uint16; grey as rescaled values (float32), such as Hounsfield units.

    Grey comes with the file's first window, or the range of its values, which say what is black and white; where
    low values are white (MONOCHROME1), the window is inverted. Padding becomes NaN.
    """
    pixels = require("pydicom.pixels", "dicom", f"{name}: DICOM")
    dataset = _dataset(file, name)
    frames = _frames(dataset)
    if frames > 1:
        check_page(page, frames, name)
    array = pixels.pixel_array(dataset, index=(page or 0) if frames > 1 else 0)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        array = pixels.apply_color_lut(array, dataset)
    if array.ndim == 3:  # from YCbCr, RGB already
        return Raster(array)
    if not photometric.startswith("MONOCHROME"):
        raise InputError(f"{name}: DICOM of {photometric}; grey, RGB, YCbCr and palettes are read")
    values = np.asarray(pixels.apply_modality_lut(array, dataset), np.float32)
    values[_padding(array, dataset)] = np.nan
    window = _window(dataset, values, name)
    return Raster(values[..., None], window=window, inverted=photometric == "MONOCHROME1")


def _dataset(file: BinaryIO, name: str) -> Any:
    pydicom = require("pydicom", "dicom", f"{name}: DICOM")
    check_whole(file, name)
    dataset = pydicom.dcmread(file)
    if "PixelData" not in dataset:
        raise InputError(f"{name}: DICOM without an image ({dataset.get('Modality', 'no modality')})")
    check_pixels(int(dataset.Columns), int(dataset.Rows), name)
    return dataset


def _frames(dataset: Any) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _padding(array: Array, dataset: Any) -> Array:
    """Where stored values are no measurement."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(array.shape, bool)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    return (array >= low) & (array <= high)


def _window(dataset: Any, values: Array, name: str) -> tuple[float, float]:
    """What is black and what is white: PS3.3, C.11.2.1.2."""
    centre, width = (_first(dataset.get(tag)) for tag in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        finite = values[np.isfinite(values)]
        if not finite.size:
            raise InputError(f"{name}: DICOM of padding alone")
        return float(finite.min()), float(finite.max())
    if str(dataset.get("VOILUTFunction") or "LINEAR") == "LINEAR":
        centre, width = centre - 0.5, width - 1
    width = max(width, 1e-6)
    return centre - width / 2, centre + width / 2


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return float(values[0]) if len(values) else None
