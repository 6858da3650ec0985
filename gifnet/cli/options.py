"""Arguments that several verbs have."""

import argparse
from typing import Any

from ..errors import InputError
from ..execution.memory import parse_bytes
from ..execution.plan import SMALLEST_TILE, Tile, check_tile
from ..prepare.alignment import MOTIONS, Motion
from ..prepare.preparation import OPTIONS
from ..prepare.stretch import stretch_percentiles


def add_model(command: argparse.ArgumentParser) -> None:
    """``--model``, ``--device`` and ``--dtype``."""
    command.add_argument(
        "--model", default="gifnet", help="'gifnet' (bundled, default), a .safetensors file, or org/name[@revision]"
    )
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    command.add_argument("--dtype", default="auto", help="auto (default), float32, float16 or bfloat16")


def add_output(command: argparse.ArgumentParser) -> None:
    """``--output`` and what goes with every image written by a model."""
    command.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="a file, its suffix is the format; or a folder"
    )
    command.add_argument(
        "--page", type=int, metavar="N", help="of files that hold several images, this one; 0 is the first"
    )
    command.add_argument("-v", "--verbose", action="store_true", help="say on stderr what was done to the inputs first")
    add_model(command)
    command.set_defaults(wrong_usage=command.error)


def add_execution(command: argparse.ArgumentParser) -> None:
    """The options ``--tile`` and ``--memory``."""
    command.add_argument("--tile", type=_tile, default="auto", metavar="N", help="pixels a side; auto (default), none")
    command.add_argument("--memory", metavar="SIZE", type=_memory, help="how much may be used: 2GB, 500MB, ...")


def add_stretch(command: argparse.ArgumentParser) -> None:
    """``--stretch``."""
    command.add_argument(
        "--stretch",
        type=_percentiles,
        default=False,
        metavar="LOW,HIGH",
        help="map grey inputs' range between these percentiles, such as 1,99, to black and white",
    )


def add_preparation(command: argparse.ArgumentParser) -> None:
    """What ``gifnet fuse`` can do to a pair beforehand."""
    add_stretch(command)
    command.add_argument("--resize", choices=("a", "b"), help="bring both to the size of A or of B")
    command.add_argument(
        "--align",
        nargs="?",
        const=True,
        default=False,
        type=_motion,
        metavar="MOTION",
        help=f"align B to A first: --align (affine) or --align=MOTION, one of {', '.join(MOTIONS)}",
    )


def execution(args: argparse.Namespace) -> dict[str, Any]:
    """The options of ``add_execution``, as ``Fuser.fuse`` and ``Fuser.enhance`` take them."""
    return {"tile": args.tile, "memory": args.memory}


def preparation(args: argparse.Namespace) -> dict[str, Any]:
    """The options of ``add_preparation`` that the verb has, as ``Fuser.fuse`` and ``Fuser.enhance`` take them."""
    return {name: getattr(args, name) for name in OPTIONS if hasattr(args, name)}


def for_files(args: argparse.Namespace) -> dict[str, Any]:
    """All options of a verb that works on files, as ``fuse_files`` and ``enhance_file`` take them."""
    named = {name: getattr(args, name) for name in ("page", "model", "device", "dtype")}
    progress = False if args.quiet else None
    return named | preparation(args) | execution(args) | {"progress": progress}


def _tile(text: str) -> Tile:
    if text.lower() in ("auto", "none"):
        return "auto" if text.lower() == "auto" else None
    try:
        return check_tile(int(text))
    except ValueError as error:  # InputError is one
        raise argparse.ArgumentTypeError(f"{text!r}; give auto, none, or {SMALLEST_TILE} or more pixels") from error


def _memory(text: str) -> int:
    try:
        return parse_bytes(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; give an amount such as 2GB or 500MB") from error


def _percentiles(text: str) -> tuple[float, float] | None:
    try:
        return stretch_percentiles([float(part) for part in text.split(",")])
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; give two percentiles such as 1,99") from error


def _motion(text: str) -> Motion:
    for motion in MOTIONS:
        if text == motion:
            return motion
    raise argparse.ArgumentTypeError(f"{text!r} is no motion; write --align alone at the end, or --align=affine")
