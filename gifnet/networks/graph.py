"""What networks write their ONNX graphs with: a recorder of operators, and values that are computed with.

A graph says what a network computes in the operators of ONNX (opset 18 and later), for images of any height and width:
these are known when it runs, and are values of it as pixels are. ``gifnet.export`` makes a file of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Precision: TypeAlias = Literal["float32", "float16"]
Type: TypeAlias = Precision | Literal["int64", "bool"]
Number: TypeAlias = "Value | float"


@dataclass(frozen=True)
class Node:
    """An operator at work: the names of what it reads and gives; a name that is empty is left out."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(eq=False)
class Graph:
    """Operators in the order in which they were asked for, and the constants that they read.

    ``dtype`` is the precision that features are computed in. Planes and statistics are float32.
    """

    dtype: Precision = "float32"
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    _names: dict[tuple[Any, ...], str] = field(default_factory=dict)  # of constants, by what they are

    def value(self, name: str, dtype: Type = "float32") -> "Value":
        """What goes in from outside, by its name."""
        return Value(self, name, dtype)

    def constant(self, values: Any, dtype: Type) -> "Value":
        """Numbers that are known; the same ones are kept once."""
        with np.errstate(over="ignore"):  # what float16 does not have is infinite
            array = np.asarray(values, dtype)
        name = self._names.setdefault((dtype, array.shape, array.tobytes()), f"constant_{len(self._names)}")
        self.constants[name] = array
        return Value(self, name, dtype)

    def integers(self, *values: int) -> "Value":
        """Sizes, axes, positions: (n,), int64."""
        return self.constant(list(values), "int64")

    def weights(self, tensor: Tensor, dtype: Type | None = None) -> "Value":
        """A tensor of the network's, in the graph's precision or another one."""
        return self.constant(tensor.detach().to("cpu", torch.float64).numpy(), dtype or self.dtype)

    def several(
        self, operator: str, count: int, *inputs: "Value | None", dtype: Type | None = None, **attributes: Any
    ) -> "list[Value]":
        """The outputs of an operator that has ``count`` of them; they have the first input's dtype if none is named."""
        first = inputs[0]
        assert first is not None
        names = tuple(f"{operator}_{len(self.nodes)}{f'_{index}' if index else ''}" for index in range(count))
        self.nodes.append(Node(operator, tuple("" if one is None else one.name for one in inputs), names, attributes))
        return [Value(self, name, dtype or first.dtype) for name in names]

    def __call__(self, operator: str, *inputs: "Value | None", dtype: Type | None = None, **attributes: Any) -> "Value":
        """The output of an operator."""
        return self.several(operator, 1, *inputs, dtype=dtype, **attributes)[0]


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor that the graph computes."""

    graph: Graph
    name: str
    dtype: Type

    def __add__(self, other: Number) -> "Value":
        return self._with("Add", other)

    def __sub__(self, other: Number) -> "Value":
        return self._with("Sub", other)

    def __mul__(self, other: Number) -> "Value":
        return self._with("Mul", other)

    def __truediv__(self, other: Number) -> "Value":
        return self._with("Div", other)

    def __matmul__(self, other: "Value") -> "Value":
        return self.graph("MatMul", self, other)

    def __mod__(self, other: Number) -> "Value":
        """Of integers: the remainder that is not negative."""
        return self._with("Mod", other)

    def _with(self, operator: str, other: Number) -> "Value":
        return self.graph(operator, self, other if isinstance(other, Value) else self.graph.constant(other, self.dtype))

    def to(self, dtype: Type) -> "Value":
        """In another precision."""
        if dtype == self.dtype:
            return self
        codes = {"float32": 1, "int64": 7, "bool": 9, "float16": 10}  # onnx.TensorProto's
        return self.graph("Cast", self, dtype=dtype, to=codes[dtype])

    def size(self, axis: int) -> "Value":
        """The length of an axis, not counted from the end: (1,), int64."""
        return self.graph("Shape", self, dtype="int64", start=axis, end=axis + 1)

    def reshape(self, *sides: "int | Value") -> "Value":
        """By sides that are numbers, -1 for what remains, or values (1,), int64."""
        if all(isinstance(side, int) for side in sides):
            return self.graph("Reshape", self, self.graph.constant(sides, "int64"))
        parts = [self.graph.integers(side) if isinstance(side, int) else side for side in sides]
        return self.graph("Reshape", self, self.graph("Concat", *parts, axis=0))

    def transpose(self, *axes: int) -> "Value":
        """With its axes in this order."""
        return self.graph("Transpose", self, perm=list(axes))

    def split(self, axis: int, sizes: Sequence[int]) -> "list[Value]":
        """Cut along an axis into parts of these sizes."""
        return self.graph.several("Split", len(sizes), self, self.graph.integers(*sizes), axis=axis)

    def part(self, axis: int, start: "int | Value", stop: "int | Value") -> "Value":
        """From ``start`` up to ``stop`` along an axis."""
        start, stop = (self.graph.integers(one) if isinstance(one, int) else one for one in (start, stop))
        return self.graph("Slice", self, start, stop, self.graph.integers(axis))

    def beside(self, *others: "Value", axis: int) -> "Value":
        """Put together along an axis."""
        return self.graph("Concat", self, *others, axis=axis)

    def mean(self, axis: int) -> "Value":
        """Along one axis, which stays with one entry. Over an image, axis by axis: a sum of all would lose digits."""
        return self.graph("ReduceMean", self, self.graph.integers(axis), keepdims=1)

    def clip(self) -> "Value":
        """To [0, 1]."""
        return self.graph("Clip", self, self.graph.constant(0, self.dtype), self.graph.constant(1, self.dtype))

    def relu(self) -> "Value":
        """Without what is negative."""
        return self.graph("Relu", self)

    def gelu(self) -> "Value":
        """x·Φ(x), with the error function."""
        return self * 0.5 * (self.graph("Erf", self * 0.5**0.5) + 1)


def affine(x: Value, weight: Tensor, bias: Tensor | None) -> Value:
    """Tokens (N, C) by weights (D, C) and a bias (D,) to (N, D)."""
    graph = x.graph
    return graph("Gemm", x, graph.weights(weight), None if bias is None else graph.weights(bias), transB=1)


def convolution(
    x: Value, weight: Tensor, bias: Tensor | None, padding: int = 0, stride: int = 1, groups: int = 1
) -> Value:
    """Features (1, C, H, W), padded with zeros, by weights as torch has them; computed in the features' dtype."""
    graph = x.graph
    return graph(
        "Conv",
        x,
        graph.weights(weight, x.dtype),
        None if bias is None else graph.weights(bias, x.dtype),
        kernel_shape=list(weight.shape[2:]),
        pads=[padding] * 4,
        strides=[stride] * 2,
        group=groups,
    )
