"""EXIF, ICC profiles, resolution and georeference: what of them is kept from an image file for the result."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import ExifTags, Image

from .nodata import Missing

ORIENTATION = ExifTags.Base.Orientation
# What of EXIF describes the scene, the camera and the author; the rest of a TIFF's tags is the layout of its pixels.
_DESCRIPTIVE = frozenset(
    {
        ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.XResolution,
        ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit, ExifTags.Base.Software, ExifTags.Base.DateTime,
        ExifTags.Base.Artist, ExifTags.Base.Copyright, ORIENTATION, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo,
    }
)  # fmt: skip
# Of the Exif directory: sizes that the result need not have, and a directory that only describes those.
_OF_THE_SOURCE = frozenset({ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight, ExifTags.IFD.Interop})


# Descriptions that programs read again as the layout of a file's pages, which the result's are not: of ImageJ, SCIFIO,
# OME, tifffile, and of slide scanners.
_OF_A_LAYOUT = re.compile(
    r"\s*((ImageJ|SCIFIO)=|(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(OME|scn|DataObject)\b|\{.*\"shape\"|shape=\(|Aperio )",
    re.DOTALL,
)
# Pixel scale, tie points (ground control points too), transformation, keys with their numbers and texts; GDAL's nodata;
# RPCs.
_GEOREFERENCE = (33550, 33922, 34264, 34735, 34736, 34737, 42113, 50844)


@dataclass(frozen=True)
class Metadata:
    """What an image file says besides its pixels. Empty bytes: nothing."""

    exif: bytes = b""  # as Pillow takes it: "Exif\0\0" and a TIFF structure; no thumbnail
    icc: bytes = b""  # an ICC profile
    dpi: tuple[float, float] | None = None  # pixels per inch, across and down
    geo: bytes = b""  # tags of a GeoTIFF's georeference, in the form of ``exif``
    missing: Missing | None = field(default=None, compare=False)  # pixels without data; None: not looked for, or none

    @classmethod
    def of(
        cls, exif: Image.Exif, icc: object, upright: bool, dpi: object = None, tags: Mapping[int, Any] | None = None
    ) -> "Metadata":
        """Of what a file holds.

        Args:
            exif: its EXIF data.
            icc: its profile; what is no bytes is none.
            upright: the orientation has been applied, and is reset.
            dpi: its resolution; what is no pair of positive numbers is none.
            tags: those of a TIFF, for its georeference.
        """
        orientation = exif.get(ORIENTATION, 1)
        resolution = _resolution(dpi)
        if upright and resolution is not None and orientation in (5, 6, 7, 8):
            resolution = resolution[::-1]
        geo = _tobytes({tag: tags[tag] for tag in _GEOREFERENCE if tag in tags}) if tags and orientation == 1 else b""
        return cls(_descriptive(exif, upright), icc if isinstance(icc, bytes) else b"", resolution, geo)

    def noting(self, note: str) -> "Metadata":
        """With a note (ASCII) at the end of the EXIF image description."""
        exif = Image.Exif()
        exif.load(self.exif)
        described = exif.get(ExifTags.Base.ImageDescription)
        exif[ExifTags.Base.ImageDescription] = f"{described}; {note}" if described else note
        return replace(self, exif=exif.tobytes())

    def fitting(self, channels: int) -> "Metadata":
        """Without a profile of another colour space than that of an image of 1 or 2 (grey), 3 or 4 (RGB) channels."""
        fits = self.icc[16:20] == (b"GRAY" if channels < 3 else b"RGB ")
        return self if fits or not self.icc else replace(self, icc=b"")

    def resampled(self) -> "Metadata":
        """Of an image whose pixels are no longer where they were."""
        return replace(self, geo=b"", missing=None) if self.geo else self

    def looked_through(self, array: Any) -> "Metadata":
        """With the pixels without data of the image (H, W, C)."""
        return replace(self, missing=Missing.of(array, self.geo)) if self.geo else self


NO_METADATA = Metadata()


def _resolution(dpi: object) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in dpi)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    usable = all(math.isfinite(number) and 0 < number < 1e6 for number in (across, down))
    return (across, down) if usable else None


def _descriptive(exif: Image.Exif, upright: bool) -> bytes:
    """The EXIF to carry on, without tags that are damaged."""
    found: dict[int, Any] = {int(tag): _value(exif, tag) for tag in _DESCRIPTIVE.intersection(exif)}
    kept = {tag: value for tag, value in found.items() if value is not None and _writable(tag, value)}
    if _OF_A_LAYOUT.match(str(kept.get(ExifTags.Base.ImageDescription, ""))):
        del kept[ExifTags.Base.ImageDescription]
    if upright and kept:
        kept[ORIENTATION] = 1
    return _tobytes(kept)


def _value(exif: Image.Exif, tag: int) -> Any:
    """Of a tag, or of one that is a directory, what can be kept of it; None where there is nothing."""
    try:
        if tag not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            return exif[tag]
        found = exif.get_ifd(tag).items()
    except Exception:  # Pillow raises anything on damaged directories
        return None
    return {key: value for key, value in found if key not in _OF_THE_SOURCE and _writable(key, value)} or None


def _writable(tag: int, value: object) -> bool:
    """Whether Pillow can write a tag; what it can't is not worth the others' loss."""
    try:
        return bool(_written({tag: value}))
    except Exception:
        return False


def _tobytes(tags: Mapping[int, Any]) -> bytes:
    try:
        return _written(tags) if tags else b""
    except Exception:
        return b""


def _written(tags: Mapping[int, Any]) -> bytes:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    return exif.tobytes()
