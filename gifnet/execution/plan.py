"""How one image is run in the memory there is: what a network decides before it runs."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import InputError
from .memory import show_bytes

SMALLEST_TILE = 64
Tile: TypeAlias = Literal["auto"] | int | None


@dataclass(frozen=True)
class Plan:
    """How one image is run."""

    tile: int | None  # pixels a side; None: in one piece
    keep: tuple[str, ...]  # results of the network's stages, by its names for them
    bytes: int  # about how much memory that takes beside the images themselves

    def __str__(self) -> str:
        tile = "one piece" if self.tile is None else f"tiles of {self.tile} pixels"
        kept = f"keeping {', '.join(self.keep)}" if self.keep else "keeping nothing, computing all again"
        return f"{tile}, {kept}, about {show_bytes(self.bytes)}"


def check_tile(tile: object) -> Tile:
    """``tile``, if it is ``"auto"``, None or a number of pixels from SMALLEST_TILE. Raises InputError."""
    if tile is None or tile == "auto":
        return tile
    if isinstance(tile, int) and not isinstance(tile, bool) and tile >= SMALLEST_TILE:
        return tile
    raise InputError(f"tile: {tile!r}; give 'auto', None (one piece) or {SMALLEST_TILE} or more pixels a side")
