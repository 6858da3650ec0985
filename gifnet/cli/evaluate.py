"""The subcommand ``gifnet eval``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..evaluation.figure import check_output, load_figure_class, plot
from ..evaluation.measure import evaluate_folders, evaluate_sets
from ..evaluation.report import Evaluation, SetsEvaluation
from ..evaluation.sources import FusedImages, label_of
from ..files.atomic import atomic_path
from ..metrics.registry import METRICS
from ..options.declarations import DEVICE, DTYPE, MAX_PIXELS, SAVE_FUSED
from . import flags

OPTIONS = (SAVE_FUSED, DEVICE, DTYPE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gifnet eval``."""
    parser.add_argument(
        "a_dir", nargs="?", metavar="A_DIR", help="first images; the infrared of infrared-visible pairs"
    )
    parser.add_argument("b_dir", nargs="?", metavar="B_DIR", help="second images, of the same file stems and sizes")
    parser.add_argument("--sets", metavar="DIR", help="in their place, a folder of sets, each with folders a and b")
    # Both fill one list, so that the columns of the tables keep the order of the command line.
    parser.add_argument(
        "--model",
        dest="models",
        nargs="+",
        action="extend",
        type=_model,
        metavar="[NAME=]M",
        help="measure these models: 'gifnet' (bundled, default), .safetensors files, or org/name[@revision]",
    )
    parser.add_argument(
        "--fused",
        dest="models",
        nargs="+",
        action="extend",
        type=_fused,
        metavar="[NAME=]DIR",
        help="measure images fused before, of the same stems; with --sets, DIR has a subfolder for each set",
    )
    parser.add_argument("--metrics", nargs="+", action="extend", metavar="NAME", help=f"some of {', '.join(METRICS)}")
    flags.add_options(parser, *OPTIONS, MAX_PIXELS)
    parser.add_argument("--markdown", metavar="FILE", help="write the tables in Markdown")
    parser.add_argument("--csv", metavar="FILE", help="write mean and deviation of each model and metric as CSV")
    parser.add_argument("--json", metavar="FILE", help="write everything, each pair's values too, as JSON")
    parser.add_argument("--plot", metavar="FILE", help="write a plot as PNG")
    flags.add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the tables and write what was asked for. Returns 0, or 1 if any pair failed or there is none.

    Raises InputError as ``evaluate_folders`` does, and for files that can't be written.
    """
    if bool(args.sets) == bool(args.b_dir) or (args.sets and args.a_dir):
        raise flags.WrongUsage("give A_DIR and B_DIR, or --sets DIR")
    models = _labelled(args.models or [])
    chosen = {option.name: getattr(args, option.name) for option in OPTIONS}
    if models and all(isinstance(model, FusedImages) for model in models.values()):
        for option in OPTIONS:
            if chosen[option.name] != option.default:
                raise flags.WrongUsage(f"--{option.name.replace('_', '-')} is for models, and only --fused was given")
    texts = {"markdown": args.markdown, "csv": args.csv, "json": args.json}
    for path in filter(None, texts.values()):  # before the work, not after it
        check_output(path)
    if args.plot:
        check_output(args.plot, ".png")
        load_figure_class()
    evaluation: Evaluation | SetsEvaluation
    with flags.reading_up_to(args.max_pixels):
        if args.sets:
            evaluation = evaluate_sets(args.sets, models, args.metrics, **chosen, progress=not args.quiet)
        else:
            evaluation = evaluate_folders(
                args.a_dir, args.b_dir, models, args.metrics, **chosen, progress=not args.quiet
            )
    for kind, path in texts.items():
        if path:
            with atomic_path(path) as temporary:
                temporary.write_text(getattr(evaluation, kind)(), encoding="utf-8", errors="backslashreplace")
    if args.plot and evaluation.scores:
        plot(evaluation, args.plot)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(evaluation.table().encode(encoding, "replace").decode(encoding))
    return 1 if evaluation.failures or not evaluation.scores else 0


def _labelled(given: Sequence[tuple[str, str | FusedImages]]) -> dict[str, str | FusedImages]:
    models = dict(given)
    if len(models) < len(given):
        raise InputError("several models have one name; give each its own: NAME=MODEL")
    return models


def _model(text: str) -> tuple[str, str]:
    """Label and name of a model given as NAME=M or M."""
    label, equals, name = text.partition("=")
    return (label, name) if label and equals and not Path(text).exists() else (text, text)


def _fused(text: str) -> tuple[str, FusedImages]:
    """Label and folder of fused images given as NAME=DIR or DIR."""
    label, folder = _model(text)
    images = FusedImages(folder)
    return (label if label != text else label_of(images), images)
