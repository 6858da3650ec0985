"""A training run's recipe, from a JSON file and single settings."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError
from .data import DataConfig

AnyRecipe = TypeVar("AnyRecipe", bound="Recipe")


@dataclass(frozen=True)
class Recipe:
    """One run's recipe; saved with its checkpoints and written into the weights' metadata.

    A network's objective adds its own settings in a subclass; all have defaults.
    """

    iterations: int = 5000
    rate: float = 1e-3  # the learning rate at its peak
    final_rate: float = 0.05  # share of it that the cosine ends at
    warmup: int = 100  # iterations
    ema: float = 0.999  # decay of the averaged weights
    clip: float = 1.0  # largest gradient norm
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)

    def rate_at(self, iteration: int) -> float:
        """The learning rate: a linear rise over the warm-up, then half a cosine."""
        if iteration < self.warmup:
            return self.rate * (iteration + 1) / self.warmup
        done = (iteration - self.warmup) / max(1, self.iterations - self.warmup)
        return self.rate * (self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * done)))


def read_recipe(kind: type[AnyRecipe], path: Path | None, settings: Iterable[str] = ()) -> AnyRecipe:
    """The recipe in a JSON file (None: the default one), changed by settings such as ``data.crop=96`` or ``main=mm``.

    A recipe's JSON has the fields of its ``kind``, nested; fields left out keep their defaults. Raises InputError for a
    file or setting that is no such thing, naming the fields there are.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: not a recipe in JSON ({error})") from error
        if not isinstance(values, dict):
            raise InputError(f"{path}: not a recipe: it must be an object of settings, not {values!r}")
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
    return build_recipe(kind, values)


def build_recipe(kind: type[AnyRecipe], values: Any) -> AnyRecipe:
    """The recipe of these values, nested as in its JSON. Raises InputError, as ``read_recipe`` does."""
    recipe: AnyRecipe = _build(kind(), values, "")
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
