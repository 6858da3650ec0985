"""``gifnet align``."""

import argparse
import json
import sys

from ..files.writing import check_folder, check_output, write_file
from ..images.reading import read_for_writing
from ..options.declarations import MAX_PIXELS, MAX_ROTATION, MAX_SCALE, MAX_SHIFT, MIN_CONFIDENCE, MOTION, PAGE
from ..prepare.alignment import align
from . import flags

OPTIONS = (PAGE, MOTION, MAX_SHIFT, MAX_ROTATION, MAX_SCALE, MIN_CONFIDENCE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet align``."""
    parser.add_argument("a", metavar="A", help="the image to align to")
    parser.add_argument("b", metavar="B", help="the image to align")
    parser.add_argument(
        "-o",
        "--output",
        metavar="B_ALIGNED",
        help="B warped onto A's grid, its suffix is the format; or T.json, the transform, for --align=T.json",
    )
    parser.add_argument(
        "--crop", action="store_true", help="crop B_ALIGNED to the overlap; otherwise what B does not show is 0"
    )
    parser.add_argument("--json", action="store_true", help="print matrix, confidence and overlap as JSON")
    flags.add_options(parser, *OPTIONS, MAX_PIXELS)


def run(args: argparse.Namespace) -> int:
    """Align, write the warped image and print the estimate. Returns 0; raises as ``align`` does."""
    if args.crop and not args.output:
        raise flags.WrongUsage("--crop is for B_ALIGNED; name it with -o")
    chosen = {option.name: getattr(args, option.name) for option in OPTIONS}
    for option in (MAX_ROTATION, MAX_SCALE) if args.motion == "translation" else ():
        if chosen[option.name] != option.default:
            raise flags.WrongUsage(f"--{option.name.replace('_', '-')} is not for --motion translation")
    transform = args.output is not None and args.output.lower().endswith(".json")
    if transform and args.crop:
        raise flags.WrongUsage("--crop is for an image, and a .json file holds the transform")
    if transform:
        check_folder(args.output)
    elif args.output:
        check_output(args.output)  # before the work, not after it
    with flags.reading_up_to(args.max_pixels):
        a, b = (read_for_writing(path, args.page) for path in (args.a, args.b))
        if args.output and not transform:
            b = b.load()
    found = align(a, b, **chosen)
    if transform:
        found.save(args.output)
    elif args.output:
        warped = found.warp_picture(b.load())
        warped = warped.cropped(found.overlap) if args.crop else warped
        write_file(warped.pack(warped.pixels, warped.alpha), args.output)
    sys.stdout.write((json.dumps(found.as_dict()) if args.json else found.summary()) + "\n")
    return 0
