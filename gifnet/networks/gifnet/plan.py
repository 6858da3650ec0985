"""How an image is run in the memory there is: the tiles' size, and which stage results are kept for the whole image.

What is not kept is computed again where it is needed, with wider halos. Against everything kept, the arithmetic is
1.05 times as much without F, 1.36 times with the cross block's result alone, 1.9 times with nothing.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from ...errors import InputError
from .folded import BLOCK_HALO, DECODE_HALO

TILE = 512  # pixels a side, where memory allows
SMALLEST_TILE = 64
# What may be kept, fastest first.
SHARED, EMBEDDED, MIXED = "shared", "embedded", "mixed"
LADDER = ((SHARED, EMBEDDED, MIXED), (EMBEDDED, MIXED), (MIXED,), ())
MAPS = {SHARED: 1, EMBEDDED: 2, MIXED: 1}  # of as many channels as F
FIXED_BYTES = 160 << 20  # of a cache-sized part of a tile in work, and of the libraries; measured


@dataclass(frozen=True)
class Plan:
    """How one image is run."""

    tile: int | None  # pixels a side; None: in one piece
    keep: tuple[str, ...]  # of SHARED, EMBEDDED and MIXED
    bytes: int  # about how much memory that takes beside the images themselves

    def __str__(self) -> str:
        tile = "one piece" if self.tile is None else f"tiles of {self.tile} pixels"
        kept = f"keeping {', '.join(self.keep)}" if self.keep else "keeping nothing, computing all again"
        return f"{tile}, {kept}, about {show_bytes(self.bytes)}"


Tile: TypeAlias = Literal["auto"] | int | None


class Halos(NamedTuple):
    """Pixels around a tile that its decoding needs of earlier results, in whole windows."""

    shifted: int  # of the shifted block's result, on its grid
    cross: int  # of the cross block's, on the plain one
    embedded: int

    @classmethod
    def of(cls, window: int) -> "Halos":
        """For windows of this many pixels a side."""
        shifted = window // 2
        while shifted < DECODE_HALO:
            shifted += window
        cross = shifted + BLOCK_HALO
        cross += -cross % window
        return cls(shifted, cross, cross + BLOCK_HALO)


def check_tile(tile: object) -> Tile:
    """``tile``, if it is ``"auto"``, None or a number of pixels from SMALLEST_TILE. Raises InputError."""
    if tile is None or tile == "auto":
        return tile
    if isinstance(tile, int) and not isinstance(tile, bool) and tile >= SMALLEST_TILE:
        return tile
    raise InputError(f"tile: {tile!r}; give 'auto', None (one piece) or {SMALLEST_TILE} or more pixels a side")


def make_plan(
    height: int, width: int, channels: int, itemsize: int, budget: int, tile: int | str | None, window: int = 8
) -> Plan:
    """The fastest plan whose memory stays within ``budget`` bytes.

    ``channels`` of F and ``itemsize`` of its values say what a pixel takes. ``tile``: ``"auto"``, a number of pixels
    from SMALLEST_TILE (rounded down to a multiple of ``window``), or None for one piece, whatever the budget. Raises
    InputError for another tile, and where the budget is too small.
    """
    tile = check_tile(tile)
    if tile is None:
        return Plan(None, LADDER[0], _bytes(height, width, max(height, width), LADDER[0], channels * itemsize, window))
    sizes = [TILE, TILE // 2, TILE // 4, SMALLEST_TILE] if tile == "auto" else [tile]
    for size in (size // window * window for size in sizes):
        for keep in LADDER:
            plan = Plan(size, keep, _bytes(height, width, size, keep, channels * itemsize, window))
            if plan.bytes <= budget:
                return plan
    raise InputError(
        f"memory: {width}×{height} pixels take {show_bytes(plan.bytes)} beside the images themselves in tiles of "
        f"{plan.tile}, but only {show_bytes(budget)} may be used; give more memory"
        + ("" if size <= SMALLEST_TILE else " or smaller tiles")
    )


def _bytes(height: int, width: int, tile: int, keep: tuple[str, ...], pixel: int, window: int) -> int:
    """About what a plan takes; ``pixel``: bytes of one pixel of F."""
    kept = sum(MAPS[name] for name in keep) * height * width * pixel

    def area(halo: int) -> int:
        return min(height, tile + 2 * halo) * min(width, tile + 2 * halo)

    halos = Halos.of(window)
    again = sum(count for name, count in MAPS.items() if name not in keep)
    return kept + (area(halos.shifted) + again * area(halos.embedded)) * pixel + FIXED_BYTES


def show_bytes(count: int) -> str:
    """As people write it: 1.5 GB, 300 MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
