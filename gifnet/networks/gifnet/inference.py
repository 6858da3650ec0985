"""The folded network over an image of any size: bounded working memory, and the same pixels as in one piece.

Everything in the network is local but the norms' statistics, and those part it into three passes over the image:

1. encode and embed, for both embeddings' statistics;
2. the cross block, for its result's statistics;
3. the shifted block, un-embedding and decoding.

Each pass goes tile by tile, and each stage of it in chunks that fit a processor's caches. A stage's result lies in a
map, which covers the whole image if it is kept (``plan.py``), or else one tile and its halo: it is then computed again.
Tiles and chunks lie on the window grids, so that no window is ever cut.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ...execution.form import Part, Sink, Source, plane_jobs
from ...execution.plan import Plan
from ...execution.tiles import WHOLE, cut
from ...execution.workers import Scratch, Workers
from ...regions import Region
from ..planes import check_planes
from .config import Branch
from .folded import (
    BLOCK_HALO,
    DECODE_HALO,
    DECODE_SHARED_HALO,
    EMBED_HALO,
    ENCODE_HALO,
    BlockMatrices,
    FoldedGIFNet,
)
from .layers import shrink
from .model import GIFNet
from .moments import MomentsOverTime
from .plan import EMBEDDED, LADDER, MIXED, SHARED, Halos, make_plan, padded, shortest_tile
from .statistics import Moments

Progress = Callable[[int, int], None]  # steps done, and of how many
Measured: TypeAlias = tuple[Moments, ...]  # of both embeddings; of the cross block's result

CHUNKS = {4: 64, 2: 96}  # pixels a side that fit a processor core's caches, by the bytes of a feature's value


def inference_form(network: GIFNet, dtype: torch.dtype = torch.float32, main: Branch | None = None) -> "TiledGIFNet":
    """The form in which a network runs: without dead work, folded, in tiles, computing in ``dtype``.

    ``main`` overrides the configuration's main branch. It shares no memory with the network.
    """
    return TiledGIFNet(FoldedGIFNet(network, main).to_dtype(dtype)).eval().requires_grad_(False)


def enhancing_form(network: GIFNet, dtype: torch.dtype = torch.float32) -> "TiledGIFNet | None":
    """The form that enhances one image, where its main branch differs from the one that fuses; else None."""
    main = network.config.enhance_main
    return None if main in (None, network.config.main) else inference_form(network, dtype, main)


class Map:
    """A stage's result (1, C, H, W) on a region of the image."""

    def __init__(self, region: Region, channels: int, like: Tensor) -> None:
        self.region = region
        self.data = torch.empty(
            (1, channels, *region.shape), dtype=like.dtype, device=like.device, memory_format=torch.channels_last
        )

    def read(self, region: Region) -> Tensor:
        return region.crop(self.data, self.region)

    def write(self, region: Region, x: Tensor) -> None:
        region.crop(self.data, self.region).copy_(x)


