"""``gifnet align``."""

import argparse
import json
import sys

from ..files.writing import check_output, write_file
from ..images.reading import read_for_writing
from ..prepare.alignment import MOTIONS, align_pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet align``."""
    parser.add_argument("a", metavar="A", help="the image to align to")
    parser.add_argument("b", metavar="B", help="the image to align")
    parser.add_argument("-o", "--output", metavar="B_ALIGNED", help="B warped onto A's grid; its suffix is the format")
    parser.add_argument("--motion", choices=MOTIONS, default="affine", help="what may lie between them (affine)")
    parser.add_argument(
        "--crop", action="store_true", help="crop B_ALIGNED to the overlap; otherwise what B does not show is 0"
    )
    parser.add_argument("--json", action="store_true", help="print matrix, confidence and overlap as JSON")
    parser.add_argument("--page", type=int, metavar="N", help="of files that hold several images, this one (0: first)")


def run(args: argparse.Namespace) -> int:
    """Align, write the warped image and print the estimate. Returns 0; raises as ``align`` does."""
    if args.output:
        check_output(args.output)  # before the work, not after it
    a, b = (read_for_writing(path, args.page).load() for path in (args.a, args.b))
    found = align_pictures(a, b, args.motion)
    if args.output:
        warped = found.warp_picture(b)
        warped = warped.cropped(found.overlap) if args.crop else warped
        write_file(warped.pack(warped.pixels, warped.alpha), args.output)
    sys.stdout.write((json.dumps(found.as_dict()) if args.json else found.summary()) + "\n")
    return 0
