"""Figures that were computed before, so that they need not be computed again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .scenes import digest


class Cache:
    """Values by key, kept in a JSON file; forgotten when the code that computes them has changed."""

    def __init__(self, folder: Path) -> None:
        code = digest(sorted(Path(__file__).parent.glob("*.py")))
        self._path = folder / f"figures-{code}.json"
        self._values: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def get(self, key: str, compute: Callable[[], Any]) -> Any:
        """The value of this key, computed and kept if there is none."""
        if key not in self._values:
            self._values[key] = compute()
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(self._values))
            part.replace(self._path)
        return self._values[key]
