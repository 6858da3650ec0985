"""Model cards: the README.md of a folder or repository of weights, with the metadata that the Hub reads.

The metadata are a block of YAML at the start; ``huggingface_hub`` writes and reads it. Measured values stand there as
its ``model-index``.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from textwrap import indent
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from ..errors import InputError, escaped
from .hub import bundled_card, is_bundled

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

LIBRARY, TASK = "gifnet", "image-to-image"  # the Hub's names of what loads the weights, and of the task
_TASK_NAME = "Image fusion"
_TAGS = ("image-fusion", "safetensors")
_LICENCE_OF_BUNDLED = "apache-2.0"
_TRAINING = "validation"  # the note in which training puts what it measured
_LINK_ABOVE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")  # in the bundled card, to other documents of the project

Results = Mapping[str, Mapping[str, float]]  # by data set and metric


@dataclass(frozen=True)
class CardOptions:
    """What a card says besides what follows from the weights; the Hub's own names."""

    license: str | None = None
    tags: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    base_model: tuple[str, ...] = ()
    description: str = ""
    results: Results = field(default_factory=dict)

    @classmethod
    def checked(cls, given: Mapping[str, Any] | None) -> "CardOptions":
        """Of ``model_card_kwargs``. Raises InputError for unknown names and values of the wrong kind."""
        given = dict(given or {})
        known = [each.name for each in fields(cls)]
        for name in given.keys() - set(known):
            raise InputError(f"model_card_kwargs: {name!r} is no part of a card; it takes {', '.join(known)}")
        for name in ("license", "description"):
            if not isinstance(given.get(name, ""), str):
                raise InputError(f"model_card_kwargs: {name} must be a text, not {given[name]!r}")
        for name in ("tags", "datasets", "language", "base_model"):
            if name in given:
                given[name] = _texts(name, given[name])
        if "results" in given:
            given["results"] = _results(given["results"])
        return cls(**given)


def model_card(
    name: str,
    network: nn.Module,
    description: Mapping[str, Any],
    notes: Mapping[str, str],
    sha256: str,
    options: CardOptions,
) -> str:
    """The card, in Markdown, of weights that make a file of this hash.

    ``name`` is that of their repository or folder; ``description`` is what ``format.describe`` says of the network. The
    bundled weights have a card of their own, which is taken; no licence is claimed for others, unless ``options`` do.
    """
    from huggingface_hub import ModelCard, ModelCardData  # slow to import

    card = bundled_card(sha256)
    if card is not None:
        own = ModelCard(card)
        text = _LINK_ABOVE.sub(r"\1", own.text).strip()
        data = cast(ModelCardData, own.data)
    else:
        data = ModelCardData(license=_LICENCE_OF_BUNDLED if is_bundled(sha256) else None)
        text = _text(name, network, description, notes, sha256)
    _describe(data, name, description, {**_measured(notes), **options.results}, options)
    parts = [options.description.strip(), text, _use(name)]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(filter(None, parts)) + "\n"


def _describe(
    data: "ModelCardData", name: str, description: Mapping[str, Any], results: Results, options: CardOptions
) -> None:
    """Fill in the metadata, beside what is there."""
    data.library_name, data.pipeline_tag = LIBRARY, TASK
    data.license = options.license or data.license
    tags = [*_TAGS, str(description["architecture"]), *(data.tags or ()), *options.tags]
    data.tags = list(dict.fromkeys(tags))
    for key in ("datasets", "language", "base_model"):
        values = getattr(options, key)
        if values:
            setattr(data, key, list(values))
    added = _eval_results(results)
    if added:
        data.model_name = data.model_name or name
        data.eval_results = [*(data.eval_results or ()), *added]


def _eval_results(results: Results) -> "list[EvalResult]":
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=TASK,
            task_name=_TASK_NAME,
            dataset_type=re.sub(r"[^a-z0-9]+", "-", data_set.lower()).strip("-") or "unnamed",
            dataset_name=data_set,
            metric_type=metric.lower(),
            metric_name=metric,
            metric_value=float(value),
        )
        for data_set, values in results.items()
        for metric, value in values.items()
    ]


def _text(name: str, network: nn.Module, description: Mapping[str, Any], notes: Mapping[str, str], sha256: str) -> str:
    """The body: what it is, and what is known of it."""
    parameters = sum(value.numel() for value in network.parameters())
    rows = {"parameters": f"{parameters:,}", "SHA-256 of `model.safetensors`": f"`{sha256}`", **description}
    parts = [
        f"# {escaped(name)}",
        f"Weights of the network `{description['architecture']}` of gifnet, a library for image fusion: two or more "
        "aligned images of one scene become one that shows what each of them does.",
        "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]),
    ]
    if notes:  # indented, nothing in them is Markdown
        text = json.dumps(dict(notes), indent=2, sort_keys=True, ensure_ascii=True)
        parts += ["What the weights say of their making:", indent(text, "    ")]
    return "\n\n".join(parts)


def _use(name: str) -> str:
    lines = (
        "## Use",
        "",
        "```python",
        "import gifnet",
        "",
        f"fuser = gifnet.Fuser.from_pretrained({escaped(name)!r})",
        'fused = fuser.fuse("infrared.png", "visible.png")',
        "```",
    )
    return "\n".join(lines)


def _measured(notes: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """What training measured of these weights, if they say so."""
    try:
        values = json.loads(notes.get(_TRAINING, "{}"))
        return {"validation of the training run": _numbers(values)} if values else {}
    except (ValueError, RecursionError):
        return {}


def _numbers(values: Any) -> dict[str, float]:
    """Names and finite numbers; ValueError for anything else."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{values!r} is no mapping of metrics to numbers")
    for name, value in values.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not isinstance(name, str) or not number or not math.isfinite(value):
            raise ValueError(f"{name!r}: {value!r} is no finite number")
    return {name: float(value) for name, value in values.items()}


def _results(given: Any) -> dict[str, dict[str, float]]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InputError('model_card_kwargs: results must be numbers by data set and metric: {"MSRS": {"VIF": 1.08}}')
    try:
        return {name: _numbers(values) for name, values in given.items()}
    except ValueError as error:
        raise InputError(f'model_card_kwargs: results: {error}; give {{"MSRS": {{"VIF": 1.08}}}}') from error


def _texts(name: str, given: Any) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"model_card_kwargs: {name} must be a text or a list of texts, not {given!r}")
    return tuple(texts)
