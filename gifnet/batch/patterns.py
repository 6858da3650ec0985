"""Pairs whose file names differ in more than the suffix: ``DJI_0001_T.JPG`` and ``DJI_0001_W.JPG``."""

import re
import unicodedata
from pathlib import Path

from ..errors import InputError
from ..files.listing import images_below
from .pairing import Pairing, matched, output_of

NAME = "{name}"


def pairs_by_pattern(
    a_dir: Path,
    b_dir: Path,
    out: Path,
    pattern: tuple[str, str],
    recursive: bool = False,
    suffix: str | None = None,
) -> Pairing:
    """The images of two folders, or of one, whose names fit a pattern each and have the same ``{name}`` in it.

    Files that fit neither are left out. Of one folder, a file that fits both goes to the pattern that says more.
    Raises InputError for folders that can't be listed, and when there is no pair.
    """
    one_folder = a_dir.resolve() == b_dir.resolve()
    rival = pattern if one_folder and pattern[0] != pattern[1] else (None, None)
    a_files = _fitting(a_dir, out, pattern[0], rival[1], recursive)
    b_files = _fitting(b_dir, out, pattern[1], rival[0], recursive)
    for folder, text, found in ((a_dir, pattern[0], a_files), (b_dir, pattern[1], b_files)):
        if not found:
            seen = images_below(folder, out, recursive)
            example = f", such as {min(seen)}" if seen else " (there is none)"
            raise InputError(f"{folder}: no image is named like {text}; give a pattern that fits its files{example}")
    pairing = matched(a_dir, b_dir, a_files, b_files, lambda name, a: output_of(name, a, suffix))
    if not pairing.matches:
        problem = (*pairing.ambiguous, *pairing.unmatched)[0].reason
        raise InputError(f"no pair of {pattern[0]} in {a_dir} and {pattern[1]} in {b_dir}: {problem}")
    return pairing


def _fitting(folder: Path, out: Path, pattern: str, rival: str | None, recursive: bool) -> dict[Path, list[Path]]:
    """Files by what they have in place of ``{name}``, with their folders before it."""
    wanted = _expression(pattern)
    other = None if rival is None or _literals(rival) <= _literals(pattern) else _expression(rival)
    found: dict[Path, list[Path]] = {}
    for path in images_below(folder, out, recursive):
        text = unicodedata.normalize("NFC", path.name)
        match = wanted.fullmatch(text)
        if match and not (other and other.fullmatch(text)):
            found.setdefault(path.parent / match["name"], []).append(path)
    return found


def _expression(pattern: str) -> "re.Pattern[str]":
    parts = re.split(r"(\{name\}|\*)", unicodedata.normalize("NFC", pattern))
    special = {NAME: "(?P<name>.+?)", "*": ".*?"}
    return re.compile("".join(special.get(part, re.escape(part)) for part in parts), re.IGNORECASE)


def _literals(pattern: str) -> int:
    return len(pattern.replace(NAME, "").replace("*", ""))
