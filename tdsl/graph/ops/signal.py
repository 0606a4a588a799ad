"""Fourier transforms, as products with cosines and sines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import static
from tdsl.lang import reduce
from tdsl.lang.compute import compute
from tdsl.lang.tensor import Tensor, reduce_axis
from tdsl.lang.value import Value, cast, select


@dataclass(frozen=True, slots=True)
class Fourier(Op):
    """The discrete Fourier transform along an axis.

    Operands: numbers with a last axis of one real or two parts, and tables [n, bins] of cosines and
    of sines. The last axis of the result has two parts; only `real`: the first. Sums are of the
    tables' type, which may be wider than that of the numbers.
    """

    axis: int
    real: bool = False

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, cosines, sines = inputs
        shape, axis = static(x), self.axis
        terms, bins = static(cosines)
        k = reduce_axis(min(terms, shape[axis]), name="k")
        made = (*shape[:axis], bins, *shape[axis + 1 : -1], 1 if self.real else 2)

        def element(*at: Value) -> Value:
            def part(n: int) -> Value:
                return cast(x[(*at[:axis], k, *at[axis + 1 : -1], n)], cosines.dtype)

            term = turned(part, shape[-1], cosines[k, at[axis]], sines[k, at[axis]], at[-1])
            return cast(reduce.sum(term, axis=k), x.dtype)

        return (compute(made, element, name=name),)


@dataclass(frozen=True, slots=True)
class ShortTimeFourier(Op):
    """Transforms of frames [batch, frames, bins, 2] of a signal [batch, time, parts].

    Operands: the signal, a window for frames, and tables of cosines and sines.
    """

    step: int
    frames: int

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, window, cosines, sines = inputs
        batch, _, parts = static(x)
        terms, bins = static(cosines)
        k = reduce_axis(terms, name="k")

        def element(b: Value, f: Value, j: Value, c: Value) -> Value:
            def part(n: int) -> Value:
                return x[b, f * self.step + k, n] * window[k]

            return reduce.sum(turned(part, parts, cosines[k, j], sines[k, j], c), axis=k)

        return (compute((batch, self.frames, bins, 2), element, name=name),)


def turned(part: object, parts: int, cosine: Value, sine: Value, c: Value) -> Value:
    """The real (c = 0) or imaginary part of a number times cosine + i sine."""
    assert callable(part)
    real: Value = part(0)
    if parts == 1:
        return real * select(c == 0, cosine, sine)
    imaginary: Value = part(1)
    return select(c == 0, real * cosine - imaginary * sine, real * sine + imaginary * cosine)
