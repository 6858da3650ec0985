"""Image files, read and written with their full depth, alpha and metadata. NumPy and Pillow; no tensors.

Pillow reads and writes every format, but cuts colour and alpha deeper than 8 bits down to 8. Files that have them are
noticed here and left to ``deepimage``, which needs the extra ``[files]``.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ..errors import InputError
from . import deep as deepimage
from .atomic import atomic_path

Array: TypeAlias = "np.ndarray[Any, Any]"

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


@dataclass(frozen=True)
class Raster:
    """The content of an image file."""

    array: Array  # (H, W, C) uint8, uint16, or float32 in [0, 1]; C: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
    metadata: Metadata = NO_METADATA

    @property
    def alpha(self) -> bool:
        return self.array.shape[2] in (2, 4)

    @property
    def fits_pillow(self) -> bool:
        """Whether a PIL image holds it: 8 bits, or grey."""
        return bool(self.array.dtype == np.uint8) or self.array.shape[2] == 1


@dataclass(frozen=True)
class Format:
    """What a format that gifnet writes can hold, and how Pillow writes it."""

    name: str  # Pillow's
    deepest: "np.dtype[Any]"
    alpha: bool
    longest: int  # pixels a side
    options: dict[str, Any]


_PNG = Format("PNG", np.dtype(np.uint16), True, 2**31 - 1, {})
_JPEG = Format("JPEG", np.dtype(np.uint8), False, 65500, {"quality": 95, "subsampling": 0})
_TIFF = Format("TIFF", np.dtype(np.float32), True, 2**31 - 1, {"compression": "tiff_deflate"})
_WEBP = Format("WEBP", np.dtype(np.uint8), True, 16383, {"quality": 95})
_BMP = Format("BMP", np.dtype(np.uint8), False, 2**31 - 1, {})
WRITABLE = {
    ".png": _PNG, ".jpg": _JPEG, ".jpeg": _JPEG, ".tif": _TIFF, ".tiff": _TIFF, ".webp": _WEBP, ".bmp": _BMP
}  # fmt: skip


# --- reading --------------------------------------------------------------------------------------


def read_file(source: "str | os.PathLike[str] | bytes", name: str, page: int | None = None) -> Raster:
    """The image in a file, or in the bytes of one; its content, not its suffix, tells the format.

    The EXIF orientation is applied. Palettes become RGB; CMYK becomes RGB by its embedded ICC profile, if it has one.
    Other formats than PNG, TIFF, JPEG, WebP and BMP come as Pillow gives them.

    Args:
        source: a path, or the file's content.
        name: what error messages call it.
        page: which image of a file that holds several (0 is the first); files that hold one are not affected.

    Raises:
        InputError: it is no image, damaged, too large, or holds several and ``page`` is None or is none of them; or
            its depth needs the extra ``[files]``.
    """
    if page is not None and (isinstance(page, bool) or not isinstance(page, int) or page < 0):
        raise InputError(f"page: {page!r}; give the number of an image in the file, 0 for the first")
    with _reading(name), _opened(source, name) as file:
        return _read(file, name, page)


@contextmanager
def _opened(source: "str | os.PathLike[str] | bytes", name: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        mode = os.stat(source).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise InputError(f"{name}: no such file") from error
    except OSError as error:
        raise InputError(f"{name}: can't be read ({error.strerror})") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{name}: is a folder; give an image file")
    if not stat.S_ISREG(mode):  # a pipe would be waited for
        raise InputError(f"{name}: is no regular file; give an image file")
    with open(source, "rb") as file:
        yield file


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turns whatever reading raises into an InputError; decoders raise anything on damaged data."""
    try:
        yield
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: {error}; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: can't be read as an image ({reason})") from error


def _read(file: BinaryIO, name: str, page: int | None) -> Raster:
    try:
        opened = Image.open(file)
    except UnidentifiedImageError as error:
        file.seek(0)
        if deepimage.is_tiff(file):  # Pillow has no name for colour in floating point
            return _read_deep_tiff(file, name, page)
        raise InputError(f"{name}: not an image in a format that Pillow reads") from error
    with opened:
        try:
            frames = getattr(opened, "n_frames", 1)
            if frames > 1 and (page is not None or opened.format != "MPO"):  # previews don't make a photograph several
                deepimage.check_page(page, frames, name)
                opened.seek(page or 0)
        except (SyntaxError, ValueError) as error:
            if opened.format != "TIFF" or isinstance(error, InputError):
                raise
            return _read_deep_tiff(file, name, page)  # another page is of a kind that Pillow doesn't know
        if _is_deep(opened):
            if opened.format == "TIFF":
                return _read_deep_tiff(file, name, page if frames > 1 else 0)
            if opened.format == "PNG" and not (frames > 1 and page):
                return _read_deep_png(file, opened, name)
            raise InputError(f"{name}: has 16 bits a channel, of which 8 would be lost; save it as PNG or TIFF")
        _check_jpeg(file, opened, name)
        opened.load()
        white_is_zero = opened.format == "TIFF" and opened.tag_v2.get(262) == 0  # type: ignore[attr-defined]
        metadata = Metadata.of(_exif(opened), opened.info.get("icc_profile"), upright=True)
        raster = replace(from_pil(_upright(opened), name), metadata=metadata)
    if white_is_zero and raster.array.dtype != np.uint8:  # Pillow inverts 8 bits only
        return replace(raster, array=(65535 if raster.array.dtype == np.uint16 else 1) - raster.array)
    return raster


