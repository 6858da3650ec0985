"""Every option is declared once: signatures, docstrings and the command line's flags hold to the declarations."""

import argparse
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gifnet
from gifnet import InputError, models
from gifnet.cli.main import build_parser
from gifnet.demo import launch
from gifnet.evaluation import evaluate_folders, evaluate_sets
from gifnet.execution.running import Execution
from gifnet.models import Model
from gifnet.options import declarations as declared
from gifnet.options import keywords, values
from gifnet.options.declarations import Option
from gifnet.pansharpening.rasters import pansharpen_files
from gifnet.prepare.preparation import Preparation

PANSHARPENING = (declared.PAN_PROGRESS, declared.PAN_DTYPE)
FOLDERS = (declared.FOLDER_PROGRESS,)
EVALUATION = (declared.EVALUATION_PROGRESS,)
FRAMES = (declared.VIDEO_STRETCH, declared.VIDEO_ALIGN)
VIDEOS = (*FRAMES, declared.VIDEO_PROGRESS)
EXPORT = (declared.EXPORT_DTYPE,)
VARIANTS = {*PANSHARPENING, *FOLDERS, *EVALUATION, *VIDEOS, *EXPORT}
COMMON = {
    option.name: option
    for option in vars(declared).values()
    if isinstance(option, Option) and option not in {*VARIANTS, declared.MAX_PIXELS, declared.SCHEDULER}
}

# Each function, the options that are other ones there, and its parameters that are no options.
FUNCTIONS: list[tuple[Callable[..., Any], tuple[Option[Any], ...], set[str]]] = [
    (gifnet.load, (), set()),
    (gifnet.fuse, (), {"a", "b", "more"}),
    (gifnet.enhance, (), {"x"}),
    (gifnet.Fuser.fuse, (), {"self", "a", "b", "more"}),
    (gifnet.Fuser.enhance, (), {"self", "x"}),
    (gifnet.fuse_files, (), {"a", "b", "out", "more"}),
    (gifnet.enhance_file, (), {"x", "out"}),
    (gifnet.fuse_folders, FOLDERS, {"a_dir", "b_dir", "out_dir"}),
    (gifnet.enhance_folder, FOLDERS, {"x_dir", "out_dir"}),
    (gifnet.fuse_video, VIDEOS, {"a", "b", "out"}),
    (gifnet.fuse_frames, FRAMES, {"frames_a", "frames_b"}),
    (gifnet.pansharpen, PANSHARPENING, {"ms", "pan"}),
    (pansharpen_files, PANSHARPENING, {"ms", "pan", "out"}),
    (gifnet.align, (), {"a", "b"}),
    (gifnet.export_onnx, EXPORT, {"path"}),
    (evaluate_folders, EVALUATION, {"a_dir", "b_dir", "models"}),
    (evaluate_sets, EVALUATION, {"sets_dir", "models"}),
    (launch, (), set()),
]
PARAMETERS = pytest.mark.parametrize(
    ("function", "variants", "inputs"), FUNCTIONS, ids=[function.__qualname__ for function, *_ in FUNCTIONS]
)


def options_of(
    function: Callable[..., Any], variants: tuple[Option[Any], ...], inputs: set[str]
) -> dict[str, Option[Any]]:
    """The declarations of the function's parameters but for its inputs."""
    known = COMMON | {option.name: option for option in variants}
    return {name: known[name] for name in inspect.signature(function).parameters if name not in inputs}


def arguments_section(function: Callable[..., Any]) -> dict[str, str]:
    """The entries of the docstring's Args, each on one line."""
    text = inspect.getdoc(function) or ""
    section = re.search(r"^Args:\n((?: {4}.*\n|\n)*)", text, re.MULTILINE)
    assert section, f"{function.__qualname__} has no Args"
    entries = re.findall(r"^ {4}(\w+): ((?:.*)(?:\n {8}.*)*)", section[1], re.MULTILINE)
    return {name: " ".join(entry.split()) for name, entry in entries}


@PARAMETERS
def test_signatures_are_explicit_and_as_declared(
    function: Callable[..., Any], variants: tuple[Option[Any], ...], inputs: set[str]
) -> None:
    for name, option in options_of(function, variants, inputs).items():
        parameter = inspect.signature(function).parameters[name]
        assert parameter.kind is not parameter.VAR_KEYWORD
        assert parameter.default == option.default, name
        assert parameter.annotation == (Model if option is declared.MODEL else option.type), name


