"""Scenes to fuse: focus stacks and exposure brackets made from photographs, whose truth is known, and real exposures.

A set of scenes is a folder with a folder per scene: ``in/0.png``, ``in/1.png``, … are the frames, ``truth.png`` is the
photograph, where there is one. The folder's name ends with a digest of what the set was made from, so that a set that
exists is the right one.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter

from gifnet import InputError

Array = NDArray[np.float64]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
CROP = (512, 768)  # height, width: the part of a photograph that is used
FOCUS = {2: 4.0, 5: 1.5}  # number of frames: growth of the blur's radius from one focal plane to the next, in pixels
RADIUS_STEP = 0.5  # pixels between the radii that are computed; between them, blurred images are mixed
NOISE = 1 / 255  # deviation of the sensor's noise
BREATHING, SHAKE = 0.004, 2.0  # growth of the scale from frame to frame; largest shift of a frame, in pixels
BRACKETS = {2: (-1, 1), 3: (-1, 0, 1)}  # number of frames: their exposures, in units of the distance in stops
SETTINGS = (CROP, FOCUS, RADIUS_STEP, NOISE, BREATHING, SHAKE, BRACKETS)


@dataclass(frozen=True)
class Scene:
    """One scene on disk."""

    folder: Path

    @property
    def frames(self) -> list[Path]:
        return sorted((self.folder / "in").iterdir(), key=lambda path: int(path.stem))

    @property
    def truth(self) -> Array:
        return read(self.folder / "truth.png")


def read(path: Path) -> Array:
    """An image as R, G, B in [0, 1], (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")) / 255.0


def write(path: Path, image: Array) -> None:
    """``image``, (H, W, 3), clipped to [0, 1], in 8 bits."""
    Image.fromarray((image.clip(0, 1) * 255).round().astype(np.uint8)).save(path)


def images(folder: Path) -> list[Path]:
    """The folder's image files, sorted."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder}: no images here")
    return found


def every_nth(paths: Sequence[Path], count: int) -> list[Path]:
    """``count`` of the paths, evenly spread."""
    return list(paths[:: max(1, len(paths) // count)][:count])


def to_light(image: Array) -> Array:
    """Linear light of sRGB values in [0, 1]."""
    return np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def to_srgb(light: Array) -> Array:
    """Values of sRGB in [0, 1] of linear light."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clip(1e-9) ** (1 / 2.4) - 0.055)


def disc(radius: float) -> Array:
    """What a lens makes of a point out of focus: a disc with an edge of one pixel; its sum is 1."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel: Array = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return kernel / kernel.sum()


def scene_depth(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """A smooth depth in [0, 1] of two kinds of areas, near and far, with a step between them."""
    depth = gaussian_filter(rng.random(shape), 60)
    depth = (depth - depth.min()) / np.ptp(depth)
    part = gaussian_filter(rng.random(shape), 25)
    return np.where(part > np.median(part), depth / 2, 0.5 + depth / 2)


def focus_stack(photo: Array, number: int, step: float, rng: np.random.Generator) -> Iterator[Array]:
    """Frames of ``photo`` (H, W, 3), focused from near to far, without noise.

    A pixel's blur is a disc in linear light, whose radius is ``step`` pixels times its distance from the focal plane.
    """
    depth = scene_depth(photo.shape[:2], rng) * (number - 1)
    light = to_light(photo)
    radii = np.arange(0, step * (number - 1) + RADIUS_STEP + 0.01, RADIUS_STEP)
    blurred = [cv2.filter2D(light, -1, disc(r), borderType=cv2.BORDER_REFLECT) if r else light for r in radii]
    for focus in range(number):
        radius = step * np.abs(depth - focus)
        shares = [np.clip(1 - np.abs(radius - r) / RADIUS_STEP, 0, 1)[..., None] for r in radii]
        mixed = sum(share * image for share, image in zip(shares, blurred, strict=True))
        yield to_srgb(mixed / np.maximum(sum(shares), 1e-9)).clip(0, 1)


def breathe(frame: Array, index: int, rng: np.random.Generator) -> Array:
    """The frame of this index as a lens that breathes and a hand that shakes show it; the first one stays in place."""
    scale, shift = 1 + BREATHING * index, rng.uniform(-SHAKE, SHAKE, 2) * (index > 0)
    centre = np.array(frame.shape[:2]) / 2
    offset = centre - centre / scale + shift
    planes = [
        affine_transform(plane, [1 / scale] * 2, offset, order=3, mode="reflect") for plane in np.moveaxis(frame, 2, 0)
    ]
    return np.stack(planes, axis=2)


def focus_scenes(paths: Sequence[Path], work: Path, seed: int, *, breathing: bool = False) -> list[Scene]:
    """Stacks of 2 and 5 frames of each photograph, with noise of one level; ``breathing``: not aligned."""

    def make(folder: Path) -> None:
        rng = np.random.default_rng(seed)
        for path in paths:
            photo = cropped(path)
            for number, step in FOCUS.items():
                scene = new_scene(folder / f"{path.stem}_{number}", photo)
                for index, frame in enumerate(focus_stack(photo, number, step, rng)):
                    shown = breathe(frame, index, rng) if breathing else frame
                    write(scene / "in" / f"{index}.png", shown + rng.normal(0, NOISE, shown.shape))

    return made(work, f"{'breathing' if breathing else 'focus'}-{seed}", paths, make)


def bracket_scenes(paths: Sequence[Path], work: Path, stops: float = 2.0) -> list[Scene]:
    """Brackets of 2 and 3 exposures of each photograph, the darkest first, clipped as a sensor clips."""

    def make(folder: Path) -> None:
        for path in paths:
            photo = cropped(path)
            for number, exposures in BRACKETS.items():
                scene = new_scene(folder / f"{path.stem}_{number}", photo)
                for index, exposure in enumerate(exposures):
                    light = (to_light(photo) * 2.0 ** (exposure * stops)).clip(0, 1)
                    write(scene / "in" / f"{index}.png", to_srgb(light))

    return made(work, f"brackets-{stops:g}", paths, make)


def exposure_scenes(root: Path, work: Path, side: int = 640) -> list[Scene]:
    """The pairs of ``root/a`` and ``root/b`` that share a stem, reduced to at most ``side`` pixels; no truth."""
    first, second = ({path.stem: path for path in images(root / name)} for name in ("a", "b"))
    stems = sorted(first.keys() & second.keys())
    if not stems:
        raise InputError(f"{root}: no file of a has the stem of one of b")

    def make(folder: Path) -> None:
        for stem in stems:
            scene = new_scene(folder / f"{stem}_2")
            for index, path in enumerate((first[stem], second[stem])):
                with Image.open(path) as image:
                    picture = image.convert("RGB")
                factor = min(1.0, side / max(picture.size))
                if factor < 1:
                    width, height = (round(factor * length) for length in picture.size)
                    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
                picture.save(scene / "in" / f"{index}.png")

    return made(work, f"exposures-{side}", [paths[stem] for stem in stems for paths in (first, second)], make)


def cropped(path: Path) -> Array:
    return read(path)[: CROP[0], : CROP[1]]


def new_scene(folder: Path, truth: Array | None = None) -> Path:
    (folder / "in").mkdir(parents=True)
    if truth is not None:
        write(folder / "truth.png", truth)
    return folder


def made(work: Path, name: str, paths: Sequence[Path], make: Callable[[Path], None]) -> list[Scene]:
    """The scenes of a set, made by ``make`` in a folder of its own unless they exist."""
    folder = work / f"{name}-{digest(paths, SETTINGS)}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        make(part)
        part.rename(folder)
    return [Scene(path) for path in sorted(folder.iterdir())]


def digest(paths: Sequence[Path], settings: object = None) -> str:
    """Eight digits that depend on the files' names, contents and order, and on ``settings``."""
    total = hashlib.sha256(repr(settings).encode())
    for path in paths:
        total.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return total.hexdigest()[:8]