def _is_deep(opened: Image.Image) -> bool:
    """Whether the file has more bits a channel than Pillow's image of it will."""
    if opened.mode.startswith(("I", "F")):
        return False
    if opened.format == "TIFF":
        return bool(max(opened.tag_v2.get(258, (1,))) > 8)  # type: ignore[attr-defined]
    for tile in getattr(opened, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        raw_mode = str(arguments[0]) if arguments else ""
        if ";16" in raw_mode and not raw_mode.startswith("BGR"):  # BGR;16 has 16 bits in all three together
            return True
        if tile[0].startswith("ppm") and arguments[-1] > 255:
            return True
    return False


def _check_jpeg(file: BinaryIO, opened: Image.Image, name: str) -> None:
    """Raises InputError for a file too short for its size in pixels; Pillow would fill in grey, at any size."""
    if opened.format not in ("JPEG", "MPO"):
        return
    position, length = file.tell(), file.seek(0, os.SEEK_END)
    file.seek(position)
    blocks = (opened.width // 8) * (opened.height // 8)  # each takes a bit or more
    if 8 * length < blocks:
        raise InputError(f"{name}: damaged; {length} bytes can't hold {opened.width}×{opened.height} pixels")


def _read_deep_tiff(file: BinaryIO, name: str, page: int | None) -> Raster:
    array, exif, icc = deepimage.read_tiff(file, name, page)
    return _turned(Raster(array, Metadata.of(exif, icc, upright=True)), exif)


def _read_deep_png(file: BinaryIO, opened: Image.Image, name: str) -> Raster:
    opened.load()  # for the chunks behind the pixels, and Pillow's checks of damage
    exif = _exif(opened)
    file.seek(0)
    metadata = Metadata.of(exif, opened.info.get("icc_profile"), upright=True)
    return _turned(Raster(deepimage.read_png(file.read(), name), metadata), exif)


def _turned(raster: Raster, exif: Image.Exif) -> Raster:
    """As the EXIF orientation says."""
    array = raster.array
    orientation = exif.get(ORIENTATION, 1)
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return replace(raster, array=array)


def from_pil(image: Image.Image, name: str) -> Raster:
    """A PIL image of any mode, its pixels taken as they lie, its orientation kept."""
    if 0 in image.size:
        raise InputError(f"{name}: empty image of {image.width}×{image.height} pixels")
    with _reading(name):
        image.load()
        array = _deep_grey(image, name) if image.mode.startswith("I") else np.asarray(_eight_bits_or_float(image))
        metadata = Metadata.of(_exif(image), image.info.get("icc_profile"), upright=False)
    return Raster(array if array.ndim == 3 else array[..., None], metadata)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata are no reason to refuse the pixels
        return image


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # likewise
        return Image.Exif()


def _deep_grey(image: Image.Image, name: str) -> Array:
    values = np.asarray(image)
    if values.dtype.itemsize > 2 and (values.min() < 0 or values.max() > 65535):
        raise InputError(f"{name}: integers from {values.min()} to {values.max()}; scale them to 0..65535 first")
    grey = values.astype(np.uint16)
    transparent = image.info.get("transparency")  # the one level that is
    if not isinstance(transparent, int):
        return grey
    return np.stack([grey, np.where(grey == transparent, 0, 65535).astype(np.uint16)], axis=-1)


def _eight_bits_or_float(image: Image.Image) -> Image.Image:
    """Any other mode as L, LA, RGB, RGBA or F."""
    mode = image.mode
    if mode == "F":
        return image
    transparent = image.has_transparency_data or mode in ("La", "RGBa")
    if mode in ("1", "L", "LA", "La"):
        return image.convert("LA" if transparent else "L")
    if mode == "CMYK":
        return _from_cmyk(image)
    return image.convert("RGBA" if transparent else "RGB")


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile") or b""
    if profile[16:20] == b"CMYK":
        from PIL import ImageCms

        try:
            inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, inks, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImportError, OSError, ImageCms.PyCMSError):  # a damaged profile: as if there were none
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


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


# --- writing --------------------------------------------------------------------------------------


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """The path, if its suffix names a format that gifnet writes. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path}: unknown image suffix {path.suffix!r}; use {', '.join(WRITABLE)}")
    return path


def check_output(path: str | os.PathLike[str]) -> Path:
    """The path, if an image can be written there: a known suffix, and a folder that exists. Raises InputError."""
    path = check_suffix(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a file name")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write in the folder {path.parent}")
    return path


def check_content(path: Path, shape: tuple[int, int, int], dtype: "np.dtype[Any]") -> None:
    """Raises InputError if a file of this suffix can't hold an (H, W, C) image, or needs an extra that is missing."""
    kind = WRITABLE[path.suffix.lower()]
    height, width, channels = shape
    if channels in (2, 4) and not kind.alpha:
        raise InputError(f"{path}: {kind.name} holds no alpha; write PNG, TIFF or WebP")
    if max(height, width) > kind.longest:
        raise InputError(f"{path}: {width}×{height} pixels; {kind.name} holds {kind.longest} a side: write PNG or TIFF")
    if channels > 1 and min(_depth(dtype), _depth(kind.deepest)) > 1:
        deepimage.check_installed(str(path))


def write_file(raster: Raster, path: str | os.PathLike[str]) -> Path:
    """Write in the format of the path's suffix, whole or not at all; what was at ``path`` is replaced by then.

    JPEG, WebP and BMP hold 8 bits, PNG up to 16, TIFF everything; deeper pixels are rounded. BMP holds no metadata.

    Raises InputError: the path can't be written to, or its format can't hold the image.
    """
    path = check_output(path)
    check_content(path, raster.array.shape, raster.array.dtype)
    content = _encode(raster, WRITABLE[path.suffix.lower()], path)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror or error})") from error
    return path


