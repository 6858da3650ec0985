"""GIFNet as an ONNX graph: the folded form (``folded.py``) over the whole image, for any height and width.

Stages and what is folded are those of ``folded.py``. What depends on an image's statistics is folded in the graph, in
float32. Features are (1, C, H, W), windows' tokens (N, C).
"""

from typing import NamedTuple

import torch

from ..frame import Frame, Windows, attention
from ..graph import Graph, Value, convolution
from .cfgm import EPSILON, PATCH
from .config import Branch
from .folded import FoldedBlock, FoldedBranch, FoldedGIFNet
from .layers import Conv
from .model import GIFNet

IMAGE, PIXELS = (2, 3), (1, 2)  # axes of rows and columns: of (1, C, H, W), and of (1, H, W, C)


def write_fusing(graph: Graph, network: GIFNet, a: Value, b: Value, main: Branch | None = None) -> Value:
    """Planes (1, 1, H, W), float32 in [0, 1], to the fused one."""
    return _Writer(graph, FoldedGIFNet(network, main), Frame.of(a)).fused(a, b)


def write_enhancing(graph: Graph, network: GIFNet, x: Value) -> Value:
    """A plane (1, 1, H, W), float32 in [0, 1], to the enhanced one."""
    return write_fusing(graph, network, x, x, network.config.enhance_main)


class _Matrices(NamedTuple):
    """``folded.BlockMatrices`` of the graph, as they are multiplied with from the right, (C, D); biases (D,)."""

    query: Value | None
    query_bias: Value | None
    key: Value
    value: Value
    out: Value
    up_bias: Value
    down_bias: Value


