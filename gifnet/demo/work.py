"""What the page does with files: fuse them, or enhance one, as ``fuse_files`` and ``enhance_file`` do.

The result is a file of the inputs' depth, with their metadata. Beside it there are previews for the browser.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from ..batch.files import read_images, write_image
from ..errors import InputError
from ..execution.running import Execution
from ..files.raster import Raster
from ..files.reading import count_images
from ..fuser import Fuser
from ..images.picture import Picture
from ..images.reading import Page, pages_of
from ..models import Model, fuser_of
from ..options.values import Device, Dtype, Memory, Steps
from ..prepare.preparation import Preparation
from .previews import preview, preview_of, save

SHOWN = 12  # images of a stack to compare the result with
TIFFS = (".tif", ".tiff")


@dataclass(frozen=True)
class Setup:
    """What is chosen once, when the page is opened."""

    model: Model
    device: Device = "auto"
    dtype: Dtype = "auto"
    memory: Memory = None


@dataclass(frozen=True)
class Wish:
    """What is to be done."""

    files: tuple[str, ...]
    model: Model
    strength: float = 1.0  # of one image
    align: bool = False  # of several
    stretch: bool = False

    @property
    def enhancing(self) -> bool:
        """Whether one image is to be enhanced: one file that holds one. Raises InputError where it is no image."""
        return len(self.files) == 1 and count_images(self.files[0], self.files[0]) < 2


@dataclass(frozen=True)
class Result:
    """What came of it."""

    file: Path  # whose suffix is its format
    after: Path  # its preview
    before: tuple[tuple[str, Path], ...]  # names and previews of what was fused, on the result's grid
    summary: str
    notes: str  # of what was done to the images first


def work(wish: Wish, folder: Path, setup: Setup, steps: Steps) -> Result:
    """Do as wished, into a new folder within ``folder``; ``steps`` is told how far it is.

    Raises InputError, AlignmentError and CheckpointError as ``fuse_files`` and ``enhance_file`` do.
    """
    if not wish.files:
        raise InputError("no image: drop one to enhance it, or two and more to fuse them")
    began = time.perf_counter()
    enhancing = wish.enhancing
    preparation = Preparation.checked(stretch=wish.stretch, align=wish.align and not enhancing)
    execution = Execution.checked("auto", setup.memory, steps)
    fuser = fuser_of(wish.model, setup.device, setup.dtype)
    seen = _Seen()
    raster = (_enhanced if enhancing else _fused)(wish, fuser, preparation, execution, seen)
    place, first = Path(tempfile.mkdtemp(dir=folder)), Path(wish.files[0])
    suffix = ".tif" if raster.array.dtype == np.float32 or first.suffix.lower() in TIFFS else ".png"
    file = write_image(raster, place / f"{first.stem}_{'enhanced' if enhancing else 'fused'}{suffix}")
    seconds = time.perf_counter() - began
    return Result(
        file=file,
        after=save(preview(raster), place / "after.png"),
        before=seen.saved(place),
        summary=_summary(seen.count, raster, seconds, fuser),
        notes=_notes(raster) if wish.align or wish.stretch else "",
    )


class _Seen:
    """Previews of the images as they are fused; of a long stack, of the first ones."""

    def __init__(self) -> None:
        self.count = 0
        self._shown: list[tuple[str, Image.Image]] = []

    def add(self, picture: Picture) -> None:
        """Make one more."""
        self.count += 1
        if self.count <= SHOWN:
            self._shown.append((picture.short_name, preview_of(picture)))

    def saved(self, folder: Path) -> tuple[tuple[str, Path], ...]:
        """Their names and files."""
        return tuple(
            (f"{number}: {name}", save(image, folder / f"before_{number}.png"))
            for number, (name, image) in enumerate(self._shown, 1)
        )


def _fused(wish: Wish, fuser: Fuser, preparation: Preparation, execution: Execution, seen: _Seen) -> Raster:
    images: Sequence[str | Page] = wish.files if len(wish.files) > 1 else pages_of(wish.files[0])
    pair = read_images(images[:2], preparation, execution, fuser)
    return _raster(fuser.fuse_images((*pair, *images[2:]), preparation, execution, seen=seen.add))


def _enhanced(wish: Wish, fuser: Fuser, preparation: Preparation, execution: Execution, seen: _Seen) -> Raster:
    [picture] = read_images(wish.files, preparation, execution, fuser)
    prepared = preparation.one(picture).load()
    seen.add(prepared)
    return _raster(fuser.enhance_image(prepared, wish.strength, Preparation(), execution))


def _raster(result: object) -> Raster:
    assert isinstance(result, Raster), f"a Fuser gave {type(result).__name__} for pictures of files"
    return result


def _summary(count: int, raster: Raster, seconds: float, fuser: Fuser) -> str:
    height, width, _ = raster.array.shape
    did = "Enhanced" if count == 1 else f"Fused {count} images of"
    precision = str(fuser.dtype).removeprefix("torch.")
    name = f" by {fuser.name}" if fuser.name else ""
    return f"{did} {width} × {height} pixels in {seconds:.2f} s{name}, on {fuser.device} in {precision}"


def _notes(raster: Raster) -> str:
    """What gifnet has written of the images' preparation into the result's description."""
    exif = Image.Exif()
    exif.load(raster.metadata.exif)
    return str(exif.get(ExifTags.Base.ImageDescription, "")).rpartition("gifnet: ")[2]
