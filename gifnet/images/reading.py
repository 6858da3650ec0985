"""Whatever a caller has becomes a picture."""

import math
import os
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..files.pillow import from_pil, planes_of_mode
from ..files.reading import measure, read_file
from .arrays import from_array
from .lazy import LazyPicture, is_lazy
from .picture import ReadablePicture
from .rasters import from_raster, pack_bytes, pack_pil, pack_pil_or_array, pack_raster
from .tensors import from_tensor

PIXEL = 4  # bytes, of one plane, in float32
ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray[Any, Any] | Tensor | ReadablePicture"


def read(source: ImageLike, argument: str, page: int | None = None) -> ReadablePicture:
    """Read a path, encoded bytes, a PIL image, an array (H×W or H×W×C) or a tensor (C×H×W or B×C×H×W).

    C is 1 (grey), 3 (R, G, B) or 4 (and alpha). uint8, uint16, or floating point in [0, 1]. The EXIF orientation of
    paths and bytes is applied; PIL images, arrays and tensors are taken as they are, and a picture is given back.
    Large arrays and those in files are not read yet; ``load`` of what is returned does that.

    ``page`` is for files that hold several images, see ``files.reading.read_file``.

    Raises InputError, naming the file or ``argument``, for whatever is none of that.
    """
    if isinstance(source, ReadablePicture):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        return from_raster(read_file(path, path, page), path, pack_pil_or_array, file=True)
    if isinstance(source, bytes):
        name = f"{argument} (bytes)"
        return from_raster(read_file(source, name, page), name, pack_bytes, file=True)
    if isinstance(source, Image.Image):
        return from_raster(from_pil(source, argument), argument, pack_pil)
    if is_lazy(source):
        return LazyPicture.of(source, argument)
    if isinstance(source, np.ndarray):
        return from_array(source, argument)
    if isinstance(source, Tensor):
        return from_tensor(source, argument)
    raise InputError(
        f"{argument}: {type(source).__name__} is no image; give a path, bytes, a PIL image, an array or a tensor"
    )


def bytes_to_read(source: ImageLike, argument: str, page: int | None = None) -> int:
    """What the planes of an image will take, at least, once it is read; 0 where ``read`` takes no memory, or refuses.

    Nothing is decoded.
    """
    if isinstance(source, Image.Image):
        return source.width * source.height * planes_of_mode(source.mode) * PIXEL
    if isinstance(source, (str, os.PathLike, bytes)):
        try:
            height, width, planes = measure(source, argument, page)
        except InputError:  # which ``read`` raises too
            return 0
        return height * width * planes * PIXEL
    if isinstance(source, Tensor) or (isinstance(source, np.ndarray) and not is_lazy(source)):
        return math.prod(source.shape) * PIXEL
    return 0


def read_for_writing(path: str | os.PathLike[str], page: int | None = None) -> ReadablePicture:
    """Like ``read`` of a path, but its results are a ``Raster``, for ``files.writing.write_file``."""
    name = os.fsdecode(path)
    return from_raster(read_file(name, name, page), name, pack_raster, file=True)
