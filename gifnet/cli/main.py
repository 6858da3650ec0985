"""The command line: parse, call the library, report.

Exit status: 0 done, 1 the work failed (a line on stderr says why), 2 wrong usage, 130 interrupted.
"""

import argparse
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from ..errors import InputError, escaped
from ..execution.progress import drop_unwritable_stderr, occupy_closed_streams, say
from ..version import __version__
from . import align, convert, demo, enhance, evaluate, export, fuse, info, pansharpen, train, video
from .flags import WrongUsage

VERBS = (
    ("fuse", fuse, "fuse aligned images of one scene into one, or folders of pairs"),
    ("enhance", enhance, "enhance one image, or a folder of them"),
    ("video", video, "fuse two videos of one scene into one"),
    ("align", align, "warp an image onto another one of the same scene"),
    ("pansharpen", pansharpen, "sharpen multispectral bands with a panchromatic raster"),
    ("demo", demo, "open a page in the browser to try it on"),
    ("convert", convert, "convert the paper's released checkpoint to gifnet's format"),
    ("export", export, "write a model as an ONNX file, for programs without Python"),
    ("info", info, "show versions, device and weights"),
    ("train", train, "train weights on folders of infrared-visible pairs"),
    ("eval", evaluate, "measure fused images, or models, on folders of pairs"),
)


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line."""

    def error(self, message: str) -> NoReturn:
        say(f"{self.prog}: {escaped(message)} (see {self.prog} --help)")
        self.exit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    occupy_closed_streams()
    parser = build_parser()
    try:
        args = parser.parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = args.run
        with _quiet_decoders():
            return run(args)
    except WrongUsage as error:
        command: argparse.ArgumentParser = args.command
        command.error(str(error))
    except KeyboardInterrupt:
        say("gifnet: interrupted")
        return 130
    except (InputError, OSError, MemoryError, RuntimeError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        say(f"gifnet: {escaped(message)}")
        return 1
    finally:
        drop_unwritable_stderr()


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """What Pillow, pydicom and tifffile remark on odd files is no news: they are read, or an error says why not."""
    loggers = [logging.getLogger(name) for name in ("PIL", "pydicom", "tifffile")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; each sets ``run``, a function of the parsed arguments, and ``command``, itself."""
    parser = Parser(prog="gifnet", description="Image fusion with one model: GIFNet (Cheng et al., CVPR 2025).")
    parser.add_argument("--version", action="version", version=f"gifnet {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, verb, text in VERBS:
        command = commands.add_parser(name, help=text)
        verb.add_arguments(command)
        command.set_defaults(run=verb.run, command=command)
    return parser