@PARAMETERS
def test_docstrings_say_of_each_option_what_is_declared(
    function: Callable[..., Any], variants: tuple[Option[Any], ...], inputs: set[str]
) -> None:
    entries = arguments_section(function)
    options = options_of(function, variants, inputs)
    assert list(entries) == [name for name in inspect.signature(function).parameters if name != "self"]
    assert {name: entries[name] for name in options} == {name: option.help for name, option in options.items()}
    for entry in entries.values():
        assert not re.search(r"\bas for\b|\blikewise\b", entry), entry


@pytest.mark.parametrize(
    ("function", "overloads"),
    [
        (gifnet.fuse, models.FuseOptions),
        (gifnet.enhance, models.EnhanceOptions),
        (gifnet.Fuser.fuse, keywords.FuseImagesOptions),
        (gifnet.Fuser.enhance, keywords.EnhanceImageOptions),
    ],
)
def test_overloads_take_what_the_function_takes(function: Callable[..., Any], overloads: type) -> None:
    parameters = inspect.signature(function).parameters.values()
    expected = {
        one.name: one.annotation for one in parameters if one.kind is one.KEYWORD_ONLY and one.name != "return_depth"
    }
    assert typing.get_type_hints(overloads) == expected


def test_every_declaration_is_taken_somewhere() -> None:
    taken = {name for function, variants, inputs in FUNCTIONS for name in options_of(function, variants, inputs)}
    assert taken == set(COMMON)


# --- the command line ---------------------------------------------------------------------------------

# What functions take and the command line has in another form.
OTHER_FORMS = {
    "progress": "--quiet",
    "report": "stderr, where all lines go",
    "out": "--output, a file; arrays are Python's",
    "return_depth": "--depth",
    "executor": "--scheduler",
}
# What the command line has beside options of functions.
OWN_FLAGS = {
    "help": "argparse's",
    "output": "the functions' out or out_dir, an input there",
    "quiet": "progress=False",
    "max_pixels": "PIL.Image.MAX_IMAGE_PIXELS",
    "scheduler": "executor=, a client of Dask's",
}
VERBS: dict[str, tuple[list[Callable[..., Any]], dict[str, str]]] = {
    "fuse": (
        [gifnet.fuse_files, gifnet.fuse_folders],
        {"stack": "more files", "resume": "the default", "verbose": "logging, which is Python's"},
    ),
    "enhance": (
        [gifnet.enhance_file, gifnet.enhance_folder],
        {"resume": "the default", "verbose": "logging, which is Python's"},
    ),
    "video": ([gifnet.fuse_video], {}),
    "align": ([gifnet.align], {"crop": "of Alignment", "json": "Alignment.as_dict"}),
    "pansharpen": ([pansharpen_files], {}),
    "export": ([gifnet.export_onnx], {}),
    "demo": ([launch], {}),
    "eval": (
        [evaluate_folders, evaluate_sets],
        {
            "sets": "which of the functions",
            "models": "--model and --fused fill one list",
            **dict.fromkeys(("markdown", "csv", "json", "plot"), "of Evaluation"),
        },
    ),
}


def flags_of(verb: str) -> dict[str, argparse.Action]:
    parser = build_parser()
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {action.dest: action for action in commands.choices[verb]._actions if action.option_strings}


@pytest.mark.parametrize("verb", VERBS)
def test_flags_are_the_functions_options(verb: str) -> None:
    functions, own = VERBS[verb]
    options: dict[str, Option[Any]] = {}
    for function, variants, inputs in FUNCTIONS:
        if function in functions:
            options |= options_of(function, variants, inputs)
    flags = flags_of(verb)
    assert {name for name in flags if name not in OWN_FLAGS | own} == set(options) - set(OTHER_FORMS)
    for name in flags.keys() & options.keys():
        assert f"--{name.replace('_', '-')}" in flags[name].option_strings
        assert flags[name].default == options[name].default
        if name != "metrics":  # which lists them
            assert (flags[name].help or "").replace("%%", "%").startswith(options[name].summary)


# --- values -------------------------------------------------------------------------------------------

GREY = np.zeros((8, 8), np.uint8)


