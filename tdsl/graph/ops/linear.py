"""Matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Op
from tdsl.graph.ops.elementwise import broadcast, read, static
from tdsl.graph.ops.windows import Window
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
            return reduce_sum(_wide(x) * _wide(y), axis=k)

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
    """Sums of products by subscripts, as numpy's einsum: with dots and with diagonals."""

    subscripts: str

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        terms, output = self._terms([x.ndim for x in inputs])
        extents: dict[str, int] = {}
        for term, x in zip(terms, inputs, strict=True):
            for letter, extent in zip(term, static(x), strict=True):
                known = extents.get(letter, 1)
                if extent not in (1, known) and known != 1:
                    raise GraphError(
                        f"einsum {self.subscripts!r}: {letter} is {known} and {extent}"
                    )
                extents[letter] = max(known, extent) if 0 not in (known, extent) else 0
        summed = {c: reduce_axis(n, name=_axis(c)) for c, n in extents.items() if c not in output}

        def element(*at: Value) -> Value:
            place: dict[str, Value] = {**dict(zip(output, at, strict=True)), **summed}
            product: Value | None = None
            for term, x in zip(terms, inputs, strict=True):
                factor = read(x, [place[c] for c in term])
                factor = _wide(factor) if summed else factor
                product = factor if product is None else product * factor
            assert product is not None
            return reduce_sum(product, axis=tuple(summed.values())) if summed else product

        shape = tuple(extents[c] for c in output)
        if not summed:
            return (compute(shape, element, name=name),)
        return (_narrowed(compute(shape, element, name=_inner(name, inputs[0])), inputs[0], name),)

    def _terms(self, ranks: Sequence[int]) -> tuple[list[str], str]:
        """A letter for each axis of the operands and of the result; dots become digits."""
        left, arrow, output = self.subscripts.replace(" ", "").partition("->")
        terms = left.split(",")
        if len(terms) != len(ranks):
            raise GraphError(f"einsum {self.subscripts!r} of {len(ranks)} operands")
        most = 0
        for n, (term, rank) in enumerate(zip(terms, ranks, strict=True)):
            dots = rank - len(term.replace("...", ""))
            if dots < 0 or (dots > 0 and "..." not in term) or dots > len(_DOTS):
                raise GraphError(f"einsum {self.subscripts!r}: {term!r} for {rank} axes")
            terms[n] = term.replace("...", _DOTS[len(_DOTS) - dots :])
            most = max(most, dots)
        if not arrow:
            letters = "".join(terms)
            output = "..." + "".join(c for c in sorted(set(letters)) if letters.count(c) == 1
                                     and c.isalpha())  # fmt: skip
        output = output.replace("...", _DOTS[len(_DOTS) - most :])
        if len(set(output)) != len(output) or not set(output) <= set("".join(terms)):
            raise GraphError(f"einsum {self.subscripts!r}: bad output {output!r}")
        return terms, output


_DOTS = "012345678"  # stand for the axes under dots


def _axis(letter: str) -> str:
    return f"d{letter}" if letter.isdigit() else letter


def _inner(name: str, x: Tensor) -> str:
    return f"{name}.wide" if _is_narrow(x) else name


def _wide(value: Value) -> Value:
    """A factor of a sum: the product of two narrow floats is not rounded before it is added."""
    return cast(value, "float32") if value.dtype.is_float and value.dtype.bits < 32 else value


def _is_narrow(x: Tensor) -> bool:
    return x.dtype.bits < 32


def _narrowed(made: Tensor, x: Tensor, name: str) -> Tensor:
    """Accumulated in 32 bits, the result has the type of the operands again."""
    if not _is_narrow(x):
        return made
    return compute(made.shape, lambda *at: cast(made[at], x.dtype), name=name)
