"""`td.graph.Graph`: build a model operator by operator."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Sequence

import numpy as np

from tdsl.dtypes import DType, as_dtype
from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.nodes import Nodes
from tdsl.graph.ops.elementwise import FUNCTIONS, Cast, Elementwise
from tdsl.graph.ops.linear import Conv, MatMul
from tdsl.graph.ops.movement import Concat, Copy, Expand, Gather, Pad, Reshape, Slice, Transpose
from tdsl.graph.ops.reductions import Normalise, Reduce, ReduceKind, Softmax
from tdsl.graph.ops.windows import AveragePool, MaxPool, Window
from tdsl.lang.sugar import PadMode


class Graph(Nodes):
    """A model under construction: `td.Session(graph)` compiles it.

    Each method that adds an operator returns its result, a value with a `shape` (numbers) and a
    `dtype`, and raises a TdslError where the operator refuses the shapes or types it is given.

    >>> import tdsl as td
    >>> g = td.graph.Graph()
    >>> x = g.input("x", (2, 3))
    >>> w = g.constant(np.ones((3, 4), np.float32))
    >>> g.output("y", g.apply("relu", g.matmul(x, w)))
    >>> print(g.build())
    input x: f32[2, 3]
    matmul_2: f32[2, 4] = matmul(x, c_1)
    relu_3: f32[2, 4] = relu(matmul_2)
    output y = relu_3
    """

    def apply(self, function: str, *operands: Value, numbers: Sequence[float] = ()) -> Value:
        """An elementwise function of values of one dtype, their shapes broadcast as numpy's are.

        Args:
            function: a key of `tdsl.graph.ops.elementwise.FUNCTIONS`, such as "add" or "relu".
            operands: as many as the function takes.
            numbers: further parameters, such as the slope of "leaky_relu".

        Raises:
            GraphError: there is no such function, or it takes another number of operands.
        """
        _check_function(function, len(operands), numbers)
        return self.one(Elementwise(function, tuple(numbers)), *operands)

    def cast(self, x: Value, dtype: DType | str) -> Value:
        """Another element type: floats to integers saturate, integers wrap."""
        kind = as_dtype(dtype)
        return x if x.dtype is kind else self.one(Cast(kind), x)

    def matmul(
        self, a: Value, b: Value, *, transpose_a: bool = False, transpose_b: bool = False
    ) -> Value:
        """The product a[..., m, k] by b[..., k, n], of shape [..., m, n]; leading axes broadcast.

        With `transpose_a` a is [..., k, m], with `transpose_b` b is [..., n, k].
        """
        return self.one(MatMul(transpose_a, transpose_b), a, b)

    def conv(
        self, x: Value, w: Value, window: Window | None = None, groups: int = 1, *,
        bias: Value | None = None, strides: int | Sequence[int] = 1,
        pads: int | Sequence[int] = 0, dilations: int | Sequence[int] = 1,
    ) -> Value:  # fmt: skip
        """The convolution of images x[n, channels, ...] by w[channels out, channels / groups, ...].

        Args:
            x: the images.
            w: the weights, whose last axes are those of the kernel.
            window: how the kernel moves, in the place of the numbers below.
            groups: of channels; as many as channels: depthwise.
            bias: a number for each channel out.
            strides, pads, dilations: one number, or one for each axis of the image (of pads, those
                in front of all axes, then those behind them).
        """
        moved = window or Window.of(w.shape[2:], strides, pads, dilations)
        made = self.one(Conv(moved, groups), x, w)
        return made if bias is None else self.apply("add", made, self._along(bias, made))

    def max_pool(self, x: Value, window: Window) -> Value:
        """The greatest element of each window of x[n, channels, ...]."""
        return self.one(MaxPool(window), x)

    def average_pool(self, x: Value, window: Window, *, with_borders: bool = False) -> Value:
        """The mean of each window of x[n, channels, ...], over elements of the image.

        With `with_borders` the elements of the borders count, as zeros.
        """
        return self.one(AveragePool(window, with_borders), x)

    def reduce(
        self, kind: ReduceKind | str, x: Value, axes: Sequence[int], *, keep: bool = True
    ) -> Value:
        """A reduction over axes (negative ones count from the end); with none, the operand itself.

        Args:
            kind: "sum", "mean", "max", ... (`td.graph.ReduceKind`).
            x: what is reduced.
            axes: over which axes.
            keep: whether they stay, with an extent of 1.
        """
        places = tuple(sorted({axis % len(x.shape) for axis in axes}))
        return self.one(Reduce(ReduceKind(kind), places, keep), x)

    def softmax(self, x: Value, axis: int = -1, *, log: bool = False) -> Value:
        """Softmax along an axis, or (`log`) its logarithm; the shape stays."""
        return self.one(Softmax(axis % len(x.shape), log), x)

    def layer_norm(
        self, x: Value, scale: Value | None, bias: Value | None, axis: int = -1,
        epsilon: float = 1e-5,
    ) -> Value:  # fmt: skip
        """Normalisation over the axes from `axis` on, scaled and shifted."""
        made = self.one(Normalise(axis % len(x.shape), epsilon), x)
        made = made if scale is None else self.apply("mul", made, scale)
        return made if bias is None else self.apply("add", made, bias)

    def batch_norm(
        self, x: Value, scale: Value, bias: Value, mean: Value, variance: Value,
        epsilon: float = 1e-5,
    ) -> Value:  # fmt: skip
        """x[n, channels, ...] scaled and shifted by a mean and a variance for each channel."""
        spread = self.apply("add", variance, self._number(epsilon, variance))
        factor = self.apply("div", scale, self.apply("sqrt", spread))
        shift = self.apply("sub", bias, self.apply("mul", mean, factor))
        factor, shift = (self.cast(self._along(v, x), x.dtype) for v in (factor, shift))
        return self.apply("add", self.apply("mul", x, factor), shift)

    def group_norm(
        self, x: Value, groups: int, scale: Value, bias: Value, epsilon: float = 1e-5
    ) -> Value:
        """Each group of the channels of x[n, channels, ...] normalised by itself.

        Then `scale` and `bias` apply to each channel. As many groups as channels is what is called
        instance normalisation.

        Raises:
            GraphError: the channels do not divide into such groups.
        """
        batch, channels, *extents = x.shape
        if groups < 1 or channels % groups:
            raise GraphError(f"{channels} channels do not divide into {groups} groups")
        rows = self.reshape(x, (batch, groups, channels // groups * math.prod(extents)))
        made = self.reshape(self.one(Normalise(2, epsilon), rows), x.shape)
        made = self.apply("mul", made, self._along(scale, x))
        return self.apply("add", made, self._along(bias, x))

    def attention(
        self, q: Value, k: Value, v: Value, mask: Value | None = None, scale: float | None = None
    ) -> Value:
        """softmax(scale * q k' + mask) v for each head.

        Args:
            q: queries, [batch, heads, rows, width]; k and v: [batch, heads, keys, width].
            k: keys.
            v: values.
            mask: is added to the scores [batch, heads, rows, keys], broadcast: 0, or -inf where a
                row does not see a key.
            scale: 1 / sqrt(width) unless given.
        """
        factor = 1.0 / math.sqrt(max(1, q.shape[-1])) if scale is None else scale
        scores = self.matmul(self.apply("mul", q, self._number(factor, q)), k, transpose_b=True)
        seen = scores if mask is None else self.apply("add", scores, mask)
        return self.matmul(self.softmax(seen), v)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """Another shape, of numbers, with as many elements in the same order."""
        return x if tuple(shape) == x.shape else self.one(Reshape(tuple(map(int, shape))), x)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """Axes in another order: axis `order[n]` of the operand becomes axis n."""
        return x if list(order) == sorted(order) else self.one(Transpose(tuple(order)), x)

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        """The parts one after the other along an axis; they agree in all others."""
        if len(parts) == 1:
            return parts[0]
        return self.one(Concat(axis % len(parts[0].shape)), *parts)

    def split(self, x: Value, sizes: Sequence[int], axis: int = 0) -> list[Value]:
        """Parts of these extents one after the other along an axis.

        Raises:
            GraphError: together they are not the extent of the axis.
        """
        place = axis % len(x.shape)
        if sum(sizes) != x.shape[place] or min(sizes, default=0) < 0:
            raise GraphError(f"split of an extent {x.shape[place]} into {list(sizes)}")
        starts = [sum(sizes[:n]) for n in range(len(sizes))]
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        return [self.slice(x, [s], [e], [place]) for s, e in zip(starts, ends, strict=True)]

    def slice(
        self, x: Value, starts: Sequence[int], ends: Sequence[int],
        axes: Sequence[int] | None = None, steps: Sequence[int] | None = None,
    ) -> Value:  # fmt: skip
        """x[start:end:step] along axes, the first ones unless given; numbers as Python's slices."""
        rank = len(x.shape)
        places = range(len(starts)) if axes is None else [axis % rank for axis in axes]
        first, counts, strides = [0] * rank, list(x.shape), [1] * rank
        each = zip(places, starts, ends, steps or [1] * len(starts), strict=True)
        for axis, start, end, step in each:
            extent = x.shape[axis]
            # going down, an end before the first element is none
            end_at = None if step < 0 and end < -extent else end
            taken = range(extent)[slice(start, end_at, step)]
            first[axis], counts[axis], strides[axis] = taken.start, len(taken), step
        if counts == list(x.shape) and all(step == 1 for step in strides):
            return x
        return self.one(Slice(tuple(first), tuple(counts), tuple(strides)), x)

    def gather(self, x: Value, indices: Value, axis: int = 0) -> Value:
        """Parts of x along an axis at integer indices, of which negative ones count from the end.

        A run raises IndexError where one is out of range.
        """
        return self.one(Gather(axis % len(x.shape)), x, indices)

    def pad(
        self, x: Value, before: Sequence[int], after: Sequence[int], mode: PadMode = "constant",
        value: float = 0.0,
    ) -> Value:  # fmt: skip
        """Borders around every axis; negative ones cut. The modes are those of `td.pad`."""
        if not len(before) == len(after) == len(x.shape):
            raise GraphError(
                f"pad takes {len(x.shape)} numbers for each side, got {len(before)}, {len(after)}"
            )
        return self.one(Pad(tuple(before), tuple(after), mode, value), x)

    def expand(self, x: Value, shape: Sequence[int]) -> Value:
        """The operand repeated to a shape, as numpy broadcasts."""
        return x if tuple(shape) == x.shape else self.one(Expand(tuple(map(int, shape))), x)

    def copy(self, x: Value) -> Value:
        """The same elements in memory of their own."""
        return self.one(Copy(), x)

    def _along(self, v: Value, x: Value) -> Value:
        """Numbers for each channel of x[n, channels, ...], in the shape that broadcasts."""
        axes = (1,) * (len(x.shape) - 2)
        return self.reshape(v, (*v.shape, *axes)) if len(v.shape) == 1 else v

    def _number(self, value: float, like: Value) -> Value:
        return self.constant(np.asarray(value, like.dtype.numpy))


def _check_function(function: str, operands: int, numbers: Sequence[float]) -> None:
    if function not in FUNCTIONS:
        close = difflib.get_close_matches(function, FUNCTIONS, n=3)
        raise GraphError(
            f"there is no function {function!r}",
            hint=f"close: {', '.join(close)}" if close else f"one of {', '.join(FUNCTIONS)}",
        )
    taken = inspect.signature(FUNCTIONS[function])
    try:
        taken.bind(*range(operands), *numbers)
    except TypeError as error:
        names = ", ".join(taken.parameters)
        further = f" and {len(numbers)} numbers" if numbers else ""
        raise GraphError(f"{function} takes ({names}), got {operands} operands{further}") from error
