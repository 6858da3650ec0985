"""What ``gifnet fuse`` and ``gifnet enhance`` do with folders."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..batch.folders import FolderResult, enhance_folder, fuse_folders
from ..batch.manifest import NAME
from ..errors import InputError
from ..files.formats import WRITABLE, check_suffix
from . import options


def add_arguments(parser: argparse.ArgumentParser, pairs: bool) -> None:
    """The arguments of ``gifnet fuse`` (pairs) and ``gifnet enhance`` that are for folders."""
    group = parser.add_argument_group("folders", "for inputs that are folders; OUT is one then, made where need be")
    group.add_argument("--recursive", action="store_true", help="take in subfolders, and keep them in OUT")
    group.add_argument("--suffix", metavar=".EXT", help="format of the results (default: the input's, else .png)")
    if pairs:
        group.add_argument("--skip-unmatched", action="store_true", help="a file without a partner is no failure")
    again = group.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="skip what is finished and unchanged (default)")
    again.add_argument("--overwrite", action="store_true", help="do all again, and replace whatever is in the way")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary of success")


def are_meant(args: argparse.Namespace, *inputs: str) -> bool:
    """Whether the inputs are folders; if not, OUT must have the suffix of an image. Else, it is wrong usage."""
    try:
        if are_inputs(args, *inputs):
            return True
        check_suffix(args.output)
    except InputError as error:
        args.wrong_usage(str(error))
    return False


def are_inputs(args: argparse.Namespace, *inputs: str) -> bool:
    """Whether the inputs are folders.

    Raises InputError for one of each kind, and for options and outputs that go with the other kind.
    """
    folders = [path for path in inputs if os.path.isdir(path)]
    if folders and len(folders) < len(inputs):
        other = next(path for path in inputs if path not in folders)
        found = "an image file" if os.path.exists(other) else "not there"
        raise InputError(f"{folders[0]} is a folder but {other} is {found}; give two images or two folders")
    names = ("recursive", "suffix", "skip_unmatched", "resume", "overwrite")
    for name in () if folders else names:
        if getattr(args, name, None):
            raise InputError(f"--{name.replace('_', '-')} is for folders, and {inputs[0]} is none")
    if folders and Path(args.output).suffix.lower() in WRITABLE and not os.path.exists(args.output):
        raise InputError(f"{folders[0]} is a folder, so OUT is to be one, and {args.output} is named like an image")
    return bool(folders)


def run_fuse(args: argparse.Namespace) -> int:
    """Fuse two folders; the exit status is 0, or 1 if anything failed."""
    result = fuse_folders(args.a, args.b, args.output, skip_unmatched=args.skip_unmatched, **_keywords(args))
    return _summarise(result, args)


def run_enhance(args: argparse.Namespace) -> int:
    """Enhance a folder; the exit status is 0, or 1 if anything failed."""
    return _summarise(enhance_folder(args.x, args.output, strength=args.strength, **_keywords(args)), args)


def _keywords(args: argparse.Namespace) -> dict[str, Any]:
    same = ("recursive", "suffix", "overwrite", "page", "model", "device", "dtype")
    chosen = {name: getattr(args, name) for name in same} | options.preparation(args) | options.execution(args)
    return chosen | {"progress": not args.quiet, "report": _tell}


def _tell(line: str) -> None:
    tqdm.write(f"gifnet: {line}", file=sys.stderr)


def _summarise(result: FolderResult, args: argparse.Namespace) -> int:
    if result.failed or not args.quiet:
        counts = f"{len(result.done)} done, {len(result.skipped)} skipped, {len(result.failed)} failed"
        _tell(f"{counts}; see {Path(args.output) / NAME}")
    return 1 if result.failed else 0
