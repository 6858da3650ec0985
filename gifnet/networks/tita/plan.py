"""How an image is run in the memory there is: the tiles' size, and whether the interaction's result is kept.

What is not kept is computed again where it is needed, with wider halos.
"""

from ...execution.choice import check_budget, tile_sizes
from ...execution.plan import Plan
from ...options.values import Tile, check_tile
from ...regions import Region

TILE = 512  # pixels a side, where memory allows
INTERACTED = "interacted"  # both streams, after the cross blocks
LADDER = ((INTERACTED,), ())
FIXED_BYTES = 220 << 20  # of the windows and chunks in work, and of the libraries; measured


def padded(height: int, width: int, window: int) -> Region:
    """An image of this size whose sides are padded to a multiple of the window's, as the blocks see it."""
    return Region(0, height + -height % window, 0, width + -width % window)


def covering(region: Region, image: Region, window: int, shift: int) -> Region:
    """The smallest region of the image that holds whole windows, those of a grid shifted by so many pixels.

    At the image's borders the windows are cut, and so they lie on them.
    """

    def down(position: int, end: int) -> int:
        return 0 if position < shift else min((position - shift) // window * window + shift, end)

    def up(position: int, end: int) -> int:
        return min(-((shift - position) // window) * window + shift, end)

    return Region(
        down(region.top, image.bottom),
        up(region.bottom, image.bottom),
        down(region.left, image.right),
        up(region.right, image.right),
    )


def halo(number: int, window: int) -> int:
    """At most so many pixels around a tile on the grid are read by this many blocks, every second one shifted."""
    return number * window // 2 + window


def make_plan(
    height: int,
    width: int,
    pixel: int,
    blocks: tuple[int, int, int],
    window: int,
    budget: int,
    tile: Tile,
) -> Plan:
    """The fastest plan whose memory stays within ``budget`` bytes.

    ``pixel``: bytes of one pixel of one stream. ``blocks``: of extraction, interaction and reconstruction. ``tile``:
    ``"auto"``, a number of pixels from SMALLEST_TILE (rounded down to a multiple of ``window``), or None for one piece,
    whatever the budget. Raises InputError for another tile, and where the budget is too small.
    """

    def plan(size: int | None, keep: tuple[str, ...]) -> Plan:
        def area(around: int) -> int:
            sides = (side if size is None else min(side, size + 2 * around) for side in (height, width))
            rows, columns = sides
            return rows * columns

        decoded = halo(blocks[2], window)
        both = sum(blocks[:2]) if keep else sum(blocks)
        kept = 2 * height * width if keep else 0
        return Plan(size, keep, (kept + 2 * area(halo(both, window)) + area(decoded)) * pixel + FIXED_BYTES)

    if check_tile(tile) is None:
        return plan(None, LADDER[0])
    for size in tile_sizes(tile, TILE, window):
        for keep in LADDER:
            chosen = plan(size, keep)
            if chosen.bytes <= budget:
                return chosen
    return check_budget(chosen, height, width, budget)
