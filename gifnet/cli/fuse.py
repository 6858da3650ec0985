"""``gifnet fuse``."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from ..batch.files import fuse_files
from ..batch.folders import fuse_folders
from ..errors import InputError
from ..files.listing import stack_files
from ..images.reading import pages_of
from ..options.declarations import (
    ALIGN,
    COLOUR,
    COMPRESSION,
    DEPTH,
    DEVICE,
    DTYPE,
    MAX_PIXELS,
    MAX_ROTATION,
    MAX_SCALE,
    MAX_SHIFT,
    MEMORY,
    MODEL,
    PAGE,
    QUALITY,
    RESIZE,
    STRETCH,
    TILE,
)
from . import flags, folders

PREPARING = (STRETCH, RESIZE, COLOUR, ALIGN, MAX_SHIFT, MAX_ROTATION, MAX_SCALE)
OPTIONS = (*PREPARING, QUALITY, COMPRESSION, TILE, MEMORY, PAGE, MODEL, DEVICE, DTYPE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet fuse``."""
    a = parser.add_argument("a", metavar="A", help="first image; the infrared of an infrared-visible pair; or a folder")
    b = parser.add_argument("b", metavar="B", help="second image, of the same size; or a folder, with the same names")
    _add_stack(parser, a, b)
    flags.add_options(parser, *OPTIONS, DEPTH, MAX_PIXELS)
    flags.add_output(parser, "OUT", "a file, its suffix is the format; or a folder")
    flags.add_verbose(parser)
    flags.add_quiet(parser, "no progress bar and no summary of success")
    folders.add_folder_options(parser, folders.FUSING)


def run(args: argparse.Namespace) -> int:
    """Fuse images, or folders of them; returns the exit status."""
    flags.show_log(args.verbose)
    chosen = {option.name: getattr(args, option.name) for option in OPTIONS}
    for_folders = {option.name: getattr(args, option.name) for option in folders.FUSING}
    given = [
        name for name, value in {**for_folders, "resume": args.resume, "scheduler": args.scheduler}.items() if value
    ]
    with flags.reading_up_to(args.max_pixels):
        images: list[Any] = [args.a, args.b, *args.more]
        if args.stack is not None:
            images = _stack(args.stack, args.a, args.output)
        if args.stack is not None or args.more:
            folders.refuse(given, "a stack becomes one image")
            folders.check_file_output(args.output)
        elif folders.are_folders(images, args.output, given):
            if args.depth is not None:
                raise flags.WrongUsage("--depth is for a stack or two images, not for folders of pairs")
            with folders.workers_of(args.scheduler) as executor:
                result = fuse_folders(
                    args.a, args.b, args.output, **chosen, **for_folders,
                    executor=executor, progress=not args.quiet, report=folders.tell,
                )  # fmt: skip
            return folders.summarise(result, args.output, args.quiet)
        progress = False if args.quiet else None
        fuse_files(images, None, args.output, **chosen, depth=args.depth, progress=progress)
        return 0


class _StackAction(argparse.Action):
    """``--stack DIR`` stands in place of the positional images."""

    images: Sequence[argparse.Action] = ()

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        setattr(namespace, self.dest, values)
        for action in self.images:
            action.required = False


def _add_stack(parser: argparse.ArgumentParser, *images: argparse.Action) -> None:
    """Add further images after the positional ``images``, and ``--stack``, which replaces them all."""
    parser.add_argument("more", metavar="C", nargs="*", default=[], help="further images of a stack, of the same size")
    action = parser.add_argument(
        "--stack",
        metavar="DIR",
        action=_StackAction,
        help="fuse all images in DIR, or all pages of a file such as a TIFF, in place of A B C ...",
    )
    assert isinstance(action, _StackAction)
    action.images = images


def _stack(folder: str, a: str | None, output: str) -> list[Any]:
    """The images of ``--stack``, or the pages of a file.

    Raises InputError where others are named too, and as ``stack_files`` and ``pages_of``.
    """
    if a is not None:
        raise InputError(f"--stack {folder} and {a}: give either a folder or images")
    return list(pages_of(folder)) if os.path.isfile(folder) else list(stack_files(folder, output))
