"""Pairs listed in a CSV file."""

import csv
from pathlib import Path

from ..errors import InputError
from ..files.formats import WRITABLE
from .pairing import FolderFailure, Match, Pairing, output_of

HEADINGS = (["a", "b"], ["a", "b", "out"])


def pairs_listed(a_dir: Path, b_dir: Path, path: Path, suffix: str | None = None) -> Pairing:
    """The pairs of a CSV file: a file of ``a_dir``, one of ``b_dir`` and, if wished, the result's name.

    Without a name, the result is called as the first file is. Raises InputError for a file that can't be read, lines
    that are no pair, and names of results outside the folder for them.
    """
    matches: dict[Path, Match] = {}
    missing, ambiguous = [], []
    for line, row in _rows(path):
        files = a_dir / row[0], b_dir / row[1]
        name, output = _output(path, line, row, suffix)
        absent = next((file for file in files if not file.is_file()), None)
        if absent is not None:
            missing.append(FolderFailure(name, files, f"{path}, line {line}: {absent} is not there"))
        elif output in matches:
            reason = f"{path}, line {line}: {output} is the result of another line too; give one of them another name"
            ambiguous.append(FolderFailure(name, files, reason))
        else:
            matches[output] = Match(name, files, output)
    if not matches:
        problem = missing[0].reason if missing else f"{path}: lists no pair; give lines such as ir_1.png,visible_1.png"
        raise InputError(problem)
    return Pairing(tuple(matches.values()), tuple(missing), tuple(ambiguous))


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The lines that name files, with their numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); give a CSV file of pairs") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text in UTF-8; give a CSV file of pairs") from error
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else "\t" if "\t" in first and "," not in first else ","
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    if rows and [cell.lower() for cell in rows[0][1]] in HEADINGS:
        del rows[0]
    for line, row in rows:
        if len(row) not in (2, 3) or not all(row[:2]):
            raise InputError(
                f"{path}, line {line}: {len(row)} entries; give two files, and the result's name if wished"
            )
    return rows


def _output(path: Path, line: int, row: list[str], suffix: str | None) -> tuple[str, Path]:
    """The result's name without suffix, and its path."""
    given = Path(row[2]) if len(row) == 3 and row[2] else None
    name = Path(row[0]).with_suffix("") if given is None else given
    if name.is_absolute() or ".." in name.parts:
        where = "give a third entry, the result's name" if given is None else "give a name within the results' folder"
        raise InputError(f"{path}, line {line}: {name} leaves the folder of results; {where}")
    if given is not None and given.suffix.lower() in WRITABLE:
        name = given.with_suffix("")
        return name.as_posix(), name.with_name(name.name + (suffix or given.suffix))
    return name.as_posix(), output_of(name, Path(row[0]), suffix)
