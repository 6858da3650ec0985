"""The subcommand ``gifnet train``."""

import argparse
from pathlib import Path

import torch

from ..checkpoints.format import file_sha256, load_weights
from ..errors import InputError
from ..execution.device import choose_device
from ..networks.gifnet import GIFNet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gifnet train``."""
    parser.add_argument("infrared", metavar="IR_DIR", type=Path, help="infrared images")
    parser.add_argument("visible", metavar="VIS_DIR", type=Path, help="visible images with the same file stems")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photographs for the digital-photography side")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="RUN_DIR", help="resumed if it holds a run")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="settings in JSON")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting: data.crop=96")
    parser.add_argument("--init", type=Path, metavar="WEIGHTS", help="start from these weights, not from random ones")
    parser.add_argument("--phi", choices=["gradient", "densenet"], help="what weighs infrared against visible")
    parser.add_argument(
        "--densenet-weights", type=Path, metavar="FILE", help="DenseNet-121's, as .safetensors, for --phi densenet"
    )
    parser.add_argument(
        "--validate",
        type=Path,
        nargs=2,
        metavar=("A_DIR", "B_DIR"),
        help="held-out pairs to choose the best weights by",
    )
    parser.add_argument("--validate-photos", type=Path, metavar="DIR", help="held-out sharp photographs, likewise")
    parser.add_argument("--validate-every", type=int, default=500, metavar="N", help="iterations; 500 by default")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")


def run(args: argparse.Namespace) -> int:
    """Train, or go on training; returns the exit status."""
    try:  # the extra [train]
        from ..training.data import TrainingData
        from ..training.densenet import load_densenet_phi
        from ..training.losses import detail_energy
        from ..training.recipe import read_recipe
        from ..training.trainer import Trainer
        from ..training.validation import Validation
    except ModuleNotFoundError as error:
        raise InputError(f"training needs {error.name}: pip install 'gifnet[train]'") from error

    recipe = read_recipe(args.recipe, [*args.set, *([f"losses.phi={args.phi}"] if args.phi else [])])
    device = choose_device(args.device)
    phi, notes = detail_energy, {}
    if recipe.losses.phi == "densenet":
        if args.densenet_weights is None:
            raise InputError("φ of DenseNet-121 needs its weights: --densenet-weights FILE")
        phi = load_densenet_phi(args.densenet_weights).to(device)
        notes["densenet_sha256"] = file_sha256(args.densenet_weights)
    elif args.densenet_weights is not None:
        raise InputError("--densenet-weights goes with --phi densenet")
    model = load_weights(args.init) if args.init else None
    if args.init:
        notes["initial_weights_sha256"] = file_sha256(args.init)
    validation = None
    if args.validate or args.validate_photos:
        pairs = tuple(args.validate) if args.validate else None
        validation = Validation(pairs, args.validate_photos, args.validate_every)
    data = TrainingData(args.infrared, args.visible, args.photos, recipe.data, recipe.seed, progress=True)
    torch.manual_seed(recipe.seed)  # of the initial weights; everything else is drawn from generators of its own
    args.output.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(model or GIFNet(), data, recipe, args.output, device, phi, validation, notes)
    trainer.resume()
    trainer.run()
    return 0
