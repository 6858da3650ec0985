"""TITA over an image of any size: bounded working memory, and the same pixels as in one piece.

Everything in the network is local but the mean features that OAF's weights follow from, and those part it into two
passes over the image:

1. extraction and interaction, for the mean of both streams;
2. OAF and reconstruction.

Each pass goes tile by tile. The blocks change a tile's features in place, window by window: each block those windows
only that later ones need, so that what is computed shrinks from the tile with its halo to the tile. What the first pass
gives is kept for the whole image if there is memory (``plan.py``), or else computed again by the second.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from ...execution.form import Part, Sink, Source, plane_jobs
from ...execution.plan import Plan
from ...execution.tiles import WHOLE, cut
from ...execution.workers import Workers
from ...options.values import Tile
from ...regions import Region
from ..padding import reflected_indices
from ..planes import check_planes
from .ends import DECODE_HALO, EMBED_HALO, OAF_HALO, Convolutions, FoldedOAF, WeightedOperations, as_features, as_image
from .folded import FoldedCrossBlock, FoldedSwinBlock, Shape, folded_blocks
from .model import TITA
from .plan import INTERACTED, LADDER, covering, halo, make_plan, padded

Block = FoldedSwinBlock | FoldedCrossBlock
Progress = Callable[[int, int], None]  # steps done, and of how many

WINDOWS = 24  # that a processor's core takes at once: their tokens fit its caches
CHUNK = 64  # pixels a side, likewise, where there are convolutions
ON_A_GPU = 4096  # windows


def inference_form(network: TITA, dtype: torch.dtype = torch.float32) -> "TiledTITA":
    """The form in which a network runs: folded, in tiles, computing in ``dtype``. It shares no memory with it."""
    return TiledTITA(network, dtype).eval().requires_grad_(False)


class Field(NamedTuple):
    """Features (H, W, C) of a region."""

    region: Region
    data: Tensor

    @classmethod
    def empty(cls, region: Region, channels: int, like: Tensor) -> "Field":
        return cls(region, torch.empty((*region.shape, channels), dtype=like.dtype, device=like.device))

    def of(self, region: Region) -> Tensor:
        """A view of a region within."""
        top, left = self.region.top, self.region.left
        return self.data[region.top - top : region.bottom - top, region.left - left : region.right - left]


class TiledTITA(nn.Module):
    """Folded TITA for images of any size.

    The mean features and OAF's weights are computed in float64, reconstruction's convolutions in float32: in bfloat16,
    a level of 255 is about as fine as a value near 1.
    """

    @torch.no_grad()
    def __init__(self, network: TITA, dtype: torch.dtype) -> None:
        super().__init__()
        self.window, self.channels = network.config.window, network.config.channels
        self.embed = Convolutions(network.extraction.convolutions, activated=True)
        self.norm = copy.deepcopy(network.norm)
        self.extract_a = folded_blocks(network.extraction.group_a.blocks)
        self.extract_b = folded_blocks(network.extraction.group_b.blocks)
        self.extract_norms = nn.ModuleList([copy.deepcopy(network.extraction.group_a.norm)])
        self.extract_norms.append(copy.deepcopy(network.extraction.group_b.norm))
        self.interact = folded_blocks(network.interaction.blocks)
        self.interact_norms = nn.ModuleList(
            [copy.deepcopy(network.interaction.norm_x), copy.deepcopy(network.interaction.norm_y)]
        )
        self.oaf = FoldedOAF(network.oaf)
        self.reconstruct = folded_blocks(network.reconstruction.group.blocks)
        self.reconstruct_norm = copy.deepcopy(network.reconstruction.group.norm)
        self.to(dtype)
        self.weigh = copy.deepcopy(network.oaf.weigh).double()
        self.decode = Convolutions(network.reconstruction.convolutions, activated=False)

    @property
    def like(self) -> Tensor:
        """A tensor of the dtype and device to compute in."""
        return self.norm.weight

    def forward(self, a: Tensor, b: Tensor, plan: Plan | None = None) -> Tensor:
        """Fuse planes (B, 1, H, W), any floating dtype in [0, 1], one pair after the other; float32 (B, 1, H, W)."""
        check_planes(a, b)
        fused = torch.empty_like(a, dtype=torch.float32)
        for source, sink in plane_jobs(a, b, fused):
            self.run(source, sink, a.shape[-2], a.shape[-1], plan)
        return fused

    def make_plan(self, height: int, width: int, budget: int, tile: Tile) -> Plan:
        """How to run such an image within ``budget`` bytes; see ``plan.make_plan``."""
        blocks = (len(self.extract_a), len(self.interact), len(self.reconstruct))
        pixel = self.channels * self.like.itemsize
        return make_plan(height, width, pixel, blocks, self.window, budget, tile)

    def run(
        self,
        source: Source,
        sink: Sink,
        height: int,
        width: int,
        plan: Plan | None = None,
        progress: Progress = lambda done, steps: None,
    ) -> None:
        """Fuse one pair of ``height`` × ``width`` pixels, read from ``source`` and written to ``sink`` by regions."""
        plan = plan or Plan(None, LADDER[0], 0)
        with torch.inference_mode(), Workers(self.like.device) as workers:
            run = _Run(self, source, height, width, INTERACTED in plan.keep, workers)
            tiles = list(cut(run.image, plan.tile or WHOLE))
            sums = torch.zeros(2 * self.channels, dtype=torch.float64)
            for done, tile in enumerate(tiles, 1):
                sums += run.interact(tile)
                progress(done, 2 * len(tiles))
            operations = self._operations(sums, run, workers)
            for done, tile in enumerate(tiles, 1 + len(tiles)):
                sink(*run.decode(tile, operations))
                progress(done, 2 * len(tiles))

    def by_parts(self) -> "TiledTITA":
        """See ``PartForm``: itself. Of a part nothing is kept between passes; the statistics are features' sums."""
        return self

    @property
    def grid(self) -> int:
        """See ``PartForm``."""
        return self.window

    @property
    def measures(self) -> int:
        """See ``PartForm``."""
        return 1

    def reach(self, number: int) -> int:
        """See ``PartForm``."""
        both = halo(len(self.extract_a), self.window) + halo(len(self.interact), self.window) + EMBED_HALO
        return (both, both + OAF_HALO + halo(len(self.reconstruct), self.window) + DECODE_HALO)[number]

    def measure(self, part: Part, known: Sequence[Tensor]) -> Tensor:
        """See ``PartForm``: the sum of both streams' features, (2 C,) in float64."""
        with torch.inference_mode(), Workers(self.like.device) as workers:
            run, tiles = self._run_of(part, workers)
            return self.merged([run.interact(tile) for tile in tiles])

    def merged(self, statistics: Sequence[Tensor]) -> Tensor:
        """See ``PartForm``."""
        return torch.stack(list(statistics)).sum(dim=0)

    def fuse(self, part: Part, known: Sequence[Tensor], sink: Sink) -> None:
        """See ``PartForm``."""
        with torch.inference_mode(), Workers(self.like.device) as workers:
            run, tiles = self._run_of(part, workers)
            operations = self._operations(known[0], run, workers)
            for tile in tiles:
                sink(*run.decode(tile, operations))

    def _run_of(self, part: Part, workers: Workers) -> "tuple[_Run, list[Region]]":
        run = _Run(self, part.source, part.height, part.width, False, workers)
        return run, list(cut(part.region.reaching(run.image), part.tile))

    def _operations(self, sums: Tensor, run: "_Run", workers: Workers) -> tuple[WeightedOperations, ...]:
        """OAF's operations, weighted for an image whose features have these sums."""
        mean = sums / math.prod(run.image.shape)
        weigh = self.weigh
        return workers.call(lambda: self.oaf.weighted(weigh(mean.to(self.like.device)[None]).softmax(dim=-1)[0]))


