"""The pixels of an image of any size in a graph: reflection padding, and windows."""

from functools import cached_property

from .graph import Graph, Value


class Frame:
    """Height and width of an image, each (1,), int64, and what follows from them; each of it is computed once."""

    def __init__(self, height: Value, width: Value) -> None:
        self.graph: Graph = height.graph
        self.sides = (height, width)
        self._indices: dict[tuple[int, int, str], tuple[Value | None, Value | None]] = {}

    @classmethod
    def of(cls, plane: Value) -> "Frame":
        """That of a plane (1, 1, H, W)."""
        return cls(plane.size(2), plane.size(3))

    def missing(self, multiple: int, shift: int = 0) -> tuple[Value, Value]:
        """Rows and columns that lack below and on the right, until ``shift`` of them more make a multiple."""
        rows, columns = ((side * -1 + -shift) % multiple for side in self.sides)
        return rows, columns

    def grown(self, before: int, after: tuple[Value, Value]) -> "Frame":
        """With so many rows and columns more, before the first and after the last."""
        height, width = (side + more + before for side, more in zip(self.sides, after, strict=True))
        return Frame(height, width)

    def reflect(self, x: Value, before: int, after: "int | tuple[Value, Value]", axes: tuple[int, int]) -> Value:
        """Pad rows and columns, the two axes, of ``x`` by reflection: as ``padding.reflect_pad``, sides of 1 too."""
        for number, axis in enumerate(axes):
            many = after if isinstance(after, int) else after[number]
            left, right = self._reflected(number, before, many)
            mirrored = [index and self.graph("Gather", x, index, axis=axis) for index in (left, right)]
            parts = [part for part in (mirrored[0], x, mirrored[1]) if part is not None]
            x = parts[0].beside(*parts[1:], axis=axis)
        return x

    def crop(self, x: Value, start: int, axes: tuple[int, int]) -> Value:
        """So many rows and columns of ``x`` as there are here, from the one with this number."""
        for axis, side in zip(axes, self.sides, strict=True):
            x = x.part(axis, start, side + start if start else side)
        return x

    def _reflected(self, number: int, before: int, after: "int | Value") -> tuple[Value | None, Value | None]:
        """Where pixels before the first and after the last one of a side come from; None where there are none."""
        key = (number, before, after.name if isinstance(after, Value) else str(after))
        if key not in self._indices:
            graph, side = self.graph, self.sides[number]
            first = self._mirrored(number, graph.integers(*range(before, 0, -1))) if before else None
            if isinstance(after, Value):
                scalar = graph("Squeeze", after)
                beyond: Value | None = graph(
                    "Range", graph.constant(0, "int64"), scalar, graph.constant(1, "int64"), dtype="int64"
                )
            else:
                beyond = graph.integers(*range(after)) if after else None
            last = None if beyond is None else self._mirrored(number, beyond + side)
            self._indices[key] = first, last
        return self._indices[key]

    def _mirrored(self, number: int, position: Value) -> Value:
        """Positions, none of them negative, in a side: the border pixel is not repeated."""
        period = self._periods[number]
        position = position % period
        return self.graph("Min", position, period - position)

    @cached_property
    def _periods(self) -> tuple[Value, ...]:
        """After how many pixels the mirrored sides repeat themselves; 1 for a side of one pixel."""
        return tuple(self.graph("Max", side * 2 + -2, self.graph.integers(1)) for side in self.sides)


class Windows:
    """A frame cut into windows; both its sides are multiples of theirs."""

    def __init__(self, frame: Frame, size: int) -> None:
        self.frame, self.size = frame, size
        self.rows, self.columns = (side / size for side in frame.sides)

    def tokens(self, x: Value, channels: int) -> Value:
        """Features (1, H, W, C) to (windows · window², C)."""
        size = self.size
        x = x.reshape(self.rows, size, self.columns, size, channels)
        return x.transpose(0, 2, 1, 3, 4).reshape(-1, channels)

    def merge(self, tokens: Value, channels: int) -> Value:
        """The way back."""
        size = self.size
        x = tokens.reshape(self.rows, self.columns, size, size, channels)
        return x.transpose(0, 2, 1, 3, 4).reshape(1, *self.frame.sides, channels)


def attention(
    query: Value, key: Value, value: Value, bias: Value, sizes: tuple[int, int, int], mask: Value | None = None
) -> Value:
    """Attention in windows: tokens (windows · window², C), columns (head, C / heads), queries scaled before.

    ``sizes``: the number of heads, pixels of a window's side, and C.

    ``bias``: (heads, window², window²); ``mask``: what each window adds to that, (windows, 1, window², window²).
    """
    heads, window, channels = sizes
    size, wide = window**2, channels // heads

    def apart(tokens: Value, *axes: int) -> Value:
        return tokens.reshape(-1, size, heads, wide).transpose(*axes)

    logits = apart(query, 0, 2, 1, 3) @ apart(key, 0, 2, 3, 1) + bias
    if mask is not None:
        logits = logits + mask
    weights = query.graph("Softmax", logits, axis=-1)
    return (weights @ apart(value, 0, 2, 1, 3)).transpose(0, 2, 1, 3).reshape(-1, channels)
