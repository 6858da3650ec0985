"""``gifnet convert``."""

import argparse

from ..checkpoints.format import save_weights
from ..networks.gifnet.official import convert_official


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet convert``."""
    command.add_argument("official", metavar="OFFICIAL", help="the released .pth file")
    command.add_argument("out", metavar="OUT.safetensors", type=_safetensors_path)


def run(args: argparse.Namespace) -> int:
    """Convert; returns the exit status."""
    save_weights(convert_official(args.official), args.out)
    return 0


def _safetensors_path(text: str) -> str:
    if not text.endswith(".safetensors"):
        raise argparse.ArgumentTypeError(f"{text}: the converted file's suffix must be .safetensors")
    return text
