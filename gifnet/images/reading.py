"""Whatever a caller has becomes a picture."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..files.pillow import from_pil, planes_of_mode
from ..files.reading import count_images, measure, near_infrared, read_file
from .arrays import from_array
from .lazy import ArrayLike, LazyPicture, is_lazy
from .picture import ReadablePicture
from .rasters import from_raster, pack_bytes, pack_pil, pack_pil_or_array, pack_raster
from .tensors import from_tensor

PIXEL = 4  # bytes, of one plane, in float32


class SupportsRead(Protocol):
    """A file opened for reading in binary, such as ``io.BytesIO``."""

    def read(self) -> bytes: ...


@dataclass(frozen=True)
class Page:
    """One image of a file that holds several."""

    source: "str | os.PathLike[str] | bytes"
    number: int  # 0 is the first
    band: int | None = None  # only this one of its bands beside colours; 1 is the file's first

    def of(self, picture: ReadablePicture) -> ReadablePicture:
        """What it names, of the picture of the whole image."""
        if self.band is None:
            return picture
        (band,) = (band for band in picture.further if band.label and band.label.number == self.band)
        return replace(band, packer=picture.packer, label=None)


ImageLike: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | SupportsRead
    | Image.Image
    | np.ndarray[Any, Any]
    | Tensor
    | ReadablePicture
    | Page
    | ArrayLike  # of h5py, zarr, Dask and xarray
)
Images: TypeAlias = list[Any] | tuple[Any, ...]  # of ImageLike


def images_of(a: ImageLike | Images, b: ImageLike | None, more: Sequence[ImageLike]) -> tuple[ImageLike, ...]:
    """The images to fuse: ``a``, ``b`` and ``more``; or, without ``b``, those in the list or in the file ``a``.

    Files opened are read, for a stack may be read twice. Raises InputError for fewer than two.
    """
    images: tuple[Any, ...]
    if b is not None:
        if isinstance(a, (list, tuple)):
            raise InputError(
                f"a: {type(a).__name__} is no image; give a list of images alone, or the images one by one"
            )
        images = (a, b, *more)
    elif isinstance(a, (list, tuple)):
        images = tuple(a)
        if len(images) < 2:
            raise InputError(f"a: a list of {len(images)} images; fusion takes two or more (gifnet.enhance takes one)")
    else:
        images = pages_of(_content(a, "a"))
    return tuple(_content(image, "an image") for image in images)


def pages_of(source: Any) -> tuple[Page, ...]:
    """The images of a file, or of its bytes, that holds several; of RGB and near infrared, the latter and the former.

    Raises InputError where it holds one.
    """
    if not isinstance(source, (str, os.PathLike, bytes)):
        raise InputError("b: missing (NoneType is no image); fusion takes two images or more, gifnet.enhance takes one")
    name = "a (bytes)" if isinstance(source, bytes) else os.fsdecode(source)
    count = count_images(source, name)
    infrared = near_infrared(source, name) if count == 1 else None
    if infrared is not None:
        return Page(source, 0, infrared), Page(source, 0)
    if count < 2:
        raise InputError(f"{name}: holds one image; fusion takes two or more (gifnet.enhance takes one)")
    return tuple(Page(source, number) for number in range(count))


def _content(source: Any, argument: str) -> Any:
    """The bytes of a file object; anything else as it is."""
    if not hasattr(source, "read") or isinstance(source, (str, os.PathLike)):
        return source
    content = source.read()
    if not isinstance(content, bytes):
        raise InputError(f"{argument}: a file of text; open it in binary, by open(path, 'rb')")
    return content


def read(source: ImageLike, argument: str, page: int | None = None) -> ReadablePicture:
    """Read a path, encoded bytes, a file object, a PIL image, an array (H×W or H×W×C) or a tensor (C×H×W or B×C×H×W).

    C is 1 (grey), 3 (R, G, B) or 4 (and alpha). uint8, uint16, or floating point in [0, 1]. The EXIF orientation of
    paths and bytes is applied; PIL images, arrays and tensors are taken as they are, and a picture is given back.
    Large arrays and those in files are not read yet; ``load`` of what is returned does that.

    ``page`` is for files that hold several images, see ``files.reading.read_file``.

    Raises InputError, naming the file or ``argument``, for whatever is none of that.
    """
    if isinstance(source, ReadablePicture):
        return source
    if isinstance(source, Page):
        return source.of(read(source.source, argument, source.number))
    source = _content(source, argument)
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
    if isinstance(source, (list, tuple)):
        raise InputError(f"{argument}: {type(source).__name__} is no image; fusion takes one list of images, alone")
    raise InputError(
        f"{argument}: {type(source).__name__} is no image; give a path, bytes, a file object, a PIL image, an array "
        "or a tensor"
    )


def bytes_to_read(source: ImageLike, argument: str, page: int | None = None) -> int:
    """What the planes of an image will take, at least, once it is read; 0 where ``read`` takes no memory, or refuses.

    Nothing is decoded.
    """
    if isinstance(source, Page):
        page, source = source.number, source.source
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


def read_for_writing(path: "str | os.PathLike[str] | Page", page: int | None = None) -> ReadablePicture:
    """Like ``read`` of a path, but its results are a ``Raster``, for ``files.writing.write_file``."""
    if isinstance(path, Page):
        assert not isinstance(path.source, bytes)
        return path.of(read_for_writing(path.source, path.number))
    name = os.fsdecode(path)
    return from_raster(read_file(name, name, page), name, pack_raster, file=True)
