"""Imports go down only: the package's modules in layers, without circles, and without imports hidden in functions."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import commands
import pytest
from conftest import ROOT

# From the ground up. A module belongs to the first part of its name after "gifnet"; the package itself is on top.
LAYERS = (
    "version",
    "errors",
    "extras",
    "options",
    "regions",
    "files",
    "images",
    "execution",
    "networks",
    "checkpoints",
    "prepare",
    "stack",
    "results",
    "chunked",
    "fuser",
    "models",
    "api",
    "export",
    "batch",
    "video",
    "pansharpening",
    "metrics",
    "evaluation",
    "training",
    "demo",
    "cli",
    "__main__",
    "",
)


@dataclass(frozen=True)
class Import:
    """One module of the package importing another; names without "gifnet."."""

    importer: str
    imported: str
    line: int
    inside: bool  # a function

    def __str__(self) -> str:
        return f"{self.importer or '__init__'} (line {self.line}) imports {self.imported or '__init__'}"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules(package: Path) -> dict[str, Path]:
    """Every module's name, within the package, and file."""
    files = {path.relative_to(package).with_suffix(""): path for path in package.rglob("*.py")}
    return {".".join(name.parts).removesuffix("__init__").removesuffix("."): path for name, path in files.items()}


@cache
def imports(package: Path) -> list[Import]:
    """All imports of modules of the package by modules of the package, type checking's too."""
    known = modules(package)
    return [found for name, path in known.items() for found in imports_of(name, path, package.name, known)]


def imports_of(name: str, path: Path, package: str, known: dict[str, Path]) -> Iterator[Import]:
    home = [package, *name.split(".")] if name else [package]
    home = home if path.name == "__init__.py" else home[:-1]
    tree = parsed(path)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = {id(inner) for function in functions for inner in ast.walk(function)}
    for node in ast.walk(tree):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = home[: len(home) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            targets = [f"{module}.{alias.name}" for alias in node.names]
        for target in targets:
            if target.split(".")[0] != package:
                continue
            inner = target.partition(".")[2]
            while inner and inner not in known:  # a name in a module
                inner = inner.rpartition(".")[0]
            yield Import(name, inner, getattr(node, "lineno", 0), id(node) in inside)


def layer(module: str) -> int:
    return LAYERS.index(module.split(".")[0])


def upward(found: list[Import]) -> list[str]:
    """Imports of a higher layer."""
    return [str(one) for one in found if layer(one.imported) > layer(one.importer)]


def hidden(found: list[Import]) -> list[str]:
    """Imports in functions."""
    return [str(one) for one in found if one.inside]


def circles(found: list[Import]) -> list[str]:
    """Modules that import each other, directly or through others."""
    remaining: dict[str, set[str]] = {}
    for one in found:
        remaining.setdefault(one.importer, set()).add(one.imported)
        remaining.setdefault(one.imported, set())
    # What imports nothing that is left is in no circle, and what nothing left imports is in none either.
    while True:
        imported = {name for targets in remaining.values() for name in targets}
        free = {name for name, targets in remaining.items() if not targets or name not in imported}
        if not free:
            return sorted(remaining)
        remaining = {name: targets - free for name, targets in remaining.items() if name not in free}


def importers_of(library: str, package: Path) -> list[str]:
    """The modules of the package that import a library from elsewhere."""
    found = []
    for name, path in modules(package).items():
        for node in ast.walk(parsed(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found += [name for imported in names if imported.split(".")[0] == library]
    return found


PACKAGE = ROOT / "gifnet"
ELSEWHERE = {"gifnet.weights", "gifnet.demo.pictures"}  # packages of data, whose folders lie beside the package


def test_every_module_has_a_layer() -> None:
    assert {module.split(".")[0] for module in modules(PACKAGE)} == set(LAYERS)


def test_imports_go_down_only() -> None:
    assert upward(imports(PACKAGE)) == []


def test_no_module_imports_itself_through_others() -> None:
    assert circles(imports(PACKAGE)) == []


def test_no_import_is_hidden_in_a_function() -> None:
    assert hidden(imports(PACKAGE)) == []


def test_only_the_command_line_knows_argparse() -> None:
    found = importers_of("argparse", PACKAGE)
    assert found
    assert [name for name in found if name.split(".")[0] != "cli"] == []


def test_reading_an_image_imports_no_network() -> None:
    """In another process, for here everything has been imported."""
    code = "import sys, gifnet.images.reading; print(*(name for name in sys.modules if name.startswith('gifnet')))"
    loaded = commands.run_code(code).stdout.split()
    assert "gifnet.images.picture" in loaded
    assert [name for name in loaded if name.startswith(("gifnet.networks", "gifnet.execution"))] == []


@pytest.mark.parametrize("network", ["fast", "gifnet", "tita"])
def test_a_network_is_known_to_its_own_folders_and_the_registry_only(network: str) -> None:
    own = (f"networks.{network}", f"training.objectives.{network}")
    found = [one for one in imports(PACKAGE) if f"{one.imported}.".startswith(f"networks.{network}.")]
    assert found
    assert {one.importer for one in found if not one.importer.startswith(own)} == {"networks"}


def test_every_package_is_shipped() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^packages = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert listed
    folders = {path.parent.relative_to(ROOT) for path in PACKAGE.rglob("__init__.py")}
    assert set(re.findall(r'"(.*?)"', listed[1])) == {".".join(folder.parts) for folder in folders} | ELSEWHERE


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A package with one of each fault, to see that they are found."""
    package = tmp_path / "wrong"
    for name, text in {
        "__init__": "from .api import load\n",
        "errors": "",
        "regions": "from wrong.errors import InputError\nimport argparse\n",
        "files/__init__": "",
        "files/reading": "from ..images.picture import Picture\n",
        "images/__init__": "",
        "images/picture": "import numpy\nfrom . import lazy\n",
        "images/lazy": "from .. import regions\n\ndef read() -> None:\n    from .picture import Picture\n",
        "api": "from .errors import InputError\n",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text(text)
    return package


def test_faults_are_found(wrong: Path) -> None:
    found = imports(wrong)
    assert upward(found) == ["files.reading (line 1) imports images.picture"]
    assert hidden(found) == ["images.lazy (line 4) imports images.picture"]
    assert circles(found) == ["images.lazy", "images.picture"]
    assert importers_of("argparse", wrong) == ["regions"]
    assert Import("images.lazy", "regions", 1, False) in found
