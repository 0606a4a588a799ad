"""Shapes of operators: broadcasting, axes, names of the tensors inside."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import tdsl as td
from tdsl.errors import DeclarationError
from tdsl.ir.affine import equal
from tdsl.ir.expr import Expr, Var
from tdsl.lang.value import as_expr

Dim = int | td.Value
Shape = tuple[Dim, ...]
_counts: dict[str, itertools.count[int]] = {}


def unique(operator: str, name: str | None) -> str:
    """The name given, or a new one made of the operator's."""
    if name is not None:
        return name
    count = _counts.setdefault(operator, itertools.count())
    return f"{operator}_{next(count)}"


def declare(shape: Sequence[object], element: Callable[..., td.Value], name: str) -> td.Tensor:
    """`td.compute` of one tensor; `element` gets all indices as one tuple."""
    made = td.compute(tuple(shape), _Element(element), name=name)
    assert isinstance(made, td.Tensor)
    return made


class _Element:
    """A function of any number of indices, for which `td.compute` makes up names."""

    def __init__(self, function: Callable[..., td.Value]) -> None:
        self._function = function

    def __call__(self, *indices: td.Value) -> td.Value:
        return self._function(indices)


def same(a: Dim, b: Dim) -> bool:
    """Whether two extents are surely equal."""
    return equal(as_expr(a), as_expr(b))


def known(dim: Dim, what: str) -> int:
    """An extent that must be a plain number.

    Raises:
        DeclarationError: it is symbolic.
    """
    if isinstance(dim, int):
        return dim
    raise DeclarationError(f"{what} must be a plain number here, not {text(dim)}")


def text(dim: Dim) -> str:
    """An extent for messages."""
    if isinstance(dim, int):
        return str(dim)
    expr: Expr = dim.expr
    return expr.name if isinstance(expr, Var) else "an expression of sizes"


def axis_of(axis: int, rank: int, what: str = "axis") -> int:
    """An axis counted from the front.

    Raises:
        DeclarationError: there is no such axis.
    """
    if not -rank <= axis < max(rank, 1):
        raise DeclarationError(
            f"{what} {axis} of a tensor with {rank} dimensions", hint=f"-{rank} to {rank - 1}"
        )
    return axis % rank if rank else 0


def axes_of(axes: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Sorted axes counted from the front; None stands for all of them.

    Raises:
        DeclarationError: an axis that there is not, or one that is given twice.
    """
    if axes is None:
        return tuple(range(rank))
    given = [axes] if isinstance(axes, int) else list(axes)
    found = sorted(axis_of(a, rank) for a in given)
    if len(set(found)) != len(found):
        raise DeclarationError(f"an axis is given twice in {tuple(given)}")
    return tuple(found)


def broadcast(shapes: Sequence[Shape], what: str) -> Shape:
    """The shape that several broadcast to, by numpy's rule.

    Raises:
        DeclarationError: two extents that differ, neither of them 1.
    """
    rank = max((len(s) for s in shapes), default=0)
    result: list[Dim] = []
    for position in range(rank):
        dims = [s[position - rank + len(s)] for s in shapes if position - rank + len(s) >= 0]
        wide = [d for d in dims if not (isinstance(d, int) and d == 1)]
        for other in wide[1:]:
            if not same(wide[0], other):
                shown = " and ".join(f"({', '.join(map(text, s))})" for s in shapes)
                raise DeclarationError(f"{what}: shapes {shown} do not broadcast")
        result.append(wide[0] if wide else 1)
    return tuple(result)


def broadcast_at(x: td.Tensor, indices: Sequence[td.Value]) -> td.Value:
    """The element of *x* that meets the element at `indices` of the broadcast shape."""
    own = indices[len(indices) - x.ndim :] if x.ndim else ()
    at = (0 if isinstance(d, int) and d == 1 else i for d, i in zip(x.shape, own, strict=True))
    return x[tuple(at)]


def extent_as(shape: Sequence[Dim], dtype: object) -> td.Value:
    """The number of elements of a shape as a value, whether sizes are known or not."""
    count: Dim = 1
    for dim in shape:
        count = dim * count
    return td.cast(count, dtype)
