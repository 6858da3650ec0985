"""Which files of folders belong together, and what their results are called."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..errors import InputError
from ..files.reading import WRITABLE

# Formats of Pillow's that are no still pixels, or that need another program.
_NO_IMAGES = {"BUFR", "EPS", "FLI", "GRIB", "HDF5", "MPEG", "WMF"}


@dataclass(frozen=True)
class Match:
    """The input files of one output."""

    name: str  # relative to the input folder, without suffix, in POSIX style
    inputs: tuple[Path, ...]
    output: Path  # relative to the folder of results


@dataclass(frozen=True)
class FolderFailure:
    """Input files without a result."""

    name: str  # relative to the input folder, without suffix, in POSIX style
    inputs: tuple[Path, ...]
    reason: str  # names the file at fault


@dataclass(frozen=True)
class Pairing:
    """What can be worked on and what can't, each sorted by name."""

    matches: tuple[Match, ...]
    unmatched: tuple[FolderFailure, ...]  # in one folder only
    ambiguous: tuple[FolderFailure, ...]  # several files of one name

    @property
    def files(self) -> list[Path]:
        """All input files."""
        entries: tuple[Match | FolderFailure, ...] = (*self.matches, *self.unmatched, *self.ambiguous)
        return [path for entry in entries for path in entry.inputs]


def pairs(a_dir: Path, b_dir: Path, out: Path, recursive: bool = False, suffix: str | None = None) -> Pairing:
    """The images of two folders whose relative paths are the same but for the suffix.

    ``out`` is not looked into. Outputs have ``suffix``, or that of the first image where gifnet writes its format,
    else ".png". Raises InputError for folders that can't be listed, and when there is no pair.
    """
    a_files, b_files = (
        _grouped(_images(folder, out, recursive), lambda path: path.with_suffix("")) for folder in (a_dir, b_dir)
    )
    matches, unmatched, ambiguous = [], [], []
    for stem in sorted(a_files.keys() | b_files.keys()):
        a, b, name = a_files.get(stem, []), b_files.get(stem, []), stem.as_posix()
        files = (*(a_dir / path for path in a), *(b_dir / path for path in b))
        if len(a) == len(b) == 1:
            matches.append(Match(name, files, _output(a[0], suffix)))
        elif a and b:
            reason = f"several files could be paired: {', '.join(map(str, files))}; keep one in each folder"
            ambiguous.append(FolderFailure(name, files, reason))
        else:
            unmatched.append(FolderFailure(name, files, f"{files[0]} has no partner in {b_dir if a else a_dir}"))
    if matches:
        return Pairing(tuple(matches), tuple(unmatched), tuple(ambiguous))
    for folder, found in ((a_dir, a_files), (b_dir, b_files)):
        if not found:
            raise InputError(_no_image(folder, recursive))
    if ambiguous:
        raise InputError(f"no pair in {a_dir} and {b_dir}: {ambiguous[0].reason}")
    raise InputError(
        f"no file of {a_dir} has a partner in {b_dir}; the paths within them must be the same but for the suffix, "
        f"and not as {min(a_files)} and {min(b_files)}"
    )


def singles(folder: Path, out: Path, recursive: bool = False, suffix: str | None = None) -> Pairing:
    """The images of one folder, as for ``pairs``; ambiguous are those that would have one output.

    Raises InputError for a folder that can't be listed or holds no image.
    """
    matches, ambiguous = [], []
    for output, paths in _grouped(_images(folder, out, recursive), lambda path: _output(path, suffix)).items():
        name, files = output.with_suffix("").as_posix(), tuple(folder / path for path in paths)
        if len(files) == 1:
            matches.append(Match(name, files, output))
        else:
            reason = f"several files would become {output}: {', '.join(map(str, files))}; keep one"
            ambiguous.append(FolderFailure(name, files, reason))
    if not matches and not ambiguous:
        raise InputError(_no_image(folder, recursive))
    return Pairing(tuple(matches), (), tuple(ambiguous))


def _images(folder: Path, out: Path, recursive: bool) -> list[Path]:
    """The image files in a folder, relative to it, without what is hidden or lies in the folder of results."""
    formats = Image.registered_extensions()
    readable = {suffix for suffix, name in formats.items() if name in Image.OPEN and name not in _NO_IMAGES}
    results = out.resolve()
    found: list[Path] = []

    def stop(error: OSError) -> None:
        raise InputError(f"{error.filename}: can't be listed ({error.strerror})") from error

    for parent, folders, names in os.walk(folder, onerror=stop):
        here = Path(parent)
        folders[:] = [name for name in folders if recursive and name[0] != "." and (here / name).resolve() != results]
        images = (name for name in names if name[0] != "." and Path(name).suffix.lower() in readable)
        found += [(here / name).relative_to(folder) for name in images]
    return sorted(found)


def _output(relative: Path, suffix: str | None) -> Path:
    return relative.with_suffix(suffix or (relative.suffix if relative.suffix.lower() in WRITABLE else ".png"))


def _grouped(paths: Iterable[Path], key: Callable[[Path], Path]) -> dict[Path, list[Path]]:
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return groups


def _no_image(folder: Path, recursive: bool) -> str:
    deeper = not recursive and any(path.is_dir() and path.name[0] != "." for path in folder.iterdir())
    return f"{folder}: holds no image" + ("; take in its subfolders with --recursive (recursive=True)" * deeper)
