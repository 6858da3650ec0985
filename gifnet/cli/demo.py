"""``gifnet demo``."""

import argparse

from ..demo import launch
from ..options.declarations import DEVICE, DTYPE, HOST, MAX_PIXELS, MEMORY, MODEL, NO_BROWSER, PORT, SHARE
from . import flags

OPTIONS = (HOST, PORT, SHARE, NO_BROWSER, MEMORY, MODEL, DEVICE, DTYPE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet demo``."""
    flags.add_options(parser, *OPTIONS, MAX_PIXELS)


def run(args: argparse.Namespace) -> int:
    """Serve the page until it is ended. Returns 0; raises as ``launch`` does."""
    with flags.reading_up_to(args.max_pixels):
        launch(**{option.name: getattr(args, option.name) for option in OPTIONS})
    return 0
