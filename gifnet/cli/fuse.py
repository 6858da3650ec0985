"""``gifnet fuse``."""

import argparse
from collections.abc import Sequence
from typing import Any

from ..batch.files import fuse_files
from ..errors import InputError
from ..files.listing import stack_files
from . import folders, options


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet fuse``."""
    a = command.add_argument(
        "a", metavar="A", help="first image; the infrared of an infrared-visible pair; or a folder"
    )
    b = command.add_argument("b", metavar="B", help="second image, of the same size; or a folder, with the same names")
    _add_stack(command, a, b)
    options.add_preparation(command)
    options.add_execution(command)
    options.add_output(command)
    folders.add_arguments(command, pairs=True)


def run(args: argparse.Namespace) -> int:
    """Fuse images, or folders of them; returns the exit status."""
    images = sources(args)
    if args.stack is None and not args.more and folders.are_meant(args, *images):
        return folders.run_fuse(args)
    first, second, *more = images
    fuse_files(first, second, args.output, *more, **options.for_files(args))
    return 0


class _StackAction(argparse.Action):
    """``--stack DIR`` stands in place of the positional images."""

    images: Sequence[argparse.Action] = ()

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        setattr(namespace, self.dest, values)
        for action in self.images:
            action.required = False


def _add_stack(parser: argparse.ArgumentParser, *images: argparse.Action) -> None:
    """Add further images after the positional ``images``, and ``--stack``, which replaces them all."""
    parser.add_argument("more", metavar="C", nargs="*", default=[], help="further images of a stack, of the same size")
    action = parser.add_argument(
        "--stack", metavar="DIR", action=_StackAction, help="fuse all images in DIR, in place of A B C ..."
    )
    assert isinstance(action, _StackAction)
    action.images = images


def sources(args: argparse.Namespace) -> list[str]:
    """The images that the command line names.

    Raises InputError for ``--stack`` together with images, and as ``stack_files``.
    """
    if args.stack is None:
        return [args.a, args.b, *args.more]
    if args.a is not None:
        raise InputError(f"--stack {args.stack} and {args.a}: give either a folder or images")
    return stack_files(args.stack, args.output)
