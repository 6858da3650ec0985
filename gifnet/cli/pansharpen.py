"""``gifnet pansharpen``."""

import argparse

from ..checkpoints.hub import BUNDLED
from ..pansharpening.rasters import pansharpen_files
from . import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``gifnet pansharpen``."""
    parser.add_argument("ms", metavar="MS", help="the multispectral raster, of any number of bands")
    parser.add_argument("pan", metavar="PAN", help="the panchromatic raster of the same scene")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.tif", help="a tiled GeoTIFF on PAN's grid")
    parser.add_argument("--nodata", type=float, help="value of pixels without data (default: that of MS, else PAN)")
    parser.add_argument(
        "--model", default=BUNDLED, help="'gifnet' (bundled, default), a .safetensors file, or org/name[@revision]"
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--dtype", default="float32", help="float32 (default), float16 or bfloat16, which lose detail")
    options.add_execution(parser)


def run(args: argparse.Namespace) -> int:
    """Run ``gifnet pansharpen``; returns the exit status. Raises as ``pansharpen_files``."""
    named = {name: getattr(args, name) for name in ("nodata", "model", "device", "dtype")}
    pansharpen_files(args.ms, args.pan, args.output, **named, **options.execution(args))
    return 0