class _Run:
    """One image's way through the stages."""

    def __init__(self, form: TiledTITA, source: Source, height: int, width: int, keep: bool, workers: Workers) -> None:
        self.form, self.source, self.workers = form, source, workers
        self.pixels = Region(0, height, 0, width)  # what there is of planes and the result
        self.image = padded(height, width, form.window)  # and of everything between
        self.kept = [self._field(self.image) for _ in range(2)] if keep else None
        on_gpu = form.like.device.type != "cpu"
        self.windows, self.chunk = (ON_A_GPU, WHOLE) if on_gpu else (WINDOWS, CHUNK)

    def interact(self, tile: Region) -> Tensor:
        """Pass 1: the sum of both streams' features over a tile, (2 C,) in float64 on the CPU."""
        streams = self._interacted(tile)

        def total(chunk: Region) -> Tensor:
            parts = [stream.of(chunk) for stream in streams]
            for kept, part in zip(self.kept or (), parts, strict=False):
                kept.of(chunk).copy_(part)
            return torch.cat([part.sum(dim=(0, 1), dtype=torch.float64) for part in parts]).cpu()

        return torch.stack(list(self.workers.map(total, cut(tile, self.chunk)))).sum(dim=0)

    def decode(self, tile: Region, operations: tuple[WeightedOperations, ...]) -> tuple[Region, Tensor]:
        """Pass 2: the tile's pixels, and what they are, (1, 1, h, w)."""
        form = self.form
        wanted = self._reads(form.reconstruct, tile.grown(DECODE_HALO, self.image))
        streams = self.kept or self._interacted(wanted.grown(OAF_HALO, self.image))
        fused = self._field(wanted)

        def operate(chunk: Region) -> None:
            around, sides = chunk.grown(OAF_HALO, self.image), chunk.sides(self.image)
            sums = [operation(stream.of(around), sides) for operation, stream in zip(operations, streams, strict=True)]
            fused.of(chunk).copy_(form.norm(sums[0] + sums[1]))

        self._each(operate, cut(wanted, self.chunk))
        self._blocks(form.reconstruct, tile.grown(DECODE_HALO, self.image), fused)
        plane = Field.empty(tile, 1, form.like.new_empty(0, dtype=torch.float32))

        def decode(chunk: Region) -> None:
            around = fused.of(chunk.grown(DECODE_HALO, self.image))
            features = form.reconstruct_norm(around).float()
            plane.of(chunk).copy_(as_features(form.decode(as_image(features), chunk.sides(self.image))))

        self._each(decode, cut(tile, self.chunk))
        shown = tile.grown(0, self.pixels)
        return shown, plane.of(shown).permute(2, 0, 1)[None].clamp_(0, 1)

    def _interacted(self, target: Region) -> list[Field]:
        """Both streams after the cross blocks, true on the target at least."""
        form = self.form
        extracted = self._reads(form.interact, target)
        embedded = self._reads(form.extract_a, extracted)
        streams = self._embedded(embedded)
        for stream, blocks, norm in zip(streams, (form.extract_a, form.extract_b), form.extract_norms, strict=True):
            self._blocks(blocks, extracted, stream)
            self._normalise(extracted, stream, cast(nn.LayerNorm, norm), form.norm)
        self._blocks(form.interact, target, *streams)
        for stream, norm in zip(streams, form.interact_norms, strict=True):
            self._normalise(target, stream, cast(nn.LayerNorm, norm))
        return streams

    def _embedded(self, region: Region) -> list[Field]:
        """What the extraction's blocks begin with, of both planes."""
        read = region.grown(EMBED_HALO, self.image)
        planes = self._planes(read)
        streams = [self._field(region) for _ in range(2)]

        def embed(chunk: Region) -> None:
            part, sides = chunk.grown(EMBED_HALO, self.image).crop(planes, read), chunk.sides(self.image)
            for index, stream in enumerate(streams):
                features = self.form.embed(part[:, index : index + 1], sides)
                stream.of(chunk).copy_(self.form.norm(as_features(features)))

        self._each(embed, cut(region, self.chunk))
        return streams

    def _planes(self, region: Region) -> Tensor:
        """Both planes on a region of the padded image, (1, 2, h, w); what is not there is reflected."""
        (height, width), (rows, columns) = self.pixels.shape, self.image.shape
        y = reflected_indices(height, 0, rows - height)[region.top : region.bottom]
        x = reflected_indices(width, 0, columns - width)[region.left : region.right]
        top, left = int(y.min()), int(x.min())
        there = self.source(Region(top, int(y.max()) + 1, left, int(x.max()) + 1)).to(self.form.like)
        y, x = (y - top).to(there.device), (x - left).to(there.device)
        return there[..., y[:, None], x]

    def _reads(self, blocks: nn.ModuleList, target: Region) -> Region:
        """The region that blocks read for their result on the target."""
        return next(iter(self._regions(blocks, target)))

    def _regions(self, blocks: nn.ModuleList, target: Region) -> list[Region]:
        """The windows that each block computes for the last one's result on the target."""
        regions: list[Region] = []
        for block in reversed(list(blocks)):
            target = covering(target, self.image, self.form.window, cast(Block, block).shift)
            regions.insert(0, target)
        return regions

    def _blocks(self, blocks: nn.ModuleList, target: Region, *fields: Field) -> None:
        """The blocks in turn, in place: the fields are then true on the target."""
        for module, region in zip(blocks, self._regions(blocks, target), strict=True):
            one = cast(Block, module)

            def compute(windows: tuple[Region, Shape], block: Block = one) -> None:
                part, shape = windows
                parts = [field.of(part) for field in fields]
                results = block(shape, *(_tokens(each, shape) for each in parts))
                for each, result in zip(parts, results, strict=True):
                    each.copy_(_untokened(result, part.shape, shape))

            self._each(compute, grouped_windows(region, self.image, self.form.window, one.shift, self.windows))

    def _normalise(self, region: Region, field: Field, *norms: nn.LayerNorm) -> None:
        def compute(chunk: Region) -> None:
            x = field.of(chunk)
            for norm in norms:
                x = norm(x)
            field.of(chunk).copy_(x)

        self._each(compute, cut(region, self.chunk))

    def _each(self, function: Callable[..., None], items: Iterator[object]) -> None:
        """The function of all items; what went wrong is raised."""
        for _ in self.workers.map(function, items):
            pass

    def _field(self, region: Region) -> Field:
        return Field.empty(region, self.form.channels, self.form.like)


