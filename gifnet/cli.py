"""The command line: parse, call the library, report.

Exit status: 0 done, 1 the work failed (one line on stderr says why), 2 wrong usage, 130 interrupted.
"""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from . import __version__, evaluate, geo, stack
from .errors import InputError
from .training import command as train


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except KeyboardInterrupt:
        print("gifnet: interrupted", file=sys.stderr)
        return 130
    except (InputError, OSError, MemoryError, RuntimeError, ImportError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"gifnet: {message}", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; each sets ``run``, a function of the parsed arguments."""
    parser = Parser(prog="gifnet", description="Image fusion with one model: GIFNet (Cheng et al., CVPR 2025).")
    parser.add_argument("--version", action="version", version=f"gifnet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("fuse", help="fuse two or more aligned images of one scene into one")
    a = command.add_argument("a", metavar="A", help="first image; the infrared of an infrared-visible pair")
    b = command.add_argument("b", metavar="B", help="second image, of the same size")
    stack.add_arguments(command, a, b)
    _add_output(command, _fuse)

    command = commands.add_parser("enhance", help="enhance one image")
    command.add_argument("x", metavar="X", help="the image")
    command.add_argument("--strength", type=float, default=1.0, help="0 (as it is) to 1 (default)")
    _add_output(command, _enhance)

    command = commands.add_parser("pansharpen", help="sharpen multispectral bands with a panchromatic raster")
    geo.add_arguments(command)
    command.set_defaults(run=geo.run)

    command = commands.add_parser("convert", help="convert the paper's released checkpoint to gifnet's format")
    command.add_argument("official", metavar="OFFICIAL", help="the released .pth file")
    command.add_argument("out", metavar="OUT.safetensors", type=_safetensors_path)
    command.set_defaults(run=_convert)

    command = commands.add_parser("info", help="show versions, device and weights")
    _add_model(command)
    command.set_defaults(run=_info)

    command = commands.add_parser("train", help="train weights on folders of infrared-visible pairs")
    train.add_arguments(command)
    command.set_defaults(run=train.run)

    command = commands.add_parser("eval", help="measure fused images, or models, on folders of pairs")
    evaluate.add_arguments(command)
    command.set_defaults(run=evaluate.run)
    return parser


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model", default="gifnet", help="'gifnet' (bundled, default), a .safetensors file, or org/name[@revision]"
    )
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    command.add_argument("--dtype", default="auto", help="auto (default), float32, float16 or bfloat16")


def _add_output(command: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    command.add_argument(
        "-o", "--output", required=True, metavar="OUT", type=_image_path, help="its suffix is the format"
    )
    _add_model(command)
    command.set_defaults(run=run)


def _image_path(text: str) -> str:
    from .image import check_suffix

    try:
        return str(check_suffix(text))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _safetensors_path(text: str) -> str:
    if not text.endswith(".safetensors"):
        raise argparse.ArgumentTypeError(f"{text}: the converted file's suffix must be .safetensors")
    return text


def _fuse(args: argparse.Namespace) -> int:
    from .api import load
    from .image import check_output, write

    check_output(args.output)  # before the work, not after it
    images = stack.sources(args)
    write(load(args.model, args.device, args.dtype).fuse(*images), args.output)
    return 0


def _enhance(args: argparse.Namespace) -> int:
    from .api import load
    from .image import check_output, write

    check_output(args.output)
    write(load(args.model, args.device, args.dtype).enhance(args.x, args.strength), args.output)
    return 0


def _convert(args: argparse.Namespace) -> int:
    from .checkpoint import save_weights
    from .convert import convert_official

    save_weights(convert_official(args.official), args.out)
    return 0


def _info(args: argparse.Namespace) -> int:
    import torch

    from .checkpoint import file_sha256, read_config, read_metadata
    from .device import choose_device, choose_dtype
    from .hub import resolve

    device = choose_device(args.device)
    weights = resolve(args.model)
    rows = {
        "gifnet": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(device),
        "dtype": str(choose_dtype(args.dtype, device)).removeprefix("torch."),
        "weights": str(weights.path),
        "sha256": file_sha256(weights.path),
    }
    config = read_config(weights.config_path) if weights.config_path else None
    metadata = read_metadata(weights.path, config)
    notes = metadata.pop("notes", {})
    for name, value in (rows | metadata | notes).items():
        print(f"{name:<16} {value}")
    return 0
