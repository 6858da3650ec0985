"""Which files of a folder are images: one answer for folders, stacks, evaluation and training.

An image is a file whose suffix is that of a format which gifnet reads, and which is not hidden (this covers
AppleDouble's ``._*``). Files of image formats that it can't read, camera raws for instance, are listed too, so that
reading them says why, unless a readable image of the same name lies beside them.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InputError
from .formats import RAW_OR_REFUSED, readable_suffixes

# Made by network storage, Windows and archivers: thumbnails and what has been deleted.
_NO_FOLDERS_OF_IMAGES = frozenset(
    {"@eaDir", "@Recycle", "#recycle", "@Recently-Snapshot", "$RECYCLE.BIN", "System Volume Information", "__MACOSX"}
)


def stem_of(path: Path) -> str:
    """The name without suffix that pairs go by; decomposed (NFD, macOS) and composed (NFC) forms are one name."""
    return unicodedata.normalize("NFC", path.stem)


def images_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files in a folder, sorted by name. Raises InputError where it is none or can't be listed."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    return [folder / path for path in images_below(folder)]


def images_below(folder: Path, out: Path | None = None, recursive: bool = False) -> list[Path]:
    """The image files in a folder, relative to it, sorted, without what is hidden or lies in the folder ``out``."""
    readable = readable_suffixes()
    results = None if out is None else out.resolve()
    found: list[Path] = []
    for here, folders, names in _walk(folder):
        folders[:] = [
            name
            for name in folders
            if recursive and name[0] != "." and name not in _NO_FOLDERS_OF_IMAGES and (here / name).resolve() != results
        ]
        found += [(here / name).relative_to(folder) for name in _images_of(names, readable)]
    return sorted(found)


def _images_of(names: Iterable[str], readable: frozenset[str]) -> Iterator[str]:
    shown = [Path(name) for name in names if name[0] != "."]
    images = [path for path in shown if path.suffix.lower() in readable]
    stems = {stem_of(path) for path in images}
    yield from (path.name for path in images)
    yield from (p.name for p in shown if p.suffix.lower() in RAW_OR_REFUSED and stem_of(p) not in stems)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    def stop(error: OSError) -> None:
        raise InputError(f"{error.filename}: can't be listed ({error.strerror})") from error

    for parent, folders, names in os.walk(folder, onerror=stop):
        yield Path(parent), folders, names


def stack_files(folder: str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> list[str]:
    """The image files in ``folder``, by name, without ``output``, which an earlier run may have left there.

    Raises InputError where there are fewer than two.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --stack takes a folder of images")
    paths = images_in(folder)
    if output is not None:
        paths = [path for path in paths if path.resolve() != Path(output).resolve()]
    if len(paths) < 2:
        raise InputError(f"{folder}: holds {len(paths)} images; a stack needs two or more")
    return [str(path) for path in paths]
