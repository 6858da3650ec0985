"""The subcommand ``gifnet train``."""

import argparse
from pathlib import Path

from ..errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gifnet train``."""
    parser.add_argument("infrared", metavar="IR_DIR", type=Path, help="infrared images")
    parser.add_argument("visible", metavar="VIS_DIR", type=Path, help="visible images with the same file stems")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photographs for the digital-photography side")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN_DIR", help="resumed if it holds a run")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="settings in JSON")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting: data.crop=96")
    parser.add_argument("--init", type=Path, metavar="WEIGHTS", help="start from these weights, not from random ones")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")


def run(args: argparse.Namespace) -> int:
    """Train, or go on training; returns the exit status."""
    import torch

    from ..checkpoint import load_weights
    from ..device import choose_device
    from ..network import GIFNet

    try:
        from .data import TrainingData
        from .recipe import read_recipe
        from .trainer import Trainer
    except ModuleNotFoundError as error:
        raise InputError(f"training needs {error.name}: pip install 'gifnet[train]'") from error

    recipe = read_recipe(args.recipe, args.set)
    device = choose_device(args.device)
    data = TrainingData(args.infrared, args.visible, args.photos, recipe.data, recipe.seed, progress=True)
    torch.manual_seed(recipe.seed)  # of the initial weights; everything else is drawn from generators of its own
    model = load_weights(args.init) if args.init else GIFNet()
    args.output.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(model, data, recipe, args.output, device)
    trainer.resume()
    trainer.run()
    return 0
