"""Images as a browser shows them: 8 bits, of a size that fits a screen."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..execution.running import Execution
from ..files.pillow import to_pil
from ..files.raster import Raster, rounded
from ..files.reading import count_images
from ..images.picture import Picture, ReadablePicture, UnscaledPicture
from ..images.rasters import pack_raster
from ..images.reading import Page, bytes_to_read, read_for_writing
from ..options.values import DEFAULT_PERCENTILES, StretchLimits
from ..prepare.stretch import stretched

LONGEST = 2048  # pixels a side
THUMBNAIL = 300
BITS = {torch.uint8: "8 bits", torch.uint16: "16 bits", torch.float32: "floating point"}


def preview(raster: Raster, longest: int = LONGEST) -> Image.Image:
    """At most ``longest`` pixels a side, 8 bits, with its colour profile."""
    image = to_pil(raster if raster.array.dtype == np.uint8 else rounded(raster, np.dtype(np.uint8)))
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return image


def preview_of(picture: Picture, longest: int = LONGEST) -> Image.Image:
    """The same of a picture."""
    return preview(pack_raster(picture.pixels, picture.alpha, picture.dtype, picture.metadata), longest)


def save(image: Image.Image, path: Path) -> Path:
    """Write a preview as PNG, without any metadata but the profile."""
    profile = image.info.get("icc_profile")
    image.info = {}
    image.save(path, "PNG", compress_level=1, icc_profile=profile)
    return path


def thumbnail(path: str | os.PathLike[str], execution: Execution) -> tuple[Image.Image, str]:
    """What a file shows, and what it is in words: its sides, depth and pages.

    Raises InputError for what is no image, or doesn't fit into the memory there is.
    """
    name = os.fspath(path)
    pages = count_images(name, name)
    source = Page(name, 0) if pages > 1 else name
    execution.check_images(torch.device("cpu"), bytes_to_read(source, name), name)
    picture = read_for_writing(source)
    words = [f"{picture.layout.width} × {picture.layout.height}", BITS[picture.dtype]]
    words += [f"{pages} pages"] if pages > 1 else []
    return preview_of(_visible(picture), THUMBNAIL), ", ".join(words)


def _visible(picture: ReadablePicture) -> Picture:
    """Deep grey images mostly use a small part of their range; so do numbers on a scale of their own."""
    given = picture.as_given()
    if isinstance(given, UnscaledPicture) or (given.dtype != torch.uint8 and not given.coloured):
        return stretched(given, StretchLimits(*DEFAULT_PERCENTILES))[0]
    return given
