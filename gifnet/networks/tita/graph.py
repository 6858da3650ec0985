"""TITA as an ONNX graph, for any height and width: its folded form's weights, windows shifted as in the plain form.

Features are (1, H, W, C), and (1, C, H, W) where convolutions see them; windows' tokens are (N, C).
"""

from collections.abc import Iterable
from typing import cast

from torch import nn

from ..frame import Frame, Windows, attention
from ..graph import Graph, Value, affine, convolution
from .ends import Convolutions, FoldedOperations
from .extraction import SLOPE
from .folded import Affine, FoldedCrossBlock, FoldedMLP, FoldedStream, FoldedSwinBlock, WindowBias
from .inference import TiledTITA, inference_form
from .model import TITA
from .oaf import OPERATIONS, SIDE
from .swin import MASKED, table_rows

IMAGE, PIXELS = (2, 3), (1, 2)  # axes of rows and columns: of (1, C, H, W), and of (1, H, W, C)


def write_fusing(graph: Graph, network: TITA, a: Value, b: Value) -> Value:
    """Planes (1, 1, H, W), float32 in [0, 1], the visible one first, to the fused one."""
    frame = Frame.of(a)
    missing = frame.missing(network.config.window)
    writer = _Writer(graph, inference_form(network), frame.grown(0, missing))
    x, y = (frame.reflect(plane, 0, missing, IMAGE) for plane in (a, b))
    return frame.crop(writer.fused(x, y), 0, IMAGE).clip()


