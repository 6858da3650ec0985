"""``gifnet enhance``."""

import argparse

from ..batch.files import enhance_file
from . import folders, options


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet enhance``."""
    command.add_argument("x", metavar="X", help="the image, or a folder")
    command.add_argument("--strength", type=float, default=1.0, help="0 (as it is) to 1 (default)")
    options.add_stretch(command)
    options.add_execution(command)
    options.add_output(command)
    folders.add_arguments(command, pairs=False)


def run(args: argparse.Namespace) -> int:
    """Enhance an image, or a folder of them; returns the exit status."""
    if folders.are_meant(args, args.x):
        return folders.run_enhance(args)
    enhance_file(args.x, args.output, args.strength, **options.for_files(args))
    return 0
