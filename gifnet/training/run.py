"""A whole training run, from folders of images to a folder of weights."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from ..checkpoints.format import describe, read_weights
from ..errors import InputError
from ..execution.device import choose_device
from ..files.lock import locked
from ..networks.registry import registered
from . import check_installed
from .objective import Sources, objective_of
from .recipe import read_recipe
from .trainer import Trainer
from .validation import Validation


@dataclass(frozen=True)
class HeldOut:
    """Images to validate on, never trained on: see ``Validation``."""

    pairs: tuple[Path, Path] | None = None
    photos: Path | None = None
    every: int = 500  # iterations


def train(
    sources: Sources,
    folder: Path,
    network: str = "gifnet",
    recipe_file: Path | None = None,
    settings: Iterable[str] = (),
    init: Path | None = None,
    held_out: HeldOut | None = None,
    device: str = "auto",
    progress: bool = True,
) -> signal.Signals | None:
    """Train a network, or go on training it where ``folder`` holds a run.

    Args:
        sources: what to learn from.
        folder: the run's, made if need be. One process at a time trains in it.
        network: its name in the registry.
        recipe_file: settings in JSON; None: the defaults.
        settings: single ones, such as ``"data.crop=96"``, which win over the file's.
        init: weights to start from, of this network; None: random ones.
        held_out: what to validate on; None, or nothing: no validation.
        device: as for ``gifnet.load``.
        progress: show a progress bar on stderr.

    Returns:
        The signal that left the run unfinished, None where it is finished; see ``Trainer.run``.

    Raises:
        InputError, CheckpointError: naming the folder, file or setting that is wrong.
    """
    check_installed()
    networks = registered()
    if network not in networks:
        raise InputError(f"network: {network!r}; give one of {', '.join(networks)}")
    architecture = networks[network]
    objective_type = objective_of(architecture)
    recipe = read_recipe(objective_type.recipe_type, recipe_file, settings)
    model, notes = None, {}
    if init is not None:
        model, sha256, _ = read_weights(init)
        notes = {"initial_weights_sha256": sha256}
        if not isinstance(model, architecture.network):
            raise InputError(f"{init}: weights of {describe(model)['architecture']!r}, not of {network!r}")
    chosen = choose_device(device)
    with _run_folder(folder):
        validation = None
        if held_out and (held_out.pairs or held_out.photos):
            validation = Validation(held_out.pairs, held_out.photos, held_out.every)
        objective = objective_type.from_sources(recipe, sources, chosen)
        torch.manual_seed(recipe.seed)  # of initial weights; everything else is drawn from generators of its own
        if model is None:
            model = architecture.network(architecture.config())
        trainer = Trainer(model, objective, folder, validation, notes)
        trainer.resume()
        if not trainer.finished:
            objective.prepare(folder, progress)
        return trainer.run(progress)


@contextmanager
def _run_folder(folder: Path) -> Iterator[None]:
    """The folder, made if need be and held; what was made is removed where nothing was written into it."""
    try:
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: can't be made a folder for the run ({error.strerror})") from error
    try:
        with locked(folder / "training.lock", "trains"):
            yield
    finally:
        if new:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
