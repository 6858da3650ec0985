"""The inference form of a network that is local: no pixel of its result depends on others than those around it."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ..options.values import Tile, check_tile
from ..regions import Region
from .choice import check_budget, tile_sizes
from .form import Part, Sink, Source
from .plan import Plan
from .tiles import WHOLE, cut

TILE = 640  # pixels a side, where memory allows: a camera's frame in one piece, without halos
FIXED_BYTES = 64 << 20  # of the libraries, and of what the allocator keeps between tiles; measured


class LocalForm:
    """Runs a plain network tile by tile, each with so many pixels around it that the result is that of one piece.

    Args:
        network: ``network(a, b)`` fuses planes (1, 1, h, w); it is copied.
        dtype: to compute in.
        halo: how many pixels around it a pixel of the result depends on.
        values: how many values a pixel keeps in memory at once, at most, while the network computes.
        grid: where the network cuts the image into windows or makes it smaller: by how many pixels. Tiles begin there.
        planes: the dtype that it takes planes in; None: ``dtype``.
    """

    def __init__(
        self,
        network: nn.Module,
        dtype: torch.dtype,
        halo: int,
        values: int,
        grid: int = 1,
        planes: torch.dtype | None = None,
    ) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False).to(dtype)
        self.dtype, self.values, self.grid = dtype, values, grid
        self.planes = planes or dtype
        self.halo = halo + -halo % grid
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> "LocalForm":
        """Itself, moved to a device."""
        self.network, self.device = self.network.to(device), device
        return self

    def make_plan(self, height: int, width: int, budget: int, tile: Tile) -> Plan:
        """See ``InferenceForm``."""

        def plan(size: int | None) -> Plan:
            sides = (side if size is None else min(side, size + 2 * self.halo) for side in (height, width))
            rows, columns = sides
            pixel = self.values * self.dtype.itemsize + 12  # and planes in float32
            return Plan(size, (), rows * columns * pixel + FIXED_BYTES)

        if check_tile(tile) is None:
            return plan(None)
        plans = [plan(size) for size in tile_sizes(tile, TILE, self.grid)]
        fitting = next((one for one in plans if one.bytes <= budget), plans[-1])
        return check_budget(fitting, height, width, budget)

    def run(
        self,
        source: Source,
        sink: Sink,
        height: int,
        width: int,
        plan: Plan | None,
        progress: Callable[[int, int], None],
    ) -> None:
        """See ``InferenceForm``."""
        image = Region(0, height, 0, width)
        tiles = list(cut(image, (plan.tile if plan else None) or WHOLE))
        for done, tile in enumerate(tiles, 1):
            self._fuse(source, sink, image, tile)
            progress(done, len(tiles))

    def by_parts(self) -> "LocalForm":
        """See ``PartForm``: itself, which needs no statistics."""
        return self

    @property
    def measures(self) -> int:
        """See ``PartForm``."""
        return 0

    def reach(self, number: int) -> int:
        """See ``PartForm``."""
        return self.halo

    def measure(self, part: Part, known: Sequence[Any]) -> None:
        """None: it needs no statistics."""

    def merged(self, statistics: Sequence[Any]) -> None:
        """None: it needs no statistics."""

    def fuse(self, part: Part, known: Sequence[Any], sink: Sink) -> None:
        """See ``PartForm``."""
        image = Region(0, part.height, 0, part.width)
        for tile in cut(part.region, part.tile):
            self._fuse(part.source, sink, image, tile)

    def _fuse(self, source: Source, sink: Sink, image: Region, tile: Region) -> None:
        around = tile.grown(self.halo, image)
        with torch.inference_mode():
            planes = source(around).to(self.device, self.planes)
            fused = self.network(planes[:, :1], planes[:, 1:])
            sink(tile, tile.crop(fused.float().clamp(0, 1), around))