def grouped_windows(
    region: Region, image: Region, window: int, shift: int, most: int
) -> Iterator[tuple[Region, Shape]]:
    """A region's windows in groups of about ``most``, each of one shape: windows are halves at the image's borders."""
    columns = list(_runs(region.left, region.right, image.right, window, shift))
    for top, bottom, height in _runs(region.top, region.bottom, image.bottom, window, shift):
        for left, right, width in columns:
            across = (right - left) // width
            rows = max(1, most // across) * height
            step = -(-across // max(1, round(across / most))) * width
            for y in range(top, bottom, rows):
                for x in range(left, right, step):
                    yield Region(y, min(y + rows, bottom), x, min(x + step, right)), Shape(height, width)


def _runs(start: int, stop: int, end: int, window: int, shift: int) -> Iterator[tuple[int, int, int]]:
    """Along one side: where windows of one length begin and end, and that length."""
    first = shift if shift and start == 0 else start
    last = stop - (window - shift) if shift and stop == end else stop
    if start < first:
        yield start, first, first - start
    if first < last:
        yield first, last, window
    if last < stop:
        yield last, stop, stop - last


def _tokens(x: Tensor, shape: Shape) -> Tensor:
    """A copy of features (H, W, C) as tokens of windows."""
    return rearrange(x, "(wy y) (wx x) c -> (wy wx y x) c", y=shape.height, x=shape.width).clone()


def _untokened(tokens: Tensor, size: tuple[int, int], shape: Shape) -> Tensor:
    return rearrange(
        tokens, "(wy wx y x) c -> (wy y) (wx x) c", wy=size[0] // shape.height, y=shape.height, x=shape.width
    )
