"""Choosing a plan: what tile sizes there are, and what is said where even the least plan takes too much memory."""

from ..errors import InputError
from ..options.values import SMALLEST_TILE, Tile
from .memory import show_bytes
from .plan import Plan


class TooLittleMemory(InputError):
    """Even the least plan takes more than may be used."""


def tile_sizes(tile: Tile, largest: int, grid: int = 1) -> list[int]:
    """The sizes that ``tile`` lets a plan choose from, largest first, all on a grid of so many pixels.

    ``"auto"``: from ``largest`` by halves to ``SMALLEST_TILE``; a number: that one.
    """
    sizes = [tile] if isinstance(tile, int) else [size for size in (largest >> n for n in range(16)) if size]
    return [size // grid * grid for size in sizes if size >= SMALLEST_TILE]


def check_budget(plan: Plan, height: int, width: int, budget: int) -> Plan:
    """``plan``, the least that was found, if it stays within ``budget`` bytes. Raises TooLittleMemory."""
    if plan.bytes <= budget:
        return plan
    raise TooLittleMemory(
        f"memory: {width}×{height} pixels take {show_bytes(plan.bytes)} beside the images themselves in tiles of "
        f"{plan.tile}, but only {show_bytes(budget)} may be used; give more memory"
        + (" or smaller tiles" if plan.tile and plan.tile > SMALLEST_TILE else "")
    )
