"""TITA in the form that training runs on a processor: the folded blocks, with gradients, a pair at a time on each core.

What one pair makes of a block stays in a core's caches, and a batch's does not; two cores that share one pair's
operations, each of them short, are hardly faster than one. The folding (``folded.py``) is part of what is
differentiated, so that the network's own parameters learn; it is done anew wherever they have changed. Tokens go from
one order of windows to the other by one copy, and stay in it through all that looks at pixels only.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ...execution.threads import Threads
from ..padding import reflect_pad
from ..planes import check_planes
from .attention import Grid
from .folded import FoldedCrossBlock, FoldedSwinBlock, Shape, folded_blocks
from .model import TITA
from .swin import SwinGroup

Result = TypeVar("Result")


class LearningTITA:
    """A network as its parameters are now; blocks compute in ``dtype``, the residual stream in float32.

    ``threads``, if given, take the pairs, forward and backward; they must be there until backward is done. The result
    and the gradients are the same, bit for bit, however many they are.
    """

    def __init__(self, network: TITA, dtype: torch.dtype, threads: Threads | None = None) -> None:
        self.network, self.dtype, self.threads = network, dtype, threads
        groups = (network.extraction.group_a, network.extraction.group_b, network.reconstruction.group)
        self.groups = {group: folded_blocks(group.blocks).to(dtype) for group in groups}
        self.cross = folded_blocks(network.interaction.blocks).to(dtype)

    def weights(self) -> list[Tensor]:
        """All that the pairs' computations read: the folded blocks' tensors, and the network's own of other parts."""
        folded = [tensor for blocks in (*self.groups.values(), self.cross) for tensor in blocks.buffers()]
        plain = [tensor for name, tensor in self.network.named_parameters() if ".blocks." not in name]
        return [tensor for tensor in folded + plain if tensor.requires_grad]

    def predict(self, a: Tensor, b: Tensor) -> Tensor:
        """As ``TITA.predict``: planes (B, 1, H, W) of both inputs, and the fused one, not clamped; float32."""
        check_planes(a, b)
        height, width = a.shape[-2:]
        window = self.network.config.window
        a, b = (reflect_pad(each, 0, -width % window, 0, -height % window) for each in (a, b))
        if torch.is_grad_enabled():
            fused: Tensor = _Pairs.apply(self, a, b, *self.weights())  # type: ignore[no-untyped-call]
        else:
            fused = torch.stack(self.each(self.fused, zip(a, b, strict=True)))
        return fused[..., :height, :width]

    def each(self, function: Callable[..., Result], arguments: Iterable[tuple[Any, ...]]) -> list[Result]:
        """What a function gives of each arguments, in the threads if there are any; gradients as they are here."""
        recorded = torch.is_grad_enabled()

        def call(*some: Any) -> Result:
            with torch.set_grad_enabled(recorded):
                return function(*some)

        if self.threads is None:
            return [call(*some) for some in arguments]
        pending = [self.threads.submit(call, *some) for some in arguments]
        return [each.result() for each in pending]

    def fused(self, a: Tensor, b: Tensor) -> Tensor:
        """One pair's planes (1, H, W), their sides multiples of the window's; the fused one."""
        planes = torch.stack([a, b])
        orders = _Orders(planes.shape[-2], planes.shape[-1], self.network.config.window, planes.device)
        with self._autocast():
            features = rearrange(self.network.extraction.convolutions(planes), "b c h w -> b (h w) c").float()
        return self._of_features(features[0], features[1], orders)

    def _of_features(self, x: Tensor, y: Tensor, orders: "_Orders") -> Tensor:
        """One pair's features (H · W, C), row by row; the plane (1, H, W)."""
        network = self.network
        norm, extraction, interaction = network.norm, network.extraction, network.interaction
        x, y = (
            norm(self._group(group, norm(each), orders))
            for group, each in ((extraction.group_a, x), (extraction.group_b, y))
        )
        x, y = self._blocks(self.cross, orders, x, y)
        size = (1, orders.height, orders.width, -1)
        with self._autocast():
            features = network.oaf(interaction.norm_x(x).view(size), interaction.norm_y(y).view(size))
        features = self._group(network.reconstruction.group, norm(features.float()).flatten(0, 2), orders)
        image = rearrange(features, "(b h w) c -> b c h w", b=1, h=orders.height)
        plane: Tensor = network.reconstruction.convolutions(image)[0]
        return plane

    def _group(self, group: SwinGroup, x: Tensor, orders: "_Orders") -> Tensor:
        (x,) = self._blocks(self.groups[group], orders, x)
        y: Tensor = group.norm(x)
        return y

    def _blocks(self, blocks: nn.ModuleList, orders: "_Orders", *tokens: Tensor) -> tuple[Tensor, ...]:
        """Blocks in turn on tokens (H · W, C) of one or both streams, row by row and so given back."""
        order = ROWS
        for module in blocks:
            block = cast("FoldedSwinBlock | FoldedCrossBlock", module)
            wanted = SHIFTED if block.shift else WINDOWS
            tokens = tuple(orders.change(each, order, wanted) for each in tokens)
            tokens = block(orders.shape(wanted), *tokens)
            order = wanted
        return tuple(orders.change(each, order, ROWS) for each in tokens)

    def _autocast(self) -> torch.autocast:
        device = self.network.norm.weight.device.type
        # Threads would share the cache of what is cast, and with it parts of each other's graphs.
        return torch.autocast(device, torch.bfloat16, enabled=self.dtype == torch.bfloat16, cache_enabled=False)


