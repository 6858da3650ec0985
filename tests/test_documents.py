"""The documents: every code block runs, every public name is described, every link leads somewhere."""

import html
import inspect
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from document_files import MAKERS, VALUES

import gifnet
from gifnet import networks
from gifnet.cli import main
from gifnet.cli.main import build_parser

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("weights/*.md"), *ROOT.glob("docs/*.md")]
QUICK = {"brackets.md", "index.md", "networks.md", "weights.md"}  # the others run with -m slow
PYTHON, SHELL = {"python"}, {"sh", "bash", "console"}
SHOWN = {"", "cpp", "csv", "dockerfile", "html", "javascript", "js", "json", "text", "toml", "yaml"}  # not run
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\S*)[^\n]*\n(?P<source>.*?)^(?P=indent)```$", re.M | re.S)
NOT_RUN = re.compile(r"<!-- not run: \S.* -->$")
RUN_BY_CI = {"<!-- install -->", "<!-- test -->"}  # of README.md, by .ci/run


@dataclass(frozen=True)
class Block:
    """A fenced code block, and where it stands."""

    document: Path
    line: int  # of its first line of code, from 1
    language: str
    source: str
    marked: bool  # as not run here

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """The commands of a shell block, as words; of a console block, its lines after "$ "."""
        lines = self.source.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        yield from filter(None, (shlex.split(line, comments=True) for line in lines))


def blocks(document: Path) -> list[Block]:
    text = document.read_text()
    found = []
    for match in BLOCK.finditer(text):
        above = text[: match.start()].rstrip().rpartition("\n")[2].strip()
        marked = bool(NOT_RUN.search(above)) or (document.name == "README.md" and above in RUN_BY_CI)
        source = re.sub(rf"^{match['indent']}", "", match["source"], flags=re.M)
        line = text.count("\n", 0, match.start("source")) + 1
        found.append(Block(document, line, match["language"], source, marked))
    return found


def run_python(block: Block, names: dict[str, object]) -> None:
    for name in VALUES.keys() - names.keys():
        if re.search(rf"\b{name}\b", block.source):
            names[name] = VALUES[name]()
    lines = "\n" * (block.line - 1)  # so that a traceback names the document's line
    exec(compile(lines + block.source, str(block), "exec"), names)


def run_shell(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in block.commands():
        if words[0] == "gifnet":
            assert main(words[1:]) == 0, f"{block}: {shlex.join(words)}"
        elif words[:2] == ["pip", "install"]:
            extras = {extra for word in words[2:] for extra in re.findall(r"[\w-]+", word.partition("[")[2])}
            assert extras <= set(metadata("gifnet").get_all("Provides-Extra") or ()), f"{block}: {shlex.join(words)}"
        elif words[0] == "python" and words[1].startswith("examples/"):
            monkeypatch.setattr("sys.argv", words[1:])
            runpy.run_path(str(ROOT / words[1]), run_name="__main__")
        else:
            pytest.fail(f"{block}: the tests can't run {words[0]!r}; write <!-- not run: why --> above the block")


@pytest.fixture
def networks_as_before() -> Iterator[None]:
    """A document may register a network: it is taken out again."""
    before = set(networks.registered())
    yield
    for name in set(networks.registered()) - before:
        networks.unregister(name)


@pytest.mark.usefixtures("networks_as_before")
@pytest.mark.parametrize(
    "document",
    [pytest.param(path, marks=[] if path.name in QUICK else pytest.mark.slow) for path in DOCUMENTS],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_code_blocks_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in one folder, with the names of the blocks before, as a reader would."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(document):
        if block.marked or block.language not in PYTHON | SHELL:
            continue
        for name in MAKERS:
            path = tmp_path / name
            if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", block.source) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                MAKERS[name](path)
        if block.language in PYTHON:
            run_python(block, names)
        else:
            run_shell(block, monkeypatch)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_say_what_they_are(document: Path) -> None:
    """No block is passed over because nobody thought of its language; commands that aren't run have the right flags."""
    for block in blocks(document):
        if block.language in SHELL and block.marked:
            for words in block.commands():
                if words[0] == "gifnet":
                    build_parser().parse_args(words[1:])  # exits where a flag is none
    known = PYTHON | SHELL | SHOWN
    assert [f"{block}: {block.language}" for block in blocks(document) if block.language not in known] == []
    assert document.read_text().count("```") % 2 == 0


def test_the_api_page_has_every_public_name() -> None:
    listed = re.findall(r"^::: gifnet\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert sorted(listed) == sorted(gifnet.__all__)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    """In a checkout; docs/build.py holds those of the site."""
    targets = re.findall(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)", BLOCK.sub("", document.read_text()))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_every_page_stands_in_the_navigation() -> None:
    named = set(re.findall(r'"([\w/]+\.md)"', (ROOT / "docs" / "zensical.toml").read_text()))
    there = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert named - {"card.md", "changes.md", "contributing.md"} == there


def test_the_gallery_shows_its_pictures() -> None:
    shown = set(re.findall(r"\(gallery/([\w.]+)\)", (ROOT / "docs" / "gallery.md").read_text()))
    there = {path.name: path.stat().st_size for path in (ROOT / "docs" / "gallery").iterdir()}
    assert shown == there.keys()
    assert sum(there.values()) <= 600_000


@pytest.mark.slow
def test_the_gallery_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.setattr("sys.argv", ["make_gallery.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "examples" / "make_gallery.py"), run_name="__main__")
    there = {path.name for path in (ROOT / "docs" / "gallery").iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == there


@pytest.mark.slow
def test_the_site_shows_the_api(tmp_path: Path) -> None:
    """Signatures and docstrings of every public name; and no page of the site loads anything from elsewhere."""
    pytest.importorskip("zensical", reason="needs the extra [docs]")
    command = [sys.executable, str(ROOT / "docs" / "build.py"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = html.unescape(re.sub(r"<[^>]+>", "", (tmp_path / "site" / "api.html").read_text()))
    page = " ".join(page.split())
    for name in gifnet.__all__:
        assert f"gifnet.{name}" in page
        value = getattr(gifnet, name)
        if callable(value):
            first = (inspect.getdoc(value) or "").partition("\n\n")[0]
            assert first
            assert " ".join(first.replace("``", "").split()) in page.replace("`", ""), name


def test_the_start_page_names_every_extra() -> None:
    rows = re.findall(r"^\| (`.+`) \|", (ROOT / "docs" / "index.md").read_text(), re.M)
    named = {extra for row in rows for extra in re.findall(r"`(\w+)`", row)}
    assert named == set(metadata("gifnet").get_all("Provides-Extra") or ()) - {"docs", "lint", "test"}
