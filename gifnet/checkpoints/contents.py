"""The bytes of weights files: read once, within limits, and hashed as they were read.

A safetensors file begins with the length of its header (8 bytes) and the header, a JSON object: of each tensor its
dtype, shape and place in the rest, and texts under ``__metadata__``. What the header says is checked before the rest
is read.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ..errors import CheckpointError
from ..files.limits import WEIGHTS, WEIGHTS_HEADER

_CONVERTED = (
    "fetch it again if it should be one; the paper's checkpoint (.pth) is converted with: "
    "gifnet convert OFFICIAL OUT.safetensors"
)


class NotWholeError(CheckpointError):
    """A file that is no safetensors file, or a part of one."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: not a whole safetensors file ({reason}); {_CONVERTED}")
        self.reason = reason


class TensorEntry(NamedTuple):
    """What a header says of a tensor."""

    dtype: str  # as safetensors writes it: "F32"
    shape: list[int]


class Header(NamedTuple):
    """What is in a safetensors file."""

    content: bytes  # with the length before it
    metadata: Mapping[str, str]
    tensors: Mapping[str, TensorEntry]


@contextmanager
def opened(path: Path, expected: str = "give the .safetensors file") -> Iterator[BinaryIO]:
    """A regular file, open for reading. Raises CheckpointError; pipes and devices are not waited for."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise CheckpointError(f"{path}: no such file; {expected}") from error
    except OSError as error:
        if path.is_dir():
            raise CheckpointError(f"{path}: is a folder; {expected}") from error
        raise CheckpointError(f"{path}: not readable ({error.strerror})") from error
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        os.close(file)
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise CheckpointError(f"{path}: is {what}; {expected}")
    with open(file, "rb") as stream:
        if found.st_size > WEIGHTS:
            raise CheckpointError(f"{path}: {found.st_size} bytes; weights have {WEIGHTS} at most")
        yield stream


def read_header(file: BinaryIO, path: Path) -> Header:
    """The header at the start of an open file. Raises CheckpointError where it does not fit the file."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > size - 8:
        raise NotWholeError(path, "it ends before its header does")
    if length > WEIGHTS_HEADER:
        raise NotWholeError(path, f"a header of {length} bytes; {WEIGHTS_HEADER} are the most")
    text = file.read(length)
    try:
        entries = json.loads(text)
        metadata = entries.pop("__metadata__", None) or {}
        tensors = {name: TensorEntry(str(entry["dtype"]), list(entry["shape"])) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise NotWholeError(path, f"its header: {type(error).__name__}") from error
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise NotWholeError(path, "metadata that are no texts")
    if 8 + length + end != size:
        raise NotWholeError(path, f"{size} bytes, of which its header describes {8 + length + end}")
    return Header(start + text, metadata, tensors)


def read_tensors(file: BinaryIO, header: Header, path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors after the header, and the SHA-256 of the very bytes that they were made of."""
    content = header.content + file.read()
    try:
        return load(content), hashlib.sha256(content).hexdigest()
    except (SafetensorError, ValueError, KeyError) as error:
        raise NotWholeError(path, str(error)) from error


def hash_of(file: BinaryIO) -> str:
    """The SHA-256 of an open file, from its start, in 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def parse_object(where: str, text: str) -> dict[str, Any]:
    """A JSON object; CheckpointError, beginning with ``where``, for anything else."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is not valid JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise CheckpointError(f"{where} must be a JSON object, not {text[:40]!r}")
    return parsed
