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


def tile_sizes(tile: Tile, largest: int, grid: int = 1) -> list[int]:
    """The sizes that ``tile`` lets a plan choose from, largest first, all on a grid of so many pixels.

    ``"auto"``: from ``largest`` by halves to ``SMALLEST_TILE``; a number: that one.
    """
    sizes = [tile] if isinstance(tile, int) else [size for size in (largest >> n for n in range(16)) if size]
    return [size // grid * grid for size in sizes if size >= SMALLEST_TILE]


def check_budget(plan: Plan, height: int, width: int, budget: int) -> Plan:
    """``plan``, the least that was found, if it stays within ``budget`` bytes. Raises InputError."""
    if plan.bytes <= budget:
        return plan
    raise InputError(
        f"memory: {width}×{height} pixels take {show_bytes(plan.bytes)} beside the images themselves in tiles of "
        f"{plan.tile}, but only {show_bytes(budget)} may be used; give more memory"
        + (" or smaller tiles" if plan.tile and plan.tile > SMALLEST_TILE else "")
    )
