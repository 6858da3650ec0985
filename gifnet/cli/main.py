"""The command line: parse, call the library, report.

Exit status: 0 done, 1 the work failed (a line on stderr says why), 2 wrong usage, 130 interrupted.
"""

import argparse
import logging
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from .. import __version__
from ..batch import folders
from ..errors import InputError
from ..execution import running as execution
from ..pansharpening import rasters as geo
from ..prepare import alignment
from ..prepare import preparation as prepare
from ..stack import composition as stack
from . import evaluate, train


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = args.run
    if getattr(args, "verbose", False):
        logging.basicConfig(format="gifnet: %(message)s")
        logging.getLogger("gifnet").setLevel(logging.INFO)
    try:
        with _quiet_decoders():
            return run(args)
    except KeyboardInterrupt:
        print("gifnet: interrupted", file=sys.stderr)
        return 130
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"gifnet: {message}", file=sys.stderr)
        return 1


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """What Pillow and tifffile remark about odd files is no news here: they are read, or an error says why not."""
    loggers = [logging.getLogger(name) for name in ("PIL", "tifffile")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; each sets ``run``, a function of the parsed arguments."""
    parser = Parser(prog="gifnet", description="Image fusion with one model: GIFNet (Cheng et al., CVPR 2025).")
    parser.add_argument("--version", action="version", version=f"gifnet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("fuse", help="fuse aligned images of one scene into one, or folders of pairs")
    a = command.add_argument(
        "a", metavar="A", help="first image; the infrared of an infrared-visible pair; or a folder"
    )
    b = command.add_argument("b", metavar="B", help="second image, of the same size; or a folder, with the same names")
    stack.add_arguments(command, a, b)
    prepare.add_arguments(command)
    execution.add_arguments(command)
    _add_output(command, _fuse)
    folders.add_arguments(command, pairs=True)

    command = commands.add_parser("enhance", help="enhance one image, or a folder of them")
    command.add_argument("x", metavar="X", help="the image, or a folder")
    command.add_argument("--strength", type=float, default=1.0, help="0 (as it is) to 1 (default)")
    prepare.add_stretch_argument(command)
    execution.add_arguments(command)
    _add_output(command, _enhance)
    folders.add_arguments(command, pairs=False)

    command = commands.add_parser("align", help="warp an image onto another one of the same scene")
    alignment.add_arguments(command)
    command.set_defaults(run=alignment.run)

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
        "-o", "--output", required=True, metavar="OUT", help="a file, its suffix is the format; or a folder"
    )
    command.add_argument(
        "--page", type=int, metavar="N", help="of files that hold several images, this one; 0 is the first"
    )
    command.add_argument("-v", "--verbose", action="store_true", help="say on stderr what was done to the inputs first")
    _add_model(command)
    command.set_defaults(run=run, wrong_usage=command.error)


def _for_folders(args: argparse.Namespace, *inputs: str) -> bool:
    """Whether the inputs are folders; if not, OUT must have the suffix of an image. Else, it is wrong usage."""
    from ..files.reading import check_suffix

    try:
        if folders.are_inputs(args, *inputs):
            return True
        check_suffix(args.output)
    except InputError as error:
        args.wrong_usage(str(error))
    return False


def _safetensors_path(text: str) -> str:
    if not text.endswith(".safetensors"):
        raise argparse.ArgumentTypeError(f"{text}: the converted file's suffix must be .safetensors")
    return text


def _fuse(args: argparse.Namespace) -> int:
    from ..batch.files import fuse_files

    images = stack.sources(args)
    if args.stack is None and not args.more and _for_folders(args, *images):
        return folders.run_fuse(args)
    first, second, *more = images
    fuse_files(first, second, args.output, *more, **_chosen(args))
    return 0


def _enhance(args: argparse.Namespace) -> int:
    from ..batch.files import enhance_file

    if _for_folders(args, args.x):
        return folders.run_enhance(args)
    enhance_file(args.x, args.output, args.strength, **_chosen(args))
    return 0


def _chosen(args: argparse.Namespace) -> dict[str, Any]:
    named = {name: getattr(args, name) for name in ("page", "model", "device", "dtype")}
    progress = False if args.quiet else None
    return named | prepare.chosen(args) | execution.chosen(args) | {"progress": progress}


def _convert(args: argparse.Namespace) -> int:
    from ..checkpoints.format import save_weights
    from ..networks.gifnet.official import convert_official

    save_weights(convert_official(args.official), args.out)
    return 0


def _info(args: argparse.Namespace) -> int:
    import torch

    from ..checkpoints.format import file_sha256, read_config, read_metadata
    from ..checkpoints.hub import resolve
    from ..execution.device import choose_device, choose_dtype

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
