"""Builds the documentation's site from ``docs/`` and the documents that lie elsewhere, without the network.

    pip install -c constraints.txt -e ".[docs]"
    python docs/build.py            # into site/; open site/index.html
    python docs/build.py OUT_DIR

Links between documents are those that work in a checkout, such as ``../weights/README.md``. They are turned into links
between pages; one to a file that is no page is an error, as all of Zensical's warnings are.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "weights/README.md": "card.md",
    "weights/gifnet-fast.md": "card-fast.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
COPIED = {".css", ".jpg", ".js", ".md", ".webp"}
SHIM = "https://unpkg.com/iframe-worker/shim"  # what Zensical's pages load for the search where no server is
FOREIGN = re.compile(r"""<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]+)""")
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")


def pages() -> dict[str, str]:
    """Every file of the site: its path in the checkout, and on the site."""
    files = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*")) if path.suffix in COPIED)
    return {path: path.removeprefix("docs/") for path in files} | ELSEWHERE


def linked(text: str, path: str, names: dict[str, str]) -> str:
    """A document's text, its links to other documents as those of the site.

    Raises:
        SystemExit: a link to what is not on the site.
    """

    def replaced(match: re.Match[str]) -> str:
        start, target, anchor, end = match.groups()
        target = os.path.normpath(Path(path).parent / target)
        if target not in names:
            raise SystemExit(f"{path}: a link to {target}, which is not part of the site")
        relative = os.path.relpath(names[target], Path(names[path]).parent)
        return f"{start}{relative}{anchor or ''}{end}"

    return LINK.sub(replaced, text)


def gather(folder: Path) -> None:
    """Copy the site's sources into ``folder``: ``zensical.toml`` and ``docs``."""
    names = pages()
    for path, name in names.items():
        copy = folder / "docs" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if copy.suffix == ".md":
            copy.write_text(linked((ROOT / path).read_text(), path, names))
        else:
            shutil.copy(ROOT / path, copy)
    shutil.copy(ROOT / "docs" / "zensical.toml", folder)


def place(site: Path, out: Path) -> None:
    """Copy the built site to ``out``; its pages load nothing from elsewhere.

    Raises:
        SystemExit: a script, style or picture from elsewhere.
    """
    if out == ROOT / "site":
        shutil.rmtree(out, ignore_errors=True)
    for page in site.rglob("*.html"):
        up = "../" * len(page.relative_to(site).parent.parts)
        text = page.read_text().replace(SHIM, f"{up}iframe-worker.js")
        if foreign := FOREIGN.search(text):
            raise SystemExit(f"{page.name} loads {foreign[1]} from elsewhere")
        page.write_text(text)
    shutil.copytree(site, out)
    print(f"{sum(1 for _ in out.rglob('*.html'))} pages in {out}")


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        sys.exit(__doc__)
    out = Path(arguments[0] if arguments else ROOT / "site").resolve()
    if out != ROOT / "site" and out.exists():
        sys.exit(f"{out} exists; give a folder that doesn't")
    with tempfile.TemporaryDirectory() as name:
        gather(Path(name))
        command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # docstrings are those of this checkout
        status = subprocess.run(command, cwd=name, env=environment, check=False).returncode
        if status == 0:
            place(Path(name) / "site", out)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
