"""``gifnet video``."""

import argparse
import sys

from ..options.declarations import (
    CODEC,
    DEVICE,
    DTYPE,
    MEMORY,
    MODEL,
    MUTE,
    OFFSET,
    RESIZE,
    TILE,
    VIDEO_ALIGN,
    VIDEO_STRETCH,
)
from ..video.fusing import fuse_video
from . import flags

OPTIONS = (OFFSET, CODEC, MUTE, RESIZE, VIDEO_STRETCH, VIDEO_ALIGN, TILE, MEMORY, MODEL, DEVICE, DTYPE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet video``."""
    parser.add_argument("a", metavar="A", help="the infrared video")
    parser.add_argument("b", metavar="B", help="the visible video, whose sound is copied")
    flags.add_output(parser, "OUT", "the video to write: .mp4, .m4v, .mov, .mkv, .avi or .webm")
    flags.add_options(parser, *OPTIONS)
    flags.add_quiet(parser, "no progress bar and no summary of success")


def run(args: argparse.Namespace) -> int:
    """Fuse two videos; returns the exit status. Raises as ``fuse_video``."""
    chosen = {option.name: getattr(args, option.name) for option in OPTIONS}
    result = fuse_video(args.a, args.b, args.output, **chosen, progress=False if args.quiet else None)
    if not args.quiet:
        skipped = [
            f"{count} {text}"
            for count, text in ((result.damaged, "damaged and skipped"), (result.unpaired, "without a partner"))
            if count
        ]
        print(", ".join([f"gifnet: {result.path}: {result.frames} frames", *skipped]), file=sys.stderr)
    return 0
