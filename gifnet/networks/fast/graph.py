"""The fast network as an ONNX graph, for any height and width: ``model.py``'s stages, features (1, C, H, W)."""

from typing import cast

from torch import nn

from ..frame import Frame
from ..graph import Graph, Value, convolution
from .model import GRID, NEIGHBOURHOOD, FastNetwork, Layers, Trunk

IMAGE = (2, 3)  # axes of rows and columns


def write_fusing(graph: Graph, network: FastNetwork, a: Value, b: Value) -> Value:
    """Planes (1, 1, H, W), float32 in [0, 1], to the fused one."""
    frame = Frame.of(a)
    halves = _halves(_filled(a.beside(b, axis=1), frame))
    decided = _pixels(_convolved(network.choose, _features(network.trunk, halves)), frame)
    choice, correction = decided.split(1, [1, 1])
    limit = frame.crop(_reach(halves), 0, IMAGE) * float(network.config.correction)
    return (b + graph("Sigmoid", choice) * (a - b) + graph("Tanh", correction) * limit).clip()


def write_enhancing(graph: Graph, network: FastNetwork, x: Value) -> Value:
    """A plane (1, 1, H, W), float32 in [0, 1], to the enhanced one."""
    frame = Frame.of(x)
    features = _features(network.trunk, _halves(_filled(x.beside(x, axis=1), frame)))
    return (x + _pixels(_convolved(network.improve, features), frame)).clip()


def _filled(planes: Value, frame: Frame) -> Value:
    """With sides filled up to a multiple of ``GRID``, by the last row and column."""
    graph = planes.graph
    pads = graph.integers(0, 0).beside(*frame.missing(GRID), axis=0)
    return graph("Pad", planes, pads, None, graph.integers(*IMAGE), mode="edge")


def _halves(planes: Value) -> Value:
    """Each 2x2 pixels as channels, those of the first plane first: (1, 2, H, W) to (1, 8, H/2, W/2)."""
    graph = planes.graph
    return graph("Gather", graph("SpaceToDepth", planes, blocksize=2), graph.integers(0, 2, 4, 6, 1, 3, 5, 7), axis=1)


def _features(trunk: Trunk, halves: Value) -> Value:
    def layers(module: nn.Module, x: Value) -> Value:
        y = x
        for layer in cast(Layers, module).layers:
            y = _convolved(cast(nn.Conv2d, layer), y).relu()
        return x + y

    fine = layers(trunk.down, _convolved(trunk.enter, halves.to(halves.graph.dtype)).relu())
    coarse = layers(trunk.quarter, _convolved(trunk.to_quarter, fine).relu())
    coarser = layers(trunk.eighth, _convolved(trunk.to_eighth, coarse).relu())
    coarse = coarse + _twice(_convolved(trunk.from_eighth, coarser))
    return layers(trunk.up, fine + _twice(_convolved(trunk.from_quarter, coarse)))


def _convolved(layer: nn.Conv2d, x: Value) -> Value:
    return convolution(x, layer.weight, layer.bias, layer.kernel_size[0] // 2, layer.stride[0])


def _pixels(values: Value, frame: Frame) -> Value:
    """What 2x2 pixels have as channels, in float32, to each pixel that there is."""
    apart = values.graph("DepthToSpace", values.to("float32"), blocksize=2, mode="CRD")
    return frame.crop(apart, 0, IMAGE)


def _twice(x: Value) -> Value:
    """At twice the resolution."""
    graph = x.graph
    scales = graph.constant([1, 1, 2, 2], "float32")
    return graph("Resize", x, None, scales, mode="linear", coordinate_transformation_mode="half_pixel")


def _reach(halves: Value) -> Value:
    """See ``model._reach``."""
    graph, margin = halves.graph, NEIGHBOURHOOD // 2
    a, b = halves.split(1, [4, 4])
    largest = graph("ReduceMax", graph("Abs", a - b), graph.integers(1), keepdims=1)
    around = graph("MaxPool", largest, kernel_shape=[NEIGHBOURHOOD] * 2, pads=[margin] * 4, strides=[1, 1])
    return _twice(around)
