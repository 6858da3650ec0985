"""The directories of a TIFF: which of them is the image of the file, and what its samples are.

A TIFF is a chain of directories, and each may have others below it (SubIFDs). Some hold no image of their own but
a smaller version of one (an overview, a thumbnail) or its mask, and say so in NewSubfileType.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..errors import InputError
from .limits import DIRECTORIES

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_RAW_PHOTOMETRICS = (32803, 34892)  # colour filter array, linear raw
_DNG_VERSION, _SUB_IFDS = 50706, 330
_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*")  # the last two are wrong, and met


@dataclass(frozen=True, eq=False)
class Directory:
    """One directory."""

    offset: int
    tags: ImageFileDirectory_v2

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of a tag, or the default where there is none."""
        values = self.numbers(tag)
        return values[0] if values else default

    def numbers(self, tag: int) -> tuple[int, ...]:
        found: Any = self.tags.get(tag, ())
        values = found if isinstance(found, (tuple, list)) else (found,)
        return tuple(int(value) for value in values if isinstance(value, (int, float)))

    @property
    def width(self) -> int:
        return self.number(256)

    @property
    def height(self) -> int:
        return self.number(257)

    @property
    def samples(self) -> int:
        """Per pixel."""
        return self.number(277, 1)

    @property
    def bits(self) -> tuple[int, ...]:
        """Of each sample."""
        return self.numbers(258) or (1,)

    @property
    def sample_format(self) -> int:
        """1 unsigned, 2 signed, 3 floating point."""
        return self.number(339, 1)

    @property
    def compression(self) -> int:
        return self.number(259, 1)

    @property
    def photometric(self) -> int:
        return self.number(262, -1)

    @property
    def is_reduced(self) -> bool:
        return bool(self.number(254) & _REDUCED) or (254 not in self.tags and self.number(255) == 2)

    @property
    def is_mask(self) -> bool:
        return bool(self.number(254) & _MASK) or self.photometric == 4

    @property
    def is_raw(self) -> bool:
        return self.photometric in _RAW_PHOTOMETRICS or _DNG_VERSION in self.tags

    @cached_property
    def segments(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Where the strips or tiles start, and their sizes in bytes."""
        tiled = 324 in self.tags
        return self.numbers(324 if tiled else 273), self.numbers(325 if tiled else 279)


class CameraRawError(InputError):
    """A TIFF whose image is a sensor's values."""


def is_tiff(file: BinaryIO) -> bool:
    """Whether it starts as a TIFF or BigTIFF does; the position is left at the start."""
    start = file.read(4)
    file.seek(0)
    return start in _STARTS


def images_of(file: BinaryIO, name: str) -> list[Directory]:
    """The directories that are images of their own.

    Raises InputError where there is none or far too many, CameraRawError for camera raws, whose first is a preview.
    """
    chain = list(_chain(file, _first_offset(file), name))
    below = [sub for directory in chain for sub in _below(file, directory, name)]
    if any(directory.is_raw for directory in (*chain, *below)):
        raise CameraRawError(f"{name}: is a camera raw, which has to be developed")
    for candidates in (chain, below):
        images = [directory for directory in candidates if not directory.is_mask and not directory.is_reduced]
        if images:
            return images
    images = [directory for directory in chain if not directory.is_mask] or chain  # wrongly marked, but all there is
    if not images:
        raise InputError(f"{name}: damaged; the TIFF has no image")
    return images


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(16)


def _first_offset(file: BinaryIO) -> int:
    return int(_empty_directory(_head(file)).next or 0)


def _is_big(head: bytes) -> bool:
    return b"+" in head[2:4]


def _empty_directory(head: bytes) -> ImageFileDirectory_v2:
    if _is_big(head):  # Pillow knows big ones by their third byte, which in big-endian ones is the fourth
        return ImageFileDirectory_v2(b"II+\0" + head[4:], prefix=head[:2])
    return ImageFileDirectory_v2(head[:8])


def _chain(file: BinaryIO, offset: int, name: str) -> Iterator[Directory]:
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise InputError(f"{name}: damaged; the directories of the TIFF go in a circle")
        if len(seen) == DIRECTORIES:
            raise InputError(f"{name}: a TIFF of more than {DIRECTORIES} images; split it")
        seen.add(offset)
        directory = _load(file, offset)
        if not directory.tags:
            return  # beyond the end: what came before may be whole
        yield directory
        offset = int(directory.tags.next or 0)


def _below(file: BinaryIO, directory: Directory, name: str) -> list[Directory]:
    offsets = directory.numbers(_SUB_IFDS)
    if len(offsets) > DIRECTORIES:
        raise InputError(f"{name}: damaged; a TIFF of {len(offsets)} directories below one")
    return [sub for offset in offsets if (sub := _load(file, offset)).tags]


def _load(file: BinaryIO, offset: int) -> Directory:
    tags = _empty_directory(_head(file))
    file.seek(offset)
    tags.load(file)
    return Directory(offset, tags)


def check_segments(directory: Directory, name: str, size: int, beyond: bool = False) -> None:
    """Raises InputError where strips or tiles are missing, which decoders fill with zeros.

    ``beyond``: and where they lie beyond the file's end, which not every decoder notices.
    """
    offsets, counts = directory.segments
    if directory.compression == 6:  # JPEG as TIFF 6.0 had it lies elsewhere
        return
    if not counts and len(offsets) == 1 and directory.compression == 1:
        return  # one strip up to the end, as old writers left it
    expected = _expected(directory)
    present = sum(count > 0 for count in counts[:expected])
    if present < expected or len(offsets) < expected:
        raise InputError(f"{name}: damaged; has {min(present, len(offsets))} of {expected} strips or tiles of the TIFF")
    if beyond and any(start + count > size for start, count in zip(offsets, counts, strict=False)):
        raise InputError(f"{name}: damaged; the file ends before its pixels do")


def _expected(directory: Directory) -> int:
    planes = directory.samples if directory.number(284, 1) == 2 else 1
    if 324 in directory.tags:
        width, height = directory.number(322), directory.number(323)
        if width <= 0 or height <= 0:
            return 1
        return planes * math.ceil(directory.width / width) * math.ceil(directory.height / height)
    rows = directory.number(278) or directory.height
    return planes * math.ceil(directory.height / min(rows, directory.height))


def resolution(directory: Directory) -> tuple[float, float] | None:
    """Pixels per inch, across and down, where it says so."""
    per_inch = {2: 1.0, 3: 2.54}.get(directory.number(296, 2))
    found: list[Any] = [directory.tags.get(tag) for tag in (282, 283)]
    if per_inch is None or None in found:
        return None
    try:
        across, down = (float(number[0] if isinstance(number, tuple) else number) * per_inch for number in found)
    except (ValueError, ZeroDivisionError):
        return None
    return across, down


class PageFirst:
    """A TIFF file in which another directory than the first comes first, for decoders that only read that one."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file = file
        head = _head(file)
        big = _is_big(head)
        order = "little" if head[:1] == b"I" else "big"
        self._start = 8 if big else 4
        self._patch = offset.to_bytes(8 if big else 4, order)  # type: ignore[arg-type]
        file.seek(0)

    def read(self, count: int = -1) -> bytes:
        position = self._file.tell()
        content = self._file.read(count)
        low, high = max(position, self._start), min(position + len(content), self._start + len(self._patch))
        if low >= high:
            return content
        patched = bytearray(content)
        patched[low - position : high - position] = self._patch[low - self._start : high - self._start]
        return bytes(patched)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        """For libtiff, which reads the file itself, and is told which directory."""
        return self._file.fileno()

    def close(self) -> None:
        """Whoever opened the file closes it."""
