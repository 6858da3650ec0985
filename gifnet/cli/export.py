"""``gifnet export``."""

import argparse

from ..export.onnx_file import export_onnx
from ..options.declarations import ENHANCE, EXPORT_DTYPE, MODEL, OPSET
from . import flags

OPTIONS = (MODEL, OPSET, EXPORT_DTYPE, ENHANCE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet export``."""
    flags.add_options(parser, *OPTIONS)
    flags.add_output(parser, "OUT.onnx", "the file")


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit status."""
    export_onnx(args.output, **{option.name: getattr(args, option.name) for option in OPTIONS})
    return 0