def test_numbers_of_numpy_are_numbers() -> None:
    checked = Execution.checked(np.int64(64), np.uint32(10**6), None)  # type: ignore[arg-type]
    assert (checked.tile, checked.memory) == (64, 10**6)
    assert {type(checked.tile), type(checked.memory)} == {int}
    assert Execution.checked("auto", np.float32(1e6), None).memory == 10**6  # type: ignore[arg-type]
    prepared = Preparation.checked(np.int8(2), stretch=np.array([1, 99]))  # type: ignore[arg-type]
    assert (prepared.page, prepared.stretch) == (2, values.StretchLimits(1.0, 99.0))
    assert gifnet.enhance(GREY, np.float32(0)).shape == GREY.shape  # type: ignore[arg-type]
    assert gifnet.enhance(GREY, np.int16(0), tile=np.uint8(64)).shape == GREY.shape  # type: ignore[call-overload]


@pytest.mark.parametrize("no_number", [True, np.bool_(True), "1", [1], float("nan")])
@pytest.mark.parametrize(
    "option",
    [
        declared.PAGE, declared.TILE, declared.STRENGTH, declared.MAX_SHIFT, declared.MAX_ROTATION, declared.MAX_SCALE,
        declared.MIN_CONFIDENCE,
    ],
    ids=lambda option: option.name,
)  # fmt: skip
def test_what_is_no_number_is_refused(option: Option[Any], no_number: object) -> None:
    with pytest.raises(InputError, match=rf"^{option.name}: "):
        option.check(no_number)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        (declared.MEMORY, True),
        (declared.MEMORY, np.bool_(True)),
        (declared.MEMORY, 0),
        (declared.NODATA, False),
        (declared.STRETCH, "19"),
        (declared.STRETCH, (True, 99)),
        (declared.STRETCH, (1, 50, 99)),
        (declared.STRETCH, 5),
        (declared.STRETCH, (7000, 9000)),
        (declared.STRETCH, (9000, 7000, "values")),
        (declared.STRETCH, (0, float("inf"), "a")),
        (declared.STRETCH, (1, 99, "c")),
        (declared.COLOUR, "red"),
        (declared.COLOUR, None),
        (declared.ALIGN, "turn"),
        (declared.ALIGN, np.eye(4)),
        (declared.ALIGN, np.zeros((3, 3))),
        (declared.ALIGN, [[1, 2], "x"]),
        (declared.QUALITY, 0),
        (declared.QUALITY, "best"),
        (declared.QUALITY, True),
        (declared.COMPRESSION, 10),
        (declared.COMPRESSION, "zip"),
        (declared.PATTERN, "{name}"),
        (declared.PATTERN, ("{name}_T", "W")),
        (declared.RESIZE, np.array(["a"])),
        (declared.ALIGN, 1),
        (declared.MOTION, True),
        (declared.PROGRESS, "yes"),
        (declared.TILE, np.array([64, 64])),
        (declared.TILE, 63),
        (declared.PAGE, -1),
        (declared.STRENGTH, 1.01),
        (declared.OPSET, 17),
        (declared.OPSET, "18"),
        (declared.OPSET, True),
        (declared.EXPORT_DTYPE, "bfloat16"),
        (declared.EXPORT_DTYPE, torch.float64),
        (declared.EXECUTOR, "tcp://localhost:8786"),
        (declared.EXECUTOR, 4),
        (declared.OFFSET, "1"),
        (declared.OFFSET, float("inf")),
        (declared.PORT, 0),
        (declared.PORT, "7860"),
    ],
)
def test_what_is_no_value_is_refused(option: Option[Any], wrong: object) -> None:
    with pytest.raises(InputError, match=rf"^{option.name}: "):
        option.check(wrong)


@pytest.mark.parametrize(
    "function", [function for function, *_ in FUNCTIONS], ids=[function.__qualname__ for function, *_ in FUNCTIONS]
)
def test_a_misspelt_option_is_refused_by_name(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="tyle"):
        function(GREY, GREY, GREY, tyle=3)


def test_folders_take_no_array() -> None:
    for function in (gifnet.fuse_folders, gifnet.enhance_folder):
        with pytest.raises(TypeError, match="'out'"):
            function("a", "b", "c", out=GREY)  # type: ignore[call-arg]


@pytest.mark.parametrize(("text", "pixels"), [("500M", 500_000_000), ("1.5k", 1500), ("7", 7)])
def test_pixels(text: str, pixels: int) -> None:
    assert values.pixels_of_text(text) == pixels


@pytest.mark.parametrize("text", ["", "many", "-5", "0", "5 MB"])
def test_no_pixels(text: str) -> None:
    with pytest.raises(InputError, match="number of pixels"):
        values.pixels_of_text(text)