class TiledGIFNet(nn.Module):
    """``FoldedGIFNet`` for images of any size."""

    def __init__(self, folded: FoldedGIFNet, chunk: int | None = None, memory: MomentsOverTime | None = None) -> None:
        super().__init__()
        self.folded, self.chunk = folded, chunk  # None: by device and precision
        self.memory = memory  # None: each image has its own statistics

    def over_time(self) -> "TiledGIFNet":
        """For the images of one video, in their order: see ``MomentsOverTime``. It shares the weights."""
        return TiledGIFNet(self.folded, self.chunk, MomentsOverTime()).eval()

    def forward(self, a: Tensor, b: Tensor, plan: Plan | None = None, progress: Progress | None = None) -> Tensor:
        """Fuse planes (B, 1, H, W), any floating dtype in [0, 1], one pair after the other; float32 (B, 1, H, W).

        ``plan``: how; None: in one piece. ``progress`` is called after every step with the steps done and their number.
        """
        check_planes(a, b)
        batch, _, height, width = a.shape
        fused = torch.empty_like(a, dtype=torch.float32)
        for index, (source, sink) in enumerate(plane_jobs(a, b, fused)):

            def step(done: int, steps: int, before: int = index) -> None:
                if progress:
                    progress(before * steps + done, batch * steps)

            self.run(source, sink, height, width, plan, step)
        return fused

    def make_plan(self, height: int, width: int, budget: int, tile: int | str | None) -> Plan:
        """How to run such an image within ``budget`` bytes; see ``plan.make_plan``."""
        folded = self.folded
        itemsize = folded.embed.weight.itemsize
        return make_plan(height, width, folded.channels, itemsize, budget, tile, folded.cross.window)

    def run(
        self,
        source: Source,
        sink: Sink,
        height: int,
        width: int,
        plan: Plan | None = None,
        progress: Progress = lambda done, steps: None,
    ) -> None:
        """Fuse one pair of ``height`` × ``width`` pixels, read from ``source`` and written to ``sink`` by regions.

        Every region is read as often as the plan computes it, and written once, when all statistics are known.
        """
        plan = plan or Plan(None, LADDER[0], 0)
        with torch.inference_mode(), Workers(self.folded.embed.weight.device) as workers:
            run = _Run(self.folded, source, height, width, self._chunk(plan), plan.keep, workers)
            tiles = list(run.cut(run.image, plan.tile or WHOLE))
            steps = 3 * len(tiles)
            main, other, mixed = Moments(), Moments(), Moments()
            for done, tile in enumerate(tiles, 1):
                for of_main, of_other in run.embed(tile):
                    main, other = main.merged(of_main), other.merged(of_other)
                progress(done, steps)
            if self.memory is not None:
                main, other = self.memory.smoothed("main", main), self.memory.smoothed("other", other)
            run.learn_embedded(main, other)
            for done, tile in enumerate(tiles, 1 + len(tiles)):
                for of_mixed in run.cross(tile):
                    mixed = mixed.merged(of_mixed)
                progress(done, steps)
            if self.memory is not None:
                mixed = self.memory.smoothed("mixed", mixed)
            run.learn_mixed(mixed)
            for done, tile in enumerate(tiles, 1 + 2 * len(tiles)):
                sink(*run.decode(tile))
                progress(done, steps)

    def by_parts(self) -> "TiledGIFNet":
        """See ``PartForm``: itself. Of a part nothing is kept between passes; the statistics are two passes'."""
        return self

    @property
    def grid(self) -> int:
        """See ``PartForm``."""
        return self.folded.cross.window

    @property
    def measures(self) -> int:
        """See ``PartForm``: both embeddings', then the cross block's result's."""
        return 2

    def reach(self, number: int) -> int:
        """See ``PartForm``."""
        window = self.folded.cross.window
        halo = (0, BLOCK_HALO, Halos.of(window).embedded + shortest_tile(window))[number]
        return halo + ENCODE_HALO + EMBED_HALO

    def measure(self, part: Part, known: Sequence[Measured]) -> Measured:
        """See ``PartForm``."""
        with torch.inference_mode(), Workers(self.folded.embed.weight.device) as workers:
            run, tiles = self._run_of(part, known, workers)
            if not known:
                return self.merged([pair for tile in tiles for pair in run.embed(tile)])
            return self.merged([(mixed,) for tile in tiles for mixed in run.cross(tile)])

    def merged(self, statistics: Sequence[Measured]) -> Measured:
        """See ``PartForm``."""
        return tuple(reduce(Moments.merged, each) for each in zip(*statistics, strict=True))

    def fuse(self, part: Part, known: Sequence[Measured], sink: Sink) -> None:
        """See ``PartForm``."""
        with torch.inference_mode(), Workers(self.folded.embed.weight.device) as workers:
            run, tiles = self._run_of(part, known, workers)
            for tile in tiles:
                sink(*run.decode(tile))

    def _run_of(self, part: Part, known: Sequence[Measured], workers: Workers) -> "tuple[_Run, list[Region]]":
        """The way of one part, which knows the statistics so far, and the part's tiles."""
        plan = Plan(part.tile, (), 0)
        run = _Run(self.folded, part.source, part.height, part.width, self._chunk(plan), plan.keep, workers)
        if known:
            run.learn_embedded(*known[0])
        if known[1:]:
            run.learn_mixed(*known[1])
        return run, list(run.cut(part.region.reaching(run.image), part.tile))

    def _chunk(self, plan: Plan) -> int:
        weight = self.folded.embed.weight
        if self.chunk:
            return self.chunk
        if weight.device.type == "cpu":
            return CHUNKS[weight.itemsize] // self.folded.cross.window * self.folded.cross.window
        return plan.tile or WHOLE  # a GPU takes a tile at once


