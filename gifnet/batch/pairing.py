"""Which files of folders belong together, and what their results are called."""

import functools
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files.formats import WRITABLE
from ..files.listing import images_below


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

    def protect_inputs(self, out: Path) -> None:
        """Refuse to replace an input, as may happen where folders lie in each other, or through symbolic links."""
        resolved = functools.cache(Path.resolve)  # folders are few, files may be many

        def place(path: Path) -> Path:
            return path.resolve() if path.is_symlink() else resolved(path.parent) / path.name

        taken = {place(path) for path in self.files}
        for target in (out / match.output for match in self.matches):
            if place(target) in taken:
                raise InputError(f"{target}: would be an input and an output; give another folder for the results")


def pairs(a_dir: Path, b_dir: Path, out: Path, recursive: bool = False, suffix: str | None = None) -> Pairing:
    """The images of two folders whose relative paths are the same but for the suffix.

    ``out`` is not looked into. Outputs have ``suffix``, or that of the first image where gifnet writes its format,
    else ".png". Raises InputError for folders that can't be listed, and when there is no pair.
    """
    a_files, b_files = (_grouped(images_below(folder, out, recursive), _pair_name) for folder in (a_dir, b_dir))
    pairing = matched(a_dir, b_dir, a_files, b_files, lambda _, a: _output(a, suffix))
    if pairing.matches:
        return pairing
    for folder, found in ((a_dir, a_files), (b_dir, b_files)):
        if not found:
            raise InputError(_no_image(folder, recursive))
    if pairing.ambiguous:
        raise InputError(f"no pair in {a_dir} and {b_dir}: {pairing.ambiguous[0].reason}")
    raise InputError(
        f"no file of {a_dir} has a partner in {b_dir}; the paths within them must be the same but for the suffix, "
        f"and not as {min(a_files)} and {min(b_files)}"
    )


def matched(
    a_dir: Path,
    b_dir: Path,
    a_files: dict[Path, list[Path]],
    b_files: dict[Path, list[Path]],
    output: Callable[[Path, Path], Path],
) -> Pairing:
    """The files of two folders by the names that they share; ``output`` is told the name and the first file."""
    matches, unmatched, ambiguous = [], [], []
    for stem in sorted(a_files.keys() | b_files.keys()):
        a, b, name = a_files.get(stem, []), b_files.get(stem, []), stem.as_posix()
        files = (*(a_dir / path for path in a), *(b_dir / path for path in b))
        if len(a) == len(b) == 1:
            matches.append(Match(name, files, output(stem, a[0])))
        elif a and b:
            reason = f"several files could be paired: {', '.join(map(str, files))}; keep one in each folder"
            ambiguous.append(FolderFailure(name, files, reason))
        else:
            unmatched.append(FolderFailure(name, files, f"{files[0]} has no partner in {b_dir if a else a_dir}"))
    return Pairing(tuple(matches), tuple(unmatched), tuple(ambiguous))


def singles(folder: Path, out: Path, recursive: bool = False, suffix: str | None = None) -> Pairing:
    """The images of one folder, as for ``pairs``; ambiguous are those that would have one output.

    Raises InputError for a folder that can't be listed or holds no image.
    """
    matches, ambiguous = [], []
    for output, paths in _grouped(images_below(folder, out, recursive), lambda path: _output(path, suffix)).items():
        name, files = output.with_suffix("").as_posix(), tuple(folder / path for path in paths)
        if len(files) == 1:
            matches.append(Match(name, files, output))
        else:
            reason = f"several files would become {output}: {', '.join(map(str, files))}; keep one"
            ambiguous.append(FolderFailure(name, files, reason))
    if not matches and not ambiguous:
        raise InputError(_no_image(folder, recursive))
    return Pairing(tuple(matches), (), tuple(ambiguous))


def _pair_name(relative: Path) -> Path:
    """What both files of a pair share; composed and decomposed forms of a letter (NFC, NFD) are the same."""
    return Path(unicodedata.normalize("NFC", str(relative.with_suffix(""))))


def _output(relative: Path, suffix: str | None) -> Path:
    return relative.with_suffix(suffix or (relative.suffix if relative.suffix.lower() in WRITABLE else ".png"))


def output_of(name: Path, first: Path, suffix: str | None) -> Path:
    """The result of a pair that is called ``name``, which may have dots, of the file ``first``."""
    return name.with_name(name.name + _output(first, suffix).suffix)


def _grouped(paths: Iterable[Path], key: Callable[[Path], Path]) -> dict[Path, list[Path]]:
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return groups


def _no_image(folder: Path, recursive: bool) -> str:
    deeper = not recursive and any(path.is_dir() and path.name[0] != "." for path in folder.iterdir())
    return f"{folder}: holds no image" + ("; take in its subfolders with --recursive (recursive=True)" * deeper)
