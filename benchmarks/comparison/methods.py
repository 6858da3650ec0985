"""The methods that are compared: gifnet's models, and the programs and functions that people would otherwise use.

None of the peers is needed: those that are found are run, with the options that suit the task.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

import gifnet

from .scenes import digest, read, write

Task = Literal["focus", "breathing", "exposures"]  # aligned focus stacks; such as must be aligned; exposures
FOCUS_OPTIONS = (  # of enfuse, as its manual has them for focus stacks
    "--exposure-weight=0",
    "--saturation-weight=0",
    "--contrast-weight=1",
    "--hard-mask",
    "--contrast-edge-scale=0.3",
)
TIME_LIMIT = 900  # seconds, for one stack


class CannotError(Exception):
    """A method that does not do what is asked of it; the message says why."""


class Method(Protocol):
    """Something that fuses frames into an image file."""

    @property
    def name(self) -> str:
        """The column's heading."""

    @property
    def key(self) -> str:
        """What its files are named by; another one where it would give another image."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it is compared in."""

    def fuse(self, frames: Sequence[Path], out: Path, task: Task) -> None:
        """Write the fusion of the frames to ``out``, a PNG. Raises CannotError."""


@dataclass(frozen=True)
class Mean:
    """The mean of the frames."""

    name: str = "mean"
    key: str = "mean"
    tasks: tuple[Task, ...] = ("focus", "exposures")

    def fuse(self, frames: Sequence[Path], out: Path, task: Task) -> None:
        write(out, np.mean([read(frame) for frame in frames], axis=0))


@dataclass(frozen=True)
class Mertens:
    """OpenCV's exposure fusion with its own defaults (Mertens et al., 2007)."""

    name: str = "OpenCV Mertens"
    key: str = "mertens"
    tasks: tuple[Task, ...] = ("exposures",)

    def fuse(self, frames: Sequence[Path], out: Path, task: Task) -> None:
        pixels = [(read(frame)[..., ::-1] * 255).round().astype(np.uint8) for frame in frames]  # B, G, R
        write(out, cv2.createMergeMertens().process(pixels)[..., ::-1].astype(float))


@dataclass(frozen=True)
class Enfuse:
    """enfuse; stacks that aren't aligned are brought into line by hugin's align_image_stack, where it is found."""

    program: str
    align: str | None
    name: str = "enfuse"
    key: str = "enfuse"

    @property
    def tasks(self) -> tuple[Task, ...]:
        return ("focus", "breathing", "exposures") if self.align else ("focus", "exposures")

    def fuse(self, frames: Sequence[Path], out: Path, task: Task) -> None:
        options = () if task == "exposures" else FOCUS_OPTIONS
        if task != "breathing":
            run(self.program, *options, f"--output={out}", *map(str, frames))
            return
        with tempfile.TemporaryDirectory() as folder:
            run(str(self.align), "-m", "-C", "-a", f"{folder}/", *map(str, frames))  # with scale; common crop
            run(self.program, *options, f"--output={out}", *map(str, sorted(Path(folder).iterdir())))


@dataclass(frozen=True)
class OpenFocus:
    """One of OpenFocus' methods of fusion, with its alignment by ECC for stacks that are not aligned."""

    program: str
    method: str
    name: str
    tasks: tuple[Task, ...] = ("focus", "breathing")

    @property
    def key(self) -> str:
        return f"openfocus_{self.method}"

    def fuse(self, frames: Sequence[Path], out: Path, task: Task) -> None:
        align = ("--align", "ecc") if task == "breathing" else ()
        folder = str(frames[0].parent)
        run(self.program, "--input", folder, "--output", str(out), "--method", self.method, "--cpu", *align)


class Gifnet:
    """One of gifnet's models. Its key depends on the weights and on the package's code."""

    tasks: tuple[Task, ...] = ("focus", "breathing", "exposures")

    def __init__(self, name: str, model: str, device: str = "auto", dtype: str = "auto") -> None:
        self.name = name
        self.fuser = gifnet.load(model, device=device, dtype=dtype)
        weights = [Path(model)] if Path(model).is_file() else sorted(bundled().glob("*.safetensors"))
        code = sorted(Path(gifnet.__file__).parent.rglob("*.py"))
        running = (None if Path(model).is_file() else model, str(self.fuser.device), str(self.fuser.dtype))
        self.key = f"gifnet_{digest(weights)}_{digest(code, running)}"

    def fuse(self, frames: Sequence[Path], out: Path, task: Task) -> None:
        options = {"align": True} if task == "breathing" else {}
        try:
            image = self.fuser.fuse(*map(str, frames), **options)
        except gifnet.InputError as error:
            raise CannotError(str(error)) from error
        image.save(out)


def bundled() -> Path:
    """The folder of the weights that come with the package."""
    return Path(str(files("gifnet.weights")))


def run(*command: str) -> None:
    """Run a program. Raises CannotError with its last line where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise CannotError(f"{command[0]} took more than {TIME_LIMIT} seconds") from error
    if done.returncode:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no message"]
        raise CannotError(f"{command[0]} ended with status {done.returncode}: {lines[-1]}")


def peers(openfocus: str, enfuse: str) -> tuple[list[Method], list[str]]:
    """The peers that are there, given the commands' names or paths; and the names of those that are not."""
    found: list[Method] = []
    missing = []
    if program := shutil.which(openfocus):
        found += [OpenFocus(program, "stackmffv3", "StackMFF V3"), OpenFocus(program, "guided_filter", "guided filter")]
    else:
        missing.append(openfocus)
    if program := shutil.which(enfuse):
        found.append(Enfuse(program, shutil.which("align_image_stack")))
    else:
        missing.append(enfuse)
    return [*found, Mertens(), Mean()], missing


def fused(method: Method, frames: Sequence[Path], folder: Path, task: Task) -> Path:
    """The file in ``folder`` that holds the fusion of the frames; made where it is missing. Raises CannotError."""
    out = folder / f"fused_{method.key}.png"
    if not out.exists():
        part = folder / f"part_{method.key}.png"
        part.unlink(missing_ok=True)
        method.fuse(frames, part, task)
        if not part.exists():
            raise CannotError("it wrote no image")
        part.rename(out)
    return out
