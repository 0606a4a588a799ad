"""Matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import broadcast, read, static
from tdsl.graph.ops.windows import Window, padded
from tdsl.lang.compute import compute
from tdsl.lang.reduce import sum as reduce_sum
from tdsl.lang.tensor import Tensor, reduce_axis
from tdsl.lang.value import Value, cast, select


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

        def element(*at: Value) -> Value:
            *outer, i, j = at
            x = read(a, (*outer, k, i) if self.transpose_a else (*outer, i, k))
            y = read(b, (*outer, j, k) if self.transpose_b else (*outer, k, j))
            return reduce_sum(x * y, axis=k)

        made = compute((*batch, rows, columns), element, name=_inner(name, a))
        return (_narrowed(made, a, name),)


@dataclass(frozen=True, slots=True)
class Conv(Op):
    """Convolution of x[n, channel, ...] with w[channel out, channel in a group, ...]."""

    window: Window
    groups: int = 1

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, w = inputs
        images, weights = static(x), static(w)
        groups, window = self.groups, self.window
        if images[1] != weights[1] * groups or weights[0] % groups:
            raise GraphError(
                f"a convolution in {groups} groups of an image {list(images)} does not take "
                f"weights {list(weights)}"
            )
        data = padded(x, window, f"{name}.padded")
        per_group, channels = weights[0] // groups, weights[1]
        extents = (weights[0], *window.counts(images[2:]))
        axes = [reduce_axis(channels, name="c")]
        axes += [reduce_axis(n, name=f"k{d}") for d, n in enumerate(weights[2:])]

        def element(*at: Value) -> Value:
            n, out, *place = at
            c: Value = axes[0]
            if groups > 1:
                first = out if per_group == 1 else out // per_group
                c = first if channels == 1 else first * channels + c
            spots = window.spots(place, axes[1:])
            within = 0 if channels == 1 and groups > 1 else axes[0]
            product = data[(n, c, *spots)] * w[(out, within, *axes[1:])]
            used = axes[1:] if channels == 1 and groups > 1 else axes
            return reduce_sum(product, axis=tuple(used))

        made = compute((images[0], *extents), element, name=_inner(name, x))
        return (_narrowed(made, x, name),)


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
        images, weights = static(x), static(w)
        window, kernel = self.window, weights[2:]
        reach = [(k - 1) * d for k, d in zip(kernel, window.dilations, strict=True)]
        spread = self._spread(x, f"{name}.spread")
        places = tuple(
            (n - 1) * s + r + 1 + e - b - a
            for n, s, r, e, b, a in zip(
                images[2:], window.strides, reach, self.extra, window.before, window.after,
                strict=True,
            )
        )  # fmt: skip
        inner, outer = images[1] // self.groups, weights[1]
        c = reduce_axis(inner, name="c")
        axes = [reduce_axis(n, name=f"k{d}") for d, n in enumerate(kernel)]
        dense = static(spread)[2:]

        def element(*at: Value) -> Value:
            n, out, *place = at
            channel = c if self.groups == 1 else out // outer * inner + c
            spots = [
                i + before - k * dilation
                for i, before, k, dilation in zip(
                    place, window.before, axes, window.dilations, strict=True
                )
            ]
            inside = [(s >= 0) & (s < extent) for s, extent in zip(spots, dense, strict=True)]
            every = inside[0]
            for one in inside[1:]:
                every = every & one
            value = select(every, spread[(n, channel, *spots)], cast(0, x.dtype))
            return reduce_sum(
                value * w[(channel, out % outer if self.groups > 1 else out, *axes)],
                axis=(c, *axes),
            )

        made = compute((images[0], outer * self.groups, *places), element, name=_inner(name, x))
        return (_narrowed(made, x, name),)

    def _spread(self, x: Tensor, name: str) -> Tensor:
        """The operand with zeros between its elements."""
        strides, shape = self.window.strides, static(x)
        if all(s == 1 for s in strides):
            return x
        grown = [(n - 1) * s + 1 for n, s in zip(shape[2:], strides, strict=True)]

        def element(*at: Value) -> Value:
            n, c, *place = at
            hit = [i % s == 0 for i, s in zip(place, strides, strict=True) if s > 1]
            every = hit[0]
            for one in hit[1:]:
                every = every & one
            source = [i // s if s > 1 else i for i, s in zip(place, strides, strict=True)]
            return select(every, x[(n, c, *source)], cast(0, x.dtype))

        return compute((*shape[:2], *grown), element, name=name)


def _inner(name: str, x: Tensor) -> str:
    return f"{name}.wide" if _is_narrow(x) else name


def _is_narrow(x: Tensor) -> bool:
    return x.dtype.bits < 32


def _narrowed(made: Tensor, x: Tensor, name: str) -> Tensor:
    """Accumulated in 32 bits, the result has the type of the operands again."""
    if not _is_narrow(x):
        return made
    return compute(made.shape, lambda *at: cast(made[at], x.dtype), name=name)