class _Pairs(torch.autograd.Function):
    """Pairs' fused planes (B, 1, H, W): each is differentiated on its own, and the gradients are added in order."""

    @staticmethod
    def forward(ctx: Any, learning: LearningTITA, a: Tensor, b: Tensor, *weights: Tensor) -> Tensor:
        with torch.enable_grad():
            planes = learning.each(learning.fused, zip(a, b, strict=True))
        ctx.learning, ctx.planes, ctx.weights = learning, planes, weights
        return torch.stack([plane.detach() for plane in planes])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        def of_pair(plane: Tensor, of_plane: Tensor) -> tuple[Tensor | None, ...]:
            found: tuple[Tensor | None, ...] = torch.autograd.grad(plane, ctx.weights, of_plane, allow_unused=True)
            return found

        of_pairs = ctx.learning.each(of_pair, zip(ctx.planes, gradient, strict=True))
        del ctx.planes
        return None, None, None, *map(_total, zip(*of_pairs, strict=True))


def _total(gradients: Iterable[Tensor | None]) -> Tensor | None:
    """The sum of those that there are."""
    total = None
    for gradient in gradients:
        if gradient is not None:
            total = gradient.clone() if total is None else total.add_(gradient)
    return total


ROWS, WINDOWS, SHIFTED = range(3)  # orders of an image's pixels


class _Orders:
    """Orders of one image's pixels: row by row, window by window, and that of an image that was shifted cyclically."""

    def __init__(self, height: int, width: int, window: int, device: torch.device) -> None:
        self.height, self.width, self.window = height, width, window
        rows = torch.arange(height * width, device=device).view(height, width)
        by_window = "(wy y) (wx x) -> (wy wx y x)"
        shifted = rows.roll((-(window // 2), -(window // 2)), dims=(0, 1))
        self.pixels = [rows.flatten()] + [
            rearrange(order, by_window, y=window, x=window).contiguous() for order in (rows, shifted)
        ]
        self.places = [order.argsort() for order in self.pixels]  # where each pixel is
        self.known: dict[tuple[int, int], Tensor] = {}

    def shape(self, order: int) -> Shape:
        grid = Grid(self.height // self.window, self.width // self.window, self.window)
        return Shape(self.window, self.window, grid if order == SHIFTED else None)

    def change(self, tokens: Tensor, old: int, new: int) -> Tensor:
        """Tokens (H · W, C) of one order in the other one."""
        if old == new:
            return tokens
        moved: Tensor = _Move.apply(tokens, self._moves(old, new), self._moves(new, old))  # type: ignore[no-untyped-call]
        return moved

    def _moves(self, old: int, new: int) -> Tensor:
        if (old, new) not in self.known:
            self.known[old, new] = self.places[old][self.pixels[new]]
        return self.known[old, new]


class _Move(torch.autograd.Function):
    """Rows in another order. Torch's own gradient of that adds rows one by one."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, moves: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return tokens.index_select(0, moves)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return gradient.index_select(0, ctx.back), None, None
