"""The subcommand ``gifnet eval``."""

import argparse
import sys
from pathlib import Path

from ..errors import InputError
from ..evaluation.figure import check_output, load_figure_class, plot
from ..evaluation.measure import FusedImages, evaluate_folders, evaluate_sets, label_of
from ..evaluation.report import Evaluation, SetsEvaluation
from ..files.atomic import atomic_path
from ..metrics.registry import METRICS


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
    parser.add_argument("--save-fused", metavar="DIR", help="keep what models make, as DIR/MODEL[/SET]/STEM.png")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables in Markdown")
    parser.add_argument("--csv", metavar="FILE", help="write mean and deviation of each model and metric as CSV")
    parser.add_argument("--json", metavar="FILE", help="write everything, each pair's values too, as JSON")
    parser.add_argument("--plot", metavar="FILE", help="write a plot as PNG")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--dtype", default="auto", help="auto (default), float32, float16 or bfloat16")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(wrong_usage=parser.error)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the tables and write what was asked for. Returns 0, or 1 if any pair failed or there is none.

    Raises InputError and ImportError as ``evaluate_folders`` does, and for files that can't be written.
    """
    if bool(args.sets) == bool(args.b_dir) or (args.sets and args.a_dir):
        args.wrong_usage("give A_DIR and B_DIR, or --sets DIR")
    texts = {"markdown": args.markdown, "csv": args.csv, "json": args.json}
    for path in filter(None, texts.values()):  # before the work, not after it
        check_output(path)
    if args.plot:
        check_output(args.plot, ".png")
        load_figure_class()
    evaluation = _evaluate(args)
    for kind, path in texts.items():
        if path:
            with atomic_path(path) as temporary:
                temporary.write_text(getattr(evaluation, kind)(), encoding="utf-8")
    if args.plot and evaluation.scores:
        plot(evaluation, args.plot)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(evaluation.table().encode(encoding, "replace").decode(encoding))
    return 1 if evaluation.failures or not evaluation.scores else 0


def _evaluate(args: argparse.Namespace) -> Evaluation | SetsEvaluation:
    given = args.models or []
    models = dict(given)
    if len(models) < len(given):
        raise InputError("several models have one name; give each its own: NAME=MODEL")
    options = (models, args.metrics, args.save_fused, not args.quiet, args.device, args.dtype)
    return evaluate_sets(args.sets, *options) if args.sets else evaluate_folders(args.a_dir, args.b_dir, *options)


def _model(text: str) -> tuple[str, str]:
    """Label and name of a model given as NAME=M or M."""
    label, equals, name = text.partition("=")
    return (label, name) if label and equals and not Path(text).exists() else (text, text)


def _fused(text: str) -> tuple[str, FusedImages]:
    """Label and folder of fused images given as NAME=DIR or DIR."""
    label, folder = _model(text)
    images = FusedImages(folder)
    return (label if label != text else label_of(images), images)
