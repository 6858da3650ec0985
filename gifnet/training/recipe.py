"""A training run's recipe, from a JSON file and single settings."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..networks.gifnet.config import BRANCHES
from .data import DataConfig
from .defocus import DefocusConfig
from .degradation import DegradationConfig
from .losses import LossConfig

DECODER_LAYERS = 4  # convolutions of G-Dec after its two 1x1 ones


@dataclass(frozen=True)
class Recipe:
    """One run's recipe; saved with its checkpoints and written into the weights' metadata."""

    iterations: int = 5000  # one MM and one DP step each
    rate: float = 1e-3  # Adam's learning rate at its peak
    final_rate: float = 0.05  # share of it that the cosine ends at
    warmup: int = 100  # iterations
    ema: float = 0.999  # decay of the averaged weights
    clip: float = 1.0  # largest gradient norm
    mixed_share: float = 0.0  # of the MM step's pairs that are near- and far-focused ones, so that MM can do those too
    main: str = "keep"  # branch at inference: "mm", "dp", or "keep", the network's own (a new one's is "dp")
    # "fusion": encoder, main branch and G-Dec by ``fusion_step``, in place of the MM and the DP step; "decoder": G-Dec.
    train_only: str = "all"
    fresh_decoder_layers: int = 0  # so many of G-Dec's last convolutions start anew; there are four
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    defocus: DefocusConfig = field(default_factory=DefocusConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    losses: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        for name, choices in (("main", ("keep", *BRANCHES)), ("train_only", ("all", "fusion", "decoder"))):
            if getattr(self, name) not in choices:
                raise InputError(f"recipe: {name} is {getattr(self, name)!r}; give one of {', '.join(choices)}")
        if self.fresh_decoder_layers > DECODER_LAYERS:
            raise InputError(f"recipe: fresh_decoder_layers must be 0 to {DECODER_LAYERS}")

    def rate_at(self, iteration: int) -> float:
        """The learning rate: a linear rise over the warm-up, then half a cosine."""
        if iteration < self.warmup:
            return self.rate * (iteration + 1) / self.warmup
        done = (iteration - self.warmup) / max(1, self.iterations - self.warmup)
        return self.rate * (self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * done)))


def read_recipe(path: Path | None, settings: Iterable[str] = ()) -> Recipe:
    """The recipe in a JSON file (None: the default one), changed by settings such as ``data.crop=96`` or ``main=mm``.

    A recipe's JSON has the fields of ``Recipe``, nested; fields left out keep their defaults. Raises InputError for a
    file or setting that is no such thing, naming the fields there are.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a recipe in JSON ({error})") from error
    for setting in settings:
        name, equals, text = setting.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = text  # a word without quotes, which a shell takes off
        if not equals:
            raise InputError(
                f"{setting!r}: give a setting as name=value, such as data.crop=96, defocus.blur=[1,4] or main=mm"
            )
        *groups, last = name.split(".")
        target = values
        for group in groups:
            target = target.setdefault(group, {})
            if not isinstance(target, dict):
                raise InputError(f"{setting!r}: {group} has no settings of its own")
        target[last] = value
    return build_recipe(values)


def build_recipe(values: Any) -> Recipe:
    """The recipe of these values, nested as in its JSON. Raises InputError, as ``read_recipe`` does."""
    recipe: Recipe = _build(Recipe(), values, "")
    return recipe


def _build(default: Any, values: Any, prefix: str) -> Any:
    """A dataclass of ``default``'s type with ``values`` in place of its own, types checked against the defaults."""
    if not isinstance(values, Mapping):
        raise InputError(f"recipe: {prefix or 'the whole'} must be an object of settings, not {values!r}")
    known = {item.name: getattr(default, item.name) for item in fields(default)}
    for name, value in values.items():
        if name not in known:
            raise InputError(f"recipe: unknown setting {prefix}{name}; there are {', '.join(known)}")
        known[name] = _checked(known[name], value, prefix + name)
    return type(default)(**known)


def _checked(own: Any, value: Any, name: str) -> Any:
    if is_dataclass(own):
        return _build(own, value, f"{name}.")
    if isinstance(own, tuple):
        if not isinstance(value, list) or len(value) != len(own):
            raise InputError(f"recipe: {name} must be a list of {len(own)} numbers, not {value!r}")
        return tuple(_checked(mine, given, name) for mine, given in zip(own, value, strict=True))
    if isinstance(own, str):
        if not isinstance(value, str):
            raise InputError(f"recipe: {name} must be a word, such as {own}, not {value!r}")
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    if not number or (isinstance(own, int) and not isinstance(value, int)):
        kind = "a whole number" if isinstance(own, int) else "a number"
        raise InputError(f"recipe: {name} must be {kind}, 0 or more, not {value!r}")
    return type(own)(value)
