"""Matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import broadcast, read, static
from tdsl.graph.ops.windows import Window
from tdsl.lang import sugar
from tdsl.lang.compute import compute
from tdsl.lang.reduce import sum as reduce_sum
from tdsl.lang.tensor import Tensor, reduce_axis
from tdsl.lang.value import Value, cast
from tdsl.schedules import convolution
from tdsl.schedules.windows import Layout


@dataclass(frozen=True, slots=True)
class MatMul(Op):
    """Products of matrices in the last two axes; the axes before them are broadcast.

    Either operand may be stored transposed.
    """

    transpose_a: bool = False
    transpose_b: bool = False

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        a, b = inputs
        first, second = static(a), static(b)
        rows, inner = first[-2:] if not self.transpose_a else first[:-3:-1]
        height, columns = second[-2:] if not self.transpose_b else second[:-3:-1]
        if inner != height:
            raise GraphError(f"matrices of shapes {list(first)} and {list(second)} do not multiply")
        batch = broadcast(first[:-2], second[:-2])
        k = reduce_axis(inner, name="k")
        left, right = first[-2:], second[-2:]

        def ordered(x: Value, y: Value, turned: bool) -> tuple[Value, Value]:
            return (y, x) if turned else (x, y)

        def element(*at: Value) -> Value:
            *outer, i, j = at
            x = read(a, (*outer, *ordered(i, k, self.transpose_a)), (*batch, *left))
            y = read(b, (*outer, *ordered(k, j, self.transpose_b)), (*batch, *right))
            return reduce_sum(x * y, axis=k)

        made = compute((*batch, rows, columns), element, name=_inner(name, a))
        return (_narrowed(made, a, name),)


@dataclass(frozen=True, slots=True)
class Conv(Op):
    """Convolution of x[n, channel, ...] with w[channel out, channel in a group, ...].

    `layout` is that of x, `result` that of the result.
    """

    window: Window
    groups: int = 1
    layout: Layout = Layout.FIRST
    result: Layout = Layout.FIRST

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, w = inputs
        made = convolution.conv(
            x, w, stride=self.window.strides, pad=self.window.pads,
            dilation=self.window.dilations, groups=self.groups, layout=self.layout,
            result=self.result, name=name,
        )  # fmt: skip
        return (made,)


@dataclass(frozen=True, slots=True)
class ConvTranspose(Op):
    """The transpose of a convolution, with w[channel in, channel out of a group, ...].

    `window` pads the result: its borders are cut from it. `extra` grows it at the end.
    """

    window: Window
    groups: int = 1
    extra: tuple[int, ...] = ()

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, w = inputs
        made = convolution.conv_transpose(
            x, w, stride=self.window.strides, pad=self.window.pads, output_pad=self.extra,
            dilation=self.window.dilations, groups=self.groups, name=name,
        )  # fmt: skip
        return (made,)


@dataclass(frozen=True, slots=True)
class Einsum(Op):
    """numpy's einsum of letters, without dots and repeated letters in one operand."""

    subscripts: str

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        return (sugar.einsum(self.subscripts, *inputs, name=name),)


def _inner(name: str, x: Tensor) -> str:
    return f"{name}.wide" if _is_narrow(x) else name


def _is_narrow(x: Tensor) -> bool:
    return x.dtype.bits < 32


def _narrowed(made: Tensor, x: Tensor, name: str) -> Tensor:
    """Accumulated in 32 bits, the result has the type of the operands again."""
    if not _is_narrow(x):
        return made
    return compute(made.shape, lambda *at: cast(made[at], x.dtype), name=name)
