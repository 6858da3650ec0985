"""NumPy's ``.npy`` files as images."""

from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError
from .limits import check_pixels, size_of

MAGIC = b"\x93NUMPY"


def read_npy(file: BinaryIO, name: str) -> "np.ndarray[Any, np.dtype[Any]]":
    """(H, W, C) of any numbers; floating point of 16 and 64 bits becomes float32.

    Nothing is unpickled. Raises InputError for other shapes, objects, and a file that ends early.
    """
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        raise InputError(f"{name}: array of shape {shape}; save one of H×W, H×W×3 (RGB) or H×W×4 (RGBA)")
    if dtype.kind not in "uif":
        raise InputError(f"{name}: array of dtype {dtype}; save numbers")
    check_pixels(shape[1], shape[0], name)
    if size_of(file) - file.tell() < int(np.prod(shape)) * dtype.itemsize:
        raise InputError(f"{name}: damaged; the file ends before its values do")
    file.seek(0)
    array = np.lib.format.read_array(file, allow_pickle=False)
    array = array.astype(np.float32) if dtype.kind == "f" else array
    return array if array.ndim == 3 else array[..., None]
