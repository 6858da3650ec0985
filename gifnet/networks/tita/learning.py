"""TITA in the form that training runs on a processor: the folded blocks, with gradients, an image at a time.

What one image makes of a block stays in the processor's caches, and a batch's does not. The folding (``folded.py``) is
part of what is differentiated, so that the network's own parameters learn; it is done anew wherever they have changed.
Tokens go from one order of windows to the other by one copy, and stay in it through all that looks at pixels only.
"""

from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..padding import reflect_pad
from ..planes import check_planes
from .attention import Grid
from .folded import FoldedCrossBlock, FoldedSwinBlock, Shape, folded_blocks
from .model import TITA
from .swin import SwinGroup


class LearningTITA:
    """A network as its parameters are now; blocks compute in ``dtype``, the residual stream in float32."""

    def __init__(self, network: TITA, dtype: torch.dtype) -> None:
        self.network, self.dtype = network, dtype
        groups = (network.extraction.group_a, network.extraction.group_b, network.reconstruction.group)
        self.groups = {group: folded_blocks(group.blocks).to(dtype) for group in groups}
        self.cross = folded_blocks(network.interaction.blocks).to(dtype)

    def predict(self, a: Tensor, b: Tensor) -> Tensor:
        """As ``TITA.predict``: planes (B, 1, H, W) of both inputs, and the fused one, not clamped; float32."""
        check_planes(a, b)
        height, width = a.shape[-2:]
        window = self.network.config.window
        planes = reflect_pad(torch.cat([a, b]), 0, -width % window, 0, -height % window)
        orders = _Orders(planes.shape[-2], planes.shape[-1], window, planes.device)
        with self._autocast():
            images = rearrange(self.network.extraction.convolutions(planes), "b c h w -> b (h w) c").float()
        pairs = zip(*images.chunk(2), strict=True)
        fused = torch.stack([self._fused(x, y, orders) for x, y in pairs])
        return fused[..., :height, :width]

    def _fused(self, x: Tensor, y: Tensor, orders: "_Orders") -> Tensor:
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
        return torch.autocast(device, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)


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