class _Writer:
    """Writes the stages of one network."""

    def __init__(self, graph: Graph, folded: FoldedGIFNet, frame: Frame) -> None:
        self.graph, self.folded, self.frame = graph, folded, frame
        self.channels = folded.channels
        self.missing = frame.missing(PATCH)
        self.padded = frame.grown(0, self.missing)  # where both embeddings and the blocks are

    def fused(self, a: Value, b: Value) -> Value:
        """The whole network."""
        folded, frame, padded = self.folded, self.frame, self.padded
        planes = a.beside(b, axis=1)
        shared = planes.to(self.graph.dtype)
        for conv in folded.encoder:
            shared = shared.beside(self.conv(conv, shared, frame), axis=1)
        both = self.conv(folded.embed, frame.reflect(shared, 0, self.missing, IMAGE), padded)
        x, y = both.split(1, [self.channels] * 2)
        main, query = self.branch(x, folded.cross, folded.cross_main)
        other, _ = self.branch(y, folded.cross, folded.cross_other, query)
        mixed, _ = self.branch(main + other * folded.mix, folded.shifted, folded.shifted_main)
        gated = frame.crop(self.conv(folded.from_gated, mixed, padded), 0, IMAGE)
        from_shared = folded.from_shared.T[..., None, None]
        x = (gated + convolution(shared, from_shared, None)).relu()
        for conv in folded.decode:
            x = self.conv(conv, x, frame)
        return self.plane(x.to("float32"), a, b)

    def conv(self, conv: torch.nn.Module, x: Value, frame: Frame) -> Value:
        assert isinstance(conv, Conv)
        padded = frame.reflect(x, conv.margin, conv.margin, IMAGE) if conv.margin else x
        groups = self.channels if conv.weight.shape[1] == 1 else 1
        y = convolution(padded, conv.weight, conv.bias, groups=groups)
        return y.relu() if conv.relu else y

    def branch(
        self, x: Value, block: FoldedBlock, branch: FoldedBranch, query: Value | None = None
    ) -> tuple[Value, Value]:
        """A branch's result of a block, (1, C, H, W), and its query; with ``query``, the other branch's is used."""
        graph, channels, window = self.graph, self.channels, block.window
        after = self.padded.missing(window, block.shift)
        windows = Windows(self.padded.grown(block.shift, after), window)

        def tokens(image: Value) -> Value:
            features = image.transpose(0, 2, 3, 1)
            return windows.tokens(self.padded.reflect(features, block.shift, after, PIXELS), channels)

        weights = self.matrices(branch, *self.statistics(x))
        values = graph("Conv", x, weights.value.transpose(1, 0).reshape(channels, channels, 1, 1), kernel_shape=[1, 1])
        given = tokens(x)
        if query is None:
            assert weights.query is not None
            query = graph("Gemm", given, weights.query, weights.query_bias)
        sizes = block.heads, window, channels
        bias = graph.weights(block.bias[0])
        attended = attention(query, given @ weights.key, given @ weights.value, bias, sizes)
        local = self.conv(branch.local, values, self.padded)
        result = graph("Gemm", attended + tokens(local), weights.out, given)
        c = branch.constants
        hidden = graph("Gemm", result, graph.weights(c["mlp.0.weight"].T), weights.up_bias).relu()
        result = graph("Gemm", hidden, graph.weights(c["mlp.2.weight"].T), weights.down_bias) + result
        merged = windows.merge(result, channels)
        return self.padded.crop(merged, block.shift, PIXELS).transpose(0, 3, 1, 2), query

    def statistics(self, x: Value) -> tuple[Value, Value]:
        """Mean and deviation of features over all channels and pixels, (1,), float32."""

        def mean(values: Value) -> Value:
            for axis in (3, 2, 1):
                values = values.mean(axis)
            return values.reshape(1)

        x = x.to("float32")
        middle = mean(x)
        difference = x - middle
        variance = mean(difference * difference)
        return middle, self.graph("Sqrt", variance + EPSILON)

    def matrices(self, branch: FoldedBranch, mean: Value, deviation: Value) -> _Matrices:
        """As ``FoldedBranch.matrices`` has them."""

        def known(name: str) -> Value:
            return self.graph.weights(c[name], "float32")

        def matrix(values: torch.Tensor) -> Value:
            """To multiply with from the right; kept in the graph's precision."""
            return self.graph.weights(values.T).to("float32")

        def folded(values: torch.Tensor) -> Value:
            return (rows * matrix(values)).to(self.graph.dtype)

        c = branch.constants
        scale = known("norm.weight") / deviation
        shift = known("norm.bias") - mean * scale
        rescale = known("norm.rescale.weight") * deviation + known("norm.rescale.bias")
        rebias = known("norm.rebias.weight") * mean + known("norm.rebias.bias")
        rows = scale.reshape(self.channels, 1)
        query, key = c["query_key.weight"].chunk(2)
        query_matrix = query_bias = None
        if branch.with_query:
            query_matrix = folded(query * branch.query_scale)
            bias = self.graph.weights(c["query_key.bias"].chunk(2)[0] * branch.query_scale, "float32")
            query_bias = shift @ matrix(query * branch.query_scale) + bias
            query_bias = query_bias.to(self.graph.dtype)
        value_bias = shift @ matrix(c["value.weight"]) + known("value.bias")
        mixed = value_bias * self.graph.weights(1 + c["local.weight"].sum(dim=1), "float32") + known("local.bias")
        out = matrix(c["project.weight"]) * rescale
        left_out = mixed @ out + rescale * known("project.bias") + rebias
        up_bias = left_out @ matrix(c["mlp.0.weight"]) + known("mlp.0.bias")
        down_bias = left_out + known("mlp.2.bias")
        dtype = self.graph.dtype
        return _Matrices(
            query_matrix, query_bias, folded(key), folded(c["value.weight"]),
            out.to(dtype), up_bias.to(dtype), down_bias.to(dtype),
        )  # fmt: skip

    def plane(self, values: Value, a: Value, b: Value) -> Value:
        """What ``decoder.finish_plane`` makes of the last convolution's result and both planes; in [0, 1]."""
        if self.folded.head == "plane":
            return (self.graph("Tanh", values) * 0.5 + 0.5).clip()
        choice, correction = values.split(1, [1, 1])
        blend = b + self.graph("Sigmoid", choice) * (a - b)
        return (blend + self.graph("Tanh", correction) * 0.5).clip()
