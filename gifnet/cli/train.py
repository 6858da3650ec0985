"""The subcommand ``gifnet train``."""

import argparse
from pathlib import Path

from ..errors import escaped
from ..execution.progress import say
from ..options.declarations import DEVICE, MAX_PIXELS
from ..training.objective import Sources
from ..training.run import HeldOut, train
from . import flags

VALIDATE_EVERY = 500  # iterations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gifnet train``."""
    parser.add_argument("infrared", metavar="IR_DIR", type=Path, help="infrared images")
    parser.add_argument("visible", metavar="VIS_DIR", type=Path, help="visible images with the same file stems")
    parser.add_argument("--network", default="gifnet", metavar="NAME", help="what to train; gifnet by default")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photographs for the digital-photography side")
    parser.add_argument(
        "--exposures",
        type=Path,
        nargs=2,
        metavar=("DARK_DIR", "BRIGHT_DIR"),
        help="exposure pairs, for steps=tasks and for TITA",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN_DIR", help="resumed if it holds a run")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="settings in JSON")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting: data.crop=96")
    parser.add_argument("--init", type=Path, metavar="WEIGHTS", help="start from these weights, not from random ones")
    parser.add_argument("--phi", choices=["gradient", "densenet"], help="what weighs infrared against visible")
    parser.add_argument(
        "--densenet-weights", type=Path, metavar="FILE", help="DenseNet-121's, as .safetensors, for --phi densenet"
    )
    parser.add_argument(
        "--validate",
        type=Path,
        nargs=2,
        metavar=("A_DIR", "B_DIR"),
        help="held-out pairs to choose the best weights by",
    )
    parser.add_argument("--validate-photos", type=Path, metavar="DIR", help="held-out sharp photographs, likewise")
    parser.add_argument("--validate-every", type=int, metavar="N", help=f"iterations; {VALIDATE_EVERY} by default")
    flags.add_options(parser, DEVICE, MAX_PIXELS)


def run(args: argparse.Namespace) -> int:
    """Train, or go on training; returns the exit status: 128 and the signal's number where one left it unfinished."""
    if args.validate_every is not None and not (args.validate or args.validate_photos):
        raise flags.WrongUsage("--validate-every goes with --validate or --validate-photos")
    with flags.reading_up_to(args.max_pixels):
        stopped = train(
            Sources(
                args.infrared,
                args.visible,
                args.photos,
                tuple(args.exposures) if args.exposures else None,
                args.densenet_weights,
            ),
            args.output,
            network=args.network,
            recipe_file=args.recipe,
            settings=[*args.set, *([f"losses.phi={args.phi}"] if args.phi else [])],
            init=args.init,
            held_out=HeldOut(
                tuple(args.validate) if args.validate else None,
                args.validate_photos,
                VALIDATE_EVERY if args.validate_every is None else args.validate_every,
            ),
            device=args.device,
        )
    if stopped is None:
        return 0
    message = f"{args.output}: stopped by {stopped.name}; the same command goes on from there"
    say(f"gifnet: {escaped(message)}")
    return 128 + stopped
