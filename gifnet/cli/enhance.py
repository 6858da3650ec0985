"""``gifnet enhance``."""

import argparse

from ..batch.files import enhance_file
from ..batch.folders import enhance_folder
from ..options.declarations import (
    COMPRESSION,
    DEVICE,
    DTYPE,
    MAX_PIXELS,
    MEMORY,
    MODEL,
    PAGE,
    QUALITY,
    STRENGTH,
    STRETCH,
    TILE,
)
from . import flags, folders

OPTIONS = (STRENGTH, STRETCH, QUALITY, COMPRESSION, TILE, MEMORY, PAGE, MODEL, DEVICE, DTYPE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet enhance``."""
    parser.add_argument("x", metavar="X", help="the image, or a folder")
    flags.add_options(parser, *OPTIONS, MAX_PIXELS)
    flags.add_output(parser, "OUT", "a file, its suffix is the format; or a folder")
    flags.add_verbose(parser)
    flags.add_quiet(parser, "no progress bar and no summary of success")
    folders.add_folder_options(parser, folders.ENHANCING)


def run(args: argparse.Namespace) -> int:
    """Enhance an image, or a folder of them; returns the exit status."""
    flags.show_log(args.verbose)
    chosen = {option.name: getattr(args, option.name) for option in OPTIONS}
    for_folders = {option.name: getattr(args, option.name) for option in folders.ENHANCING}
    given = [
        name for name, value in {**for_folders, "resume": args.resume, "scheduler": args.scheduler}.items() if value
    ]
    with flags.reading_up_to(args.max_pixels):
        if folders.are_folders([args.x], args.output, given):
            with folders.workers_of(args.scheduler) as executor:
                result = enhance_folder(
                    args.x, args.output, **chosen, **for_folders,
                    executor=executor, progress=not args.quiet, report=folders.tell,
                )  # fmt: skip
            return folders.summarise(result, args.output, args.quiet)
        enhance_file(args.x, args.output, **chosen, progress=False if args.quiet else None)
        return 0
