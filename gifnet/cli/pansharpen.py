"""``gifnet pansharpen``."""

import argparse

from ..options.declarations import DEVICE, MEMORY, MODEL, NODATA, PAN_DTYPE, TILE
from ..pansharpening.rasters import pansharpen_files
from . import flags

OPTIONS = (NODATA, TILE, MEMORY, MODEL, DEVICE, PAN_DTYPE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet pansharpen``."""
    parser.add_argument("ms", metavar="MS", nargs="+", help="the multispectral raster, or several; bands in this order")
    parser.add_argument("pan", metavar="PAN", help="the panchromatic raster of the same scene")
    flags.add_output(parser, "OUT.tif", "a tiled GeoTIFF on PAN's grid")
    flags.add_options(parser, *OPTIONS)
    flags.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Run ``gifnet pansharpen``; returns the exit status. Raises as ``pansharpen_files``."""
    chosen = {option.name: getattr(args, option.name) for option in OPTIONS}
    pansharpen_files(args.ms, args.pan, args.output, **chosen, progress=False if args.quiet else None)
    return 0