class _Run:
    """One image's way through the stages: the maps that are kept, and how the others are computed again."""

    cross_matrices: tuple[BlockMatrices, BlockMatrices]
    shifted_matrices: BlockMatrices

    def __init__(
        self,
        folded: FoldedGIFNet,
        source: Source,
        height: int,
        width: int,
        chunk: int,
        keep: tuple[str, ...],
        workers: Workers,
    ) -> None:
        self.folded, self.source, self.chunk, self.workers = folded, source, chunk, workers
        self.like, self.scratch = folded.embed.weight, Scratch()
        self.pixels = Region(0, height, 0, width)  # what there is of planes, F and the result
        self.image = padded(height, width)  # and of everything between
        self.padding = (self.image.right - width, self.image.bottom - height)
        self.shortest, self.halos = shortest_tile(folded.cross.window), Halos.of(folded.cross.window)
        channels = folded.channels
        self.channels = {SHARED: channels, EMBEDDED: 2 * channels, MIXED: channels}
        self.kept = {name: Map(self.image, self.channels[name], self.like) for name in keep}

    def learn_embedded(self, main: Moments, other: Moments) -> None:
        """Take both embeddings' statistics, which pass 2 needs."""
        folded, call = self.folded, self.workers.call
        self.cross_matrices = (
            call(lambda: folded.cross_main.matrices(main.statistics()).to(self.like)),
            call(lambda: folded.cross_other.matrices(other.statistics()).to(self.like)),
        )

    def learn_mixed(self, mixed: Moments) -> None:
        """Take the statistics of the cross block's result, which pass 3 needs."""
        matrices = self.folded.shifted_main.matrices
        self.shifted_matrices = self.workers.call(lambda: matrices(mixed.statistics()).to(self.like))

    def embed(self, tile: Region) -> Iterator[tuple[Moments, Moments]]:
        """Pass 1: F and both embeddings, kept if they are to be; their moments."""
        for moments in self._features(tile, self.kept.get(SHARED), self.kept.get(EMBEDDED), measured=True):
            assert moments
            yield moments

    def cross(self, tile: Region) -> Iterator[Moments]:
        """Pass 2: the cross block's result, kept if it is to be; its moments."""
        return self._cross(tile, self._embedded(tile.grown(BLOCK_HALO, self.image)), self.kept.get(MIXED))

    def decode(self, tile: Region) -> tuple[Region, Tensor]:
        """Pass 3: block 1 and the decoder. The tile's pixels and what they are, (1, 1, H, W)."""
        shared, mixed = self.kept.get(SHARED), self.kept.get(MIXED)
        if mixed is None:
            mixed = self._map(MIXED, tile.grown(self.halos.cross, self.image))
            embedded = self._embedded(tile.grown(self.halos.embedded, self.image).reaching(self.image, self.shortest))
            finish(self._cross(mixed.region, embedded, mixed))
        if shared is None:
            shared = self._map(SHARED, tile.grown(DECODE_SHARED_HALO, self.image))
            finish(self._features(shared.region, shared, None))
        shifted = self._map(MIXED, tile.grown(self.halos.shifted, self.image))
        planes = self.source(tile.grown(0, self.pixels)).to(self.like.device)
        result = Map(tile.grown(0, self.pixels), 1, self.like.new_empty(0, dtype=torch.float32))

        def shift(chunk: Region) -> None:
            x, sides = mixed.read(chunk.grown(BLOCK_HALO, self.image)), chunk.sides(self.image)
            shifted.write(chunk, self.folded.shifted_stage(x, self.shifted_matrices, sides, self.scratch))

        def decode(chunk: Region) -> None:
            features = shared.read(chunk.grown(DECODE_SHARED_HALO, self.pixels))
            x = shifted.read(chunk.grown(DECODE_HALO, self.image))
            pixels = chunk.grown(0, self.pixels)
            fused = self.folded.decode_stage(features, x, pixels.crop(planes, result.region), chunk.sides(self.image))
            result.write(pixels, fused)

        finish(self.workers.map(shift, self.cut(shifted.region, self.chunk, self.folded.shifted.shift)))
        finish(self.workers.map(decode, self.cut(tile, self.chunk)))
        return result.region, result.data

    def cut(self, region: Region, size: int, shift: int = 0) -> Iterator[Region]:
        """See ``tiles.cut``."""
        return cut(region, size, shift, self.shortest)

    def _map(self, name: str, region: Region) -> Map:
        return Map(region, self.channels[name], self.like)

    def _embedded(self, region: Region) -> Map:
        """Both embeddings of a region, as they were kept or computed again."""
        if EMBEDDED in self.kept:
            return self.kept[EMBEDDED]
        embedded = self._map(EMBEDDED, region)
        finish(self._features(region, None, embedded))
        return embedded

    def _features(
        self, region: Region, shared: Map | None, embedded: Map | None, measured: bool = False
    ) -> Iterator[tuple[Moments, Moments] | None]:
        """F and both embeddings of a region, into the maps that are given; the embeddings' moments, if asked for."""
        folded, halo = self.folded, ENCODE_HALO + EMBED_HALO
        read = region.grown(halo, self.pixels)
        planes = self.source(read).to(self.like.device)

        def compute(chunk: Region) -> tuple[Moments, Moments] | None:
            sides = chunk.sides(self.image)
            features = folded.encode_stage(chunk.grown(halo, self.pixels).crop(planes, read), sides)
            if shared:
                shared.write(chunk.grown(0, self.pixels), shrink(features, EMBED_HALO, sides))
            if not (embedded or measured):
                return None
            both = folded.embed_stage(features, sides, (self.padding[0] * sides.right, self.padding[1] * sides.bottom))
            if embedded:
                embedded.write(chunk, both)
            main, other = both.chunk(2, dim=1)
            return (Moments.of(main), Moments.of(other)) if measured else None

        return self.workers.map(compute, self.cut(region, self.chunk))

    def _cross(self, region: Region, embedded: Map, mixed: Map | None) -> Iterator[Moments]:
        """The cross block's result on a region, into the map that is given; its moments."""

        def compute(chunk: Region) -> Moments:
            both = embedded.read(chunk.grown(BLOCK_HALO, self.image))
            x = self.folded.cross_stage(both, self.cross_matrices, chunk.sides(self.image), self.scratch)
            if mixed:
                mixed.write(chunk, x)
            return Moments.of(x)

        return self.workers.map(compute, self.cut(region, self.chunk))


def finish(results: Iterable[object]) -> None:
    """Wait for all of them, and raise what went wrong."""
    for _ in results:
        pass