class _Writer:
    """Writes the stages of one network, over a frame whose sides are multiples of the window's."""

    def __init__(self, graph: Graph, form: TiledTITA, frame: Frame) -> None:
        self.graph, self.form, self.frame = graph, form, frame
        self.channels, self.window = form.channels, form.window
        self.windows = Windows(frame, form.window)
        self.mask = self._mask()

    def fused(self, a: Value, b: Value) -> Value:
        """The whole network, before its result is clipped."""
        form = self.form
        x, y = (self._extracted(plane, index) for index, plane in enumerate((a, b)))
        x, y = self._blocks(form.interact, _norm(x, form.norm), _norm(y, form.norm))
        x, y = (_norm(each, norm) for each, norm in zip((x, y), form.interact_norms, strict=True))
        (z,) = self._blocks(form.reconstruct, _norm(self._operated(x, y), form.norm))
        z = _norm(z, form.reconstruct_norm)
        # In float16, a level of 255 is not much coarser than a value near 1.
        return _convolved(form.decode, z.transpose(0, 3, 1, 2).to("float32"))

    def _extracted(self, plane: Value, stream: int) -> Value:
        form = self.form
        features = _convolved(form.embed, plane.to(self.graph.dtype)).transpose(0, 2, 3, 1)
        blocks = (form.extract_a, form.extract_b)[stream]
        (x,) = self._blocks(blocks, _norm(features, form.norm))
        return _norm(x, form.extract_norms[stream])

    def _blocks(self, blocks: Iterable[nn.Module], *streams: Value) -> tuple[Value, ...]:
        """Blocks in turn over one stream's features, or both streams'."""
        for block in blocks:
            assert isinstance(block, (FoldedSwinBlock, FoldedCrossBlock))
            tokens = [self.windows.tokens(self._rolled(x, block.shift), self.channels) for x in streams]
            tokens = self._swin(block, *tokens) if isinstance(block, FoldedSwinBlock) else self._cross(block, *tokens)
            streams = tuple(self._rolled(self.windows.merge(one, self.channels), -block.shift) for one in tokens)
        return streams

    def _rolled(self, x: Value, shift: int) -> Value:
        """Features whose first ``shift`` rows and columns come last; for a negative one, the way back."""
        if shift:
            for axis, side in zip(PIXELS, self.frame.sides, strict=True):
                end = side + shift if shift < 0 else shift
                x = x.part(axis, end, side).beside(x.part(axis, 0, end), axis=axis)
        return x

    def _mask(self) -> Value:
        """See ``swin.shift_mask``: (windows, 1, window², window²)."""
        graph, half = self.graph, self.window // 2

        def parts(side: Value) -> Value:
            zero, one = graph.constant(0, "int64"), graph.constant(1, "int64")
            positions = graph("Range", zero, graph("Squeeze", side), one)
            return graph("Less", positions, side + -half, dtype="bool").to("int64")

        rows, columns = map(parts, self.frame.sides)
        part = rows.reshape(-1, 1) * 2 + columns.reshape(1, -1)
        tokens = self.windows.tokens(part.reshape(1, *self.frame.sides, 1), 1)
        size = self.window**2
        alike = graph("Equal", tokens.reshape(-1, 1, size, 1), tokens.reshape(-1, 1, 1, size), dtype="bool")
        masked = graph.constant(MASKED, graph.dtype)
        return graph("Where", alike, graph.constant(0, graph.dtype), masked, dtype=graph.dtype)

    def _attended(self, attend: nn.Module, shift: int, query: Value, key: Value, value: Value) -> Value:
        assert isinstance(attend, WindowBias)
        # Of each offset once: the table that the biases were taken from.
        rows = table_rows(self.window)
        table = attend.bias.new_empty(int(rows.max()) + 1, attend.heads)
        table[rows] = attend.bias.permute(1, 2, 0)
        of_pairs = self.graph("Gather", self.graph.weights(table), self.graph.constant(rows.numpy(), "int64"), axis=0)
        bias, mask = of_pairs.transpose(2, 0, 1), self.mask if shift else None
        return attention(query, key, value, bias, (attend.heads, self.window, self.channels), mask)

    def _swin(self, block: FoldedSwinBlock, x: Value) -> list[Value]:
        query, key, value = _affine(block.read, _normalised(x, self.channels)).split(1, [self.channels] * 3)
        x = x + _affine(block.project, self._attended(block.attend, block.shift, query, key, value))
        return [_mlp(block.mlp, x)]

    def _cross(self, block: FoldedCrossBlock, x: Value, y: Value) -> list[Value]:
        channels = [self.channels] * 3
        query_x, key_y, value_y = _affine(block.x.read, _normalised(x, self.channels)).split(1, channels)
        query_y, key_x, value_x = _affine(block.y.read, _normalised(y, self.channels)).split(1, channels)
        of_x, of_y = (
            _affine(stream.expand, self._attended(stream.attend, block.shift, query, key, value)).split(1, channels * 2)
            for stream, query, key, value in ((block.x, query_x, key_x, value_x), (block.y, query_y, key_y, value_y))
        )

        def score(first: Value, second: Value) -> Value:
            return self.graph("Softmax", _affine(block.relation, (first + second).gelu()), axis=-1)

        return [
            self._finished(block.x, x, of_x[0], score(of_x[4], of_y[5]), of_x[1], of_x[2], of_y[3]),
            self._finished(block.y, y, of_y[0], score(of_y[4], of_x[5]), of_y[1], of_y[2], of_x[3]),
        ]

    def _finished(
        self, stream: FoldedStream, x: Value, own: Value, score: Value, query: Value, value: Value, other: Value
    ) -> Value:
        """See ``FoldedStream.finish``."""
        wide = self.channels // stream.heads
        products = (_affine(stream.key_difference, own * score) * query).reshape(-1, stream.heads, wide)
        share = self.graph("Sigmoid", self.graph("ReduceSum", products, self.graph.integers(2), keepdims=1))
        value, other = (each.reshape(-1, stream.heads, wide) for each in (value, other))
        attended = (other + share * (value - other)).reshape(-1, self.channels)
        return _mlp(stream.mlp, x + own + _affine(stream.project, attended))

    def _operated(self, x: Value, y: Value) -> Value:
        """OAF: the weighted sum of three operations on each stream's features."""
        weigh = self.form.weigh
        means = [each.to("float32").mean(2).mean(1).reshape(1, self.channels) for each in (x, y)]
        hidden, logits = (cast(nn.Linear, weigh[index]) for index in (0, 2))
        inner = self.graph.weights(hidden.weight.T, "float32"), self.graph.weights(hidden.bias, "float32")
        outer = self.graph.weights(logits.weight.T, "float32"), self.graph.weights(logits.bias, "float32")
        scores = (means[0].beside(means[1], axis=1) @ inner[0] + inner[1]).gelu() @ outer[0] + outer[1]
        weights = self.graph("Softmax", scores, axis=-1).to(self.graph.dtype).split(1, [1] * 2 * len(OPERATIONS))
        streams = ((x, self.form.oaf.x, weights[:3]), (y, self.form.oaf.y, weights[3:]))
        first, second = (self._operations(each.transpose(0, 3, 1, 2), own, shares) for each, own, shares in streams)
        return (first + second).transpose(0, 2, 3, 1)

    def _operations(self, x: Value, operations: FoldedOperations, shares: list[Value]) -> Value:
        """One stream's part, (1, C, H, W)."""
        graph = self.graph
        z = convolution(x, operations.compress, operations.compress_bias)
        operands = convolution(z, operations.weight, operations.bias, padding=1)
        logits, residual, factor = operands.split(1, [SIDE**2, self.channels, self.channels])
        kernel = graph("Softmax", logits, axis=1) * graph.weights(operations.hamming[:, None, None])
        kernel = kernel / graph("ReduceSum", kernel, graph.integers(1), keepdims=1)
        around = self.frame.reflect(x, SIDE // 2, SIDE // 2, IMAGE)
        low = None
        for index, share in enumerate(kernel.split(1, [1] * SIDE**2)):
            shifted = around
            for axis, side, start in zip(IMAGE, self.frame.sides, divmod(index, SIDE), strict=True):
                shifted = shifted.part(axis, start, side + start)
            low = shifted * share if low is None else low + shifted * share
        assert low is not None
        high_pass, addition, multiplication = shares
        return (x - low) * high_pass + (x + residual) * addition + x * factor * multiplication


def _affine(layer: nn.Module, tokens: Value) -> Value:
    assert isinstance(layer, Affine)
    return affine(tokens, layer.weight, layer.bias)


def _mlp(mlp: nn.Module, x: Value) -> Value:
    assert isinstance(mlp, FoldedMLP)
    channels = mlp.first.weight.shape[1]
    return x + _affine(mlp.second, _affine(mlp.first, _normalised(x, channels)).gelu())


def _normalised(tokens: Value, channels: int) -> Value:
    """LayerNorm without weight and bias."""
    graph = tokens.graph
    ones = graph.constant([1] * channels, graph.dtype)
    return graph("LayerNormalization", tokens, ones, axis=-1, epsilon=1e-5)


def _norm(x: Value, norm: nn.Module) -> Value:
    assert isinstance(norm, nn.LayerNorm)
    graph = x.graph
    weight, bias = graph.weights(norm.weight), graph.weights(norm.bias)
    return graph("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)


def _convolved(convolutions: Convolutions, x: Value) -> Value:
    """See ``Convolutions``."""
    for index in range(convolutions.number):
        weight, bias = (convolutions.get_buffer(f"{name}{index}") for name in ("weight", "bias"))
        x = convolution(x, weight, bias, padding=1)
        if convolutions.activated or index + 1 < convolutions.number:
            x = x.graph("LeakyRelu", x, alpha=SLOPE)
    return x
