"""``gifnet convert``."""

import argparse

from ..checkpoints.format import save_weights
from ..checkpoints.official import convert_official


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet convert``."""
    parser.add_argument("official", metavar="OFFICIAL", help="a file that a network's authors released")
    parser.add_argument("out", metavar="OUT.safetensors", type=_safetensors_path)


def run(args: argparse.Namespace) -> int:
    """Convert; returns the exit status."""
    save_weights(convert_official(args.official), args.out)
    return 0


def _safetensors_path(text: str) -> str:
    if not text.endswith(".safetensors"):
        raise argparse.ArgumentTypeError(f"{text}: the converted file's suffix must be .safetensors")
    return text
