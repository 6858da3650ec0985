"""Which files of a folder are images."""

import os
from pathlib import Path

from PIL import Image

from ..errors import InputError
from .formats import WRITABLE

# Formats of Pillow's that are no still pixels, or that need another program.
_NO_IMAGES = {"BUFR", "EPS", "FLI", "GRIB", "HDF5", "MPEG", "WMF"}


def is_writable_image(path: Path) -> bool:
    """Whether a file has the suffix of a format that gifnet writes, and is not hidden."""
    return path.suffix.lower() in WRITABLE and path.is_file() and not path.name.startswith(".")


def stack_files(folder: str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> list[str]:
    """The image files in ``folder``, by name, without ``output``, which an earlier run may have left there.

    Raises InputError where there are fewer than two.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; --stack takes a folder of images")
    paths = [path for path in sorted(folder.iterdir()) if is_writable_image(path)]
    if output is not None:
        paths = [path for path in paths if path.resolve() != Path(output).resolve()]
    if len(paths) < 2:
        raise InputError(f"{folder}: holds {len(paths)} images ({', '.join(WRITABLE)}); a stack needs two or more")
    return [str(path) for path in paths]


def images_below(folder: Path, out: Path, recursive: bool) -> list[Path]:
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
