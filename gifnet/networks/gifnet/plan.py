"""How an image is run in the memory there is: the tiles' size, and which stage results are kept for the whole image.

What is not kept is computed again where it is needed, with wider halos. Against everything kept, the arithmetic is
1.05 times as much without F, 1.36 times with the cross block's result alone, 1.9 times with nothing.
"""

from typing import NamedTuple

from ...execution.choice import check_budget, tile_sizes
from ...execution.plan import Plan
from ...options.values import check_tile
from ...regions import SHORTEST, Region
from .cfgm import PATCH
from .folded import BLOCK_HALO, DECODE_HALO

TILE = 512  # pixels a side, where memory allows
# What may be kept, fastest first.
SHARED, EMBEDDED, MIXED = "shared", "embedded", "mixed"
LADDER = ((SHARED, EMBEDDED, MIXED), (EMBEDDED, MIXED), (MIXED,), ())
MAPS = {SHARED: 1, EMBEDDED: 2, MIXED: 1}  # of as many channels as F
FIXED_BYTES = 192 << 20  # of a cache-sized part of a tile in work, and of the libraries; measured


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


def shortest_tile(window: int) -> int:
    """SHORTEST, for windows of this many pixels, which a tile at the border fills up by reflection."""
    return max(SHORTEST, 2 * window)


def padded(height: int, width: int) -> Region:
    """An image of this size whose sides are padded to a multiple of ``PATCH``, as CFGM sees it."""
    return Region(0, height + -height % PATCH, 0, width + -width % PATCH)


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
    for size in tile_sizes(tile, TILE, window):
        for keep in LADDER:
            plan = Plan(size, keep, _bytes(height, width, size, keep, channels * itemsize, window))
            if plan.bytes <= budget:
                return plan
    return check_budget(plan, height, width, budget)


def _bytes(height: int, width: int, tile: int, keep: tuple[str, ...], pixel: int, window: int) -> int:
    """About what a plan takes; ``pixel``: bytes of one pixel of F."""
    kept = sum(MAPS[name] for name in keep) * height * width * pixel

    def area(halo: int) -> int:
        return min(height, tile + 2 * halo) * min(width, tile + 2 * halo)

    halos = Halos.of(window)
    again = sum(count for name, count in MAPS.items() if name not in keep)
    return kept + (area(halos.shifted) + again * area(halos.embedded)) * pixel + FIXED_BYTES
