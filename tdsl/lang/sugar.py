"""Tensor operations that are short-hand for one compute: pad, reshape, einsum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce as fold
from typing import Literal

from tdsl.errors import DeclarationError
from tdsl.ir.build import add, floordiv, floormod, index, mul
from tdsl.ir.expr import Const, Expr
from tdsl.lang.bounds import shown_shape
from tdsl.lang.compute import compute
from tdsl.lang.reduce import sum as reduce_sum
from tdsl.lang.tensor import Axis, Tensor, as_shape, reduce_axis
from tdsl.lang.value import Value, maximum, minimum, select

PadMode = Literal["constant", "edge", "reflect", "wrap"]


class _Indices:
    """A function of any number of index values with named parameters."""

    def __init__(self, fn: Callable[[tuple[Value, ...]], Value]) -> None:
        self._fn = fn

    def __call__(self, *indices: Value) -> Value:
        return self._fn(indices)


def _declared(
    shape: Sequence[object], fn: Callable[[tuple[Value, ...]], Value], name: str | None
) -> Tensor:
    return compute(tuple(shape), _Indices(fn), name=name)


def pad(
    x: Tensor,
    before: int | Sequence[int],
    after: int | Sequence[int] | None = None,
    mode: PadMode = "constant",
    value: float = 0,
    name: str | None = None,
) -> Tensor:
    """`x` with borders of `before` and `after` elements (one number, or one for each dimension).

    Modes are numpy's: constant (of `value`), edge, reflect (the edge not repeated), wrap.

    >>> from tdsl.lang.tensor import placeholder
    >>> pad(placeholder((4,), "float32", name="A"), 1, 1, mode="edge", name="P")
    <tensor P: float32[6]>

    Raises:
        DeclarationError: negative borders, an unknown mode, reflect or wrap wider than the tensor.
    """
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise DeclarationError(
            f"unknown pad mode {mode!r}", hint="one of constant, edge, reflect, wrap"
        )
    low = _borders(x, before, "before")
    high = low if after is None else _borders(x, after, "after")
    extents = [Value(e) for e in x.buffer.shape]
    shape = [n + (b + a) if b + a else n for n, b, a in zip(extents, low, high, strict=True)]

    def element(indices: tuple[Value, ...]) -> Value:
        inner = [i - b if b else i for i, b in zip(indices, low, strict=True)]
        if mode != "constant":
            spans = zip(inner, extents, low, high, strict=True)
            return x[tuple(_fold_index(i, n, b, a, mode) for i, n, b, a in spans)]
        conditions = []
        for i, n, b, a in zip(inner, extents, low, high, strict=True):
            conditions += ([i >= 0] if b else []) + ([i < n] if a else [])
        taken = x[tuple(inner)]
        if not conditions:
            return taken
        return select(fold(lambda p, q: p & q, conditions), taken, value)

    return _declared(shape, element, name)


def _borders(x: Tensor, given: int | Sequence[int], what: str) -> list[int]:
    values = [given] * x.ndim if isinstance(given, int) else list(given)
    if len(values) != x.ndim or any(v < 0 for v in values):
        raise DeclarationError(
            f"{what}={given!r} for {x.ndim} dimensions", hint="one border >= 0 for each dimension"
        )
    return values


def _fold_index(i: Value, n: Value, before: int, after: int, mode: PadMode) -> Value:
    """Bring an index from the border back into the tensor, affinely piece by piece."""
    if not before and not after:
        return i
    if mode == "edge":
        low = maximum(i, 0) if before else i
        return minimum(low, n - 1) if after else low
    if mode == "reflect":
        low = select(i < 0, -i, i) if before else i
        return select(i >= n, 2 * (n - 1) - i, low) if after else low
    low = select(i < 0, i + n, i) if before else i
    return select(i >= n, i - n, low) if after else low


def reshape(x: Tensor, shape: object, name: str | None = None) -> Tensor:
    """`x` with another shape of the same number of elements, in row-major order.

    All extents but the first of both shapes must be plain numbers, so that the index arithmetic
    stays affine; -1 stands for the one extent that follows from the others.

    >>> from tdsl.lang.tensor import placeholder
    >>> reshape(placeholder((4, 6), "float32", name="A"), (3, -1), name="R")
    <tensor R: float32[3, 8]>

    Raises:
        DeclarationError: another number of elements, or a symbolic inner extent.
    """
    old = x.buffer.shape
    new = _complete(x, shape)
    for extent in (*old[1:], *new[1:]):
        if not isinstance(extent, Const):
            raise DeclarationError(
                f"reshape of {x.name}: only the first extent may be symbolic",
                hint="declare a placeholder of the flattened shape with a size of its own",
            )
    inner_old, inner_new = _count(old[1:]), _count(new[1:])
    if mul(old[0] if old else 1, inner_old) != mul(new[0] if new else 1, inner_new):
        raise DeclarationError(
            f"reshape of {x.name} from {shown_shape(old)} to {shown_shape(new)} changes the "
            "number of elements",
            hint="one extent may be -1: it follows from the others",
        )

    def element(indices: tuple[Value, ...]) -> Value:
        flat: Expr = index(0)
        for i, n in zip(indices, new, strict=True):
            flat = add(mul(flat, n), i.expr)
        at: list[Value] = []
        rest = inner_old
        for position, n in enumerate(old):
            part = floordiv(flat, rest)
            at.append(Value(part if position == 0 else floormod(part, n)))
            rest //= _count(old[position + 1 : position + 2])
        return x[tuple(at)]

    return _declared([Value(e) for e in new], element, name)


def _count(extents: Sequence[Expr]) -> int:
    """The number of elements of a shape of plain numbers."""
    return math.prod(int(e.value) for e in extents if isinstance(e, Const))


def _complete(x: Tensor, shape: object) -> tuple[Expr, ...]:
    dims = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    unknown = [n for n, d in enumerate(dims) if isinstance(d, int) and d == -1]
    if not unknown:
        return as_shape(tuple(dims))
    known = [d for d in dims if not (isinstance(d, int) and d == -1)]
    fixed = all(isinstance(d, int) for d in known) and all(
        isinstance(e, Const) for e in x.buffer.shape
    )
    if len(unknown) > 1 or not fixed:
        raise DeclarationError("reshape: -1 may stand once, among plain numbers")
    rest = math.prod(d for d in known if isinstance(d, int))
    total = _count(x.buffer.shape)
    if rest == 0 or total % rest:
        raise DeclarationError(f"reshape: {total} elements do not divide into {rest}")
    dims[unknown[0]] = total // rest
    return as_shape(tuple(dims))


def einsum(subscripts: str, *operands: Tensor, name: str | None = None) -> Tensor:
    """Einstein summation in numpy's notation, letters only: "ik,kj->ij".

    Letters that the output lacks are summed, in the order of their first appearance.

    >>> from tdsl.lang.tensor import placeholder
    >>> A, B = placeholder((2, 3), name="A"), placeholder((3, 4), name="B")
    >>> einsum("ik,kj->ij", A, B, name="C")
    <tensor C: float32[2, 4]>

    Raises:
        DeclarationError: subscripts that do not fit the operands.
    """
    terms, output = _subscripts(subscripts, operands)
    extents: dict[str, Expr] = {}
    for letters, x in zip(terms, operands, strict=True):
        for letter, extent in zip(letters, x.buffer.shape, strict=True):
            if extents.setdefault(letter, extent) != extent:
                raise DeclarationError(
                    f"einsum {subscripts!r}: {letter!r} has two extents; the second is of {x.name}"
                )
    axes: dict[str, Axis] = {
        c: reduce_axis(Value(extents[c]), name=c) for c in extents if c not in output
    }

    def element(indices: tuple[Value, ...]) -> Value:
        at: dict[str, Value] = {**dict(zip(output, indices, strict=True)), **axes}
        factors = [x[tuple(at[c] for c in term)] for term, x in zip(terms, operands, strict=True)]
        product = fold(lambda p, q: p * q, factors)
        return reduce_sum(product, axis=tuple(axes.values())) if axes else product

    return _declared([Value(extents[c]) for c in output], element, name)


def _subscripts(subscripts: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = sorted(set(left) - {","})
        output = "".join(c for c in letters if left.count(c) == 1)
    if len(terms) != len(operands):
        raise DeclarationError(
            f"einsum {subscripts!r} names {len(terms)} operands but got {len(operands)}"
        )
    for term, x in zip(terms, operands, strict=True):
        if not (term == "" or term.isalpha()) or len(term) != x.ndim:
            raise DeclarationError(
                f"einsum {subscripts!r}: {term!r} does not fit {x.name} with {x.ndim} dimensions"
            )
    if len(set(output)) != len(output) or not set(output) <= set("".join(terms)):
        unknown = sorted(set(output) - set("".join(terms)))
        why = f"no operand has {unknown[0]!r}" if unknown else "a letter stands there twice"
        raise DeclarationError(f"einsum {subscripts!r}: bad output {output!r}: {why}")
    return terms, output