def encode(raster: Raster, name: str) -> bytes:
    """The content of a PNG file, or for floating point, which PNG has not, of a TIFF file."""
    return _encode(raster, _TIFF if raster.array.dtype == np.float32 else _PNG, Path(name))


def _encode(raster: Raster, kind: Format, path: Path) -> bytes:
    if _depth(raster.array.dtype) > _depth(kind.deepest):
        raster = rounded(raster, kind.deepest)
    metadata = raster.metadata.fitting(raster.array.shape[2])
    try:
        if not raster.fits_pillow:
            write = deepimage.write_tiff if kind is _TIFF else deepimage.write_png
            return write(raster.array, metadata.exif, metadata.icc, str(path))
        return _encode_with_pillow(to_pil(raster), metadata, kind)
    except InputError:
        raise
    except Exception as error:  # encoders raise OSError, ValueError, struct.error and more on what a format can't hold
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: can't be written as {kind.name} ({reason}); TIFF holds every result") from error


def _encode_with_pillow(image: Image.Image, metadata: Metadata, kind: Format) -> bytes:
    options = dict(kind.options)
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.exif and kind.name in ("PNG", "WEBP", "JPEG") and not (kind is _JPEG and len(metadata.exif) > 65533):
        options["exif"] = metadata.exif
    image.info = {}
    buffer = io.BytesIO()
    image.save(buffer, kind.name, **options)
    content = buffer.getvalue()
    # Pillow can't write EXIF directories into a compressed TIFF.
    return deepimage.with_exif(content, metadata.exif) if kind is _TIFF and metadata.exif else content


def to_pil(raster: Raster) -> Image.Image:
    """A PIL image with the metadata; the raster must fit."""
    array = np.ascontiguousarray(raster.array)
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    metadata = raster.metadata.fitting(array.shape[2])
    if metadata.exif:
        image.info["exif"] = metadata.exif
    if metadata.icc:
        image.info["icc_profile"] = metadata.icc
    return image


def rounded(raster: Raster, dtype: "np.dtype[Any]") -> Raster:
    """At a lesser depth, each level rounded to the nearest."""
    array = raster.array
    if array.dtype == np.float32:
        top = np.iinfo(dtype).max
        array = (array.clip(0, 1) * top).round().astype(dtype)
    else:
        array = ((array.astype(np.uint32) + 128) // 257).astype(dtype)
    return replace(raster, array=array)


def _depth(dtype: "np.dtype[Any]") -> int:
    return int(dtype.itemsize)  # 1, 2 and 4 bytes: uint8 < uint16 < float32
