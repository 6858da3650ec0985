"""Options as flags of the command line, and what several verbs do with theirs."""

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from ..errors import InputError, escaped
from ..options.declarations import Option


class _Escaping(logging.Formatter):
    """Messages name files."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


class WrongUsage(Exception):
    """Arguments that don't go together; the message says which."""


def add_options(parser: argparse._ActionsContainer, *options: Option[Any]) -> None:
    """Add a flag for each option: its name, with dashes, and the first sentence of its help."""
    for option in options:
        names = [f"--{option.name.replace('_', '-')}"]
        parser.add_argument(*names, default=option.default, **_how_to_parse(option))


def _how_to_parse(option: Option[Any]) -> dict[str, Any]:
    """What ``add_argument`` needs to know beside the name and the default."""
    flag = option.flag
    text = (f"{option.summary} ({flag.note})" if flag.note else option.summary).replace("%", "%%")
    if option.type is bool:
        return {"action": "store_true", "help": text}
    chosen: dict[str, Any] = {"help": text, "type": _parser(flag.of_text)}
    if flag.choices is not None:
        chosen["choices"] = flag.choices
    if flag.metavar is not None:
        chosen["metavar"] = flag.metavar
    if flag.nargs is not None:
        chosen["nargs"] = flag.nargs
    if flag.alone is not None:
        chosen |= {"nargs": "?", "const": flag.alone}
    return chosen


def _parser(of_text: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same function, with argparse's error in place of InputError, so that the message is shown."""

    def parse(text: str) -> Any:
        try:
            return of_text(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    parse.__name__ = getattr(of_text, "__name__", "value")  # argparse says "invalid float value"
    return parse


def add_output(parser: argparse.ArgumentParser, metavar: str, text: str) -> None:
    """Add ``--output``, which is required."""
    parser.add_argument("-o", "--output", required=True, metavar=metavar, help=text)


def add_quiet(parser: argparse.ArgumentParser, text: str = "no progress bar") -> None:
    """Add ``--quiet``, the command line's form of ``progress=False``."""
    parser.add_argument("--quiet", action="store_true", help=text)


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add ``--verbose``."""
    parser.add_argument("-v", "--verbose", action="store_true", help="say on stderr what was done to the inputs first")


def show_log(verbose: bool) -> None:
    """Show what the library logs of its work on stderr, if that is wished."""
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(_Escaping("gifnet: %(message)s"))
        logging.basicConfig(handlers=[handler])
        logging.getLogger("gifnet").setLevel(logging.INFO)


@contextmanager
def reading_up_to(max_pixels: int | None) -> Iterator[None]:
    """Read images of up to so many pixels meanwhile; None: as many as Pillow takes."""
    before = Image.MAX_IMAGE_PIXELS
    if max_pixels is not None:
        Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2  # Pillow refuses what has more than twice as many
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
