"""EXIF and ICC profiles: what of them is kept from an image file for the result."""

from dataclasses import dataclass, replace

from PIL import ExifTags, Image

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


@dataclass(frozen=True)
class Metadata:
    """What an image file says besides its pixels. Empty bytes: nothing."""

    exif: bytes = b""  # as Pillow takes it: "Exif\0\0" and a TIFF structure; no thumbnail
    icc: bytes = b""  # an ICC profile

    @classmethod
    def of(cls, exif: Image.Exif, icc: object, upright: bool) -> "Metadata":
        """Of what a file holds; ``upright``: the orientation has been applied, and is reset."""
        return cls(_descriptive(exif, upright), icc if isinstance(icc, bytes) else b"")

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


NO_METADATA = Metadata()


def _descriptive(exif: Image.Exif, upright: bool) -> bytes:
    """The EXIF to carry on, or nothing where it is damaged."""
    try:
        kept = Image.Exif()
        for tag in _DESCRIPTIVE.intersection(exif):
            if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
                directory = {key: value for key, value in exif.get_ifd(tag).items() if key not in _OF_THE_SOURCE}
                if directory:
                    kept[tag] = directory
            else:
                kept[tag] = exif[tag]
        if upright and len(kept):
            kept[ORIENTATION] = 1
        return kept.tobytes() if len(kept) else b""
    except Exception:
        return b""
