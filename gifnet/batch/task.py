"""What is done to the images of one output, step by step: wherever that happens, here or in another process."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..execution.running import Execution
from ..files.formats import DEFAULT, Encoding
from ..files.raster import Raster
from ..fuser import Fuser
from ..images.picture import ReadablePicture
from ..prepare.preparation import Preparation
from .files import check_result, read_images, write_image
from .manifest import flush_to_disk


@dataclass(frozen=True)
class Task:
    """What is done to the images of a job, and all that decides the result but the model."""

    name: str
    preparation: Preparation
    execution: Execution
    strength: float | None = None  # of enhancing
    encoding: Encoding = DEFAULT

    def settings(self) -> dict[str, Any]:
        """The options that change pixels, in one form; those that are off are left out."""
        strength = {} if self.strength is None else {"strength": self.strength}
        return {
            "task": self.name,
            "page": self.preparation.page,
            **strength,
            **self.preparation.describe(),
            **self.encoding.describe(),
        }

    def read(self, inputs: Sequence[Path], target: Path, fuser: Fuser) -> list[ReadablePicture]:
        """The images of files whose result is to become ``target``. Raises InputError where it could not hold it."""
        pictures = read_images(inputs, self.preparation, self.execution, fuser)
        check_result(target, *pictures)
        return pictures

    def compute(self, fuser: Fuser, pictures: Sequence[ReadablePicture]) -> Raster:
        """The result of one job's pictures."""
        if self.strength is None:
            result = fuser.fuse_images(pictures, self.preparation, self.execution)
        else:
            result = fuser.enhance_image(pictures[0], self.strength, self.preparation, self.execution)
        assert isinstance(result, Raster), f"a Fuser gave {type(result).__name__} for pictures of files"
        return result

    def write(self, raster: Raster, temporary: Path, target: Path) -> dict[str, int]:
        """Write what is to become ``target``, down to the disk. Gives its bytes, width and height, for the record."""
        try:
            write_image(raster, temporary, self.encoding)
        except InputError as error:
            raise InputError(str(error).replace(str(temporary), str(target))) from error
        flush_to_disk(temporary)
        height, width = raster.array.shape[:2]
        return {"bytes": temporary.stat().st_size, "width": width, "height": height}


def stamp(path: Path) -> dict[str, Any]:
    """What tells that a file is still the same: as with make and rsync, its size and modification time."""
    found = path.stat()
    return {"path": os.path.abspath(path), "bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def not_written(target: Path, error: OSError) -> InputError:
    """The error of an output that the system refuses."""
    return InputError(f"{target}: can't be written ({error.strerror or error})")


def reason(error: Exception) -> str:
    """One line; the type too where the message was not written for users."""
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, InputError) else f"{type(error).__name__}: {text}" if text else type(error).__name__
    )
