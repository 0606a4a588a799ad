"""Walk contiguous memory by one index: ``x[e // 28, e % 28]`` -> ``x[e]``.

Loops that were fused and split again bind indices by quotients and remainders. In row-major
storage these often add up to one linear index, which vectors can follow; where they do, the access
is made flat before loops are vectorised.
"""

from __future__ import annotations

from functools import lru_cache

from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import floordiv, index, mul, product
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Const, Expr, Load, Node
from tdsl.ir.stmt import For, LoopKind, Prefetch, Program, Stmt, Store
from tdsl.ir.visit import allocated, map_children, statements, walk
from tdsl.lower.bodies import A, with_body, with_indices
from tdsl.target import Target

_DIVISIONS = (BinaryOp.FLOORDIV, BinaryOp.FLOORMOD)


def join_dimensions(program: Program, target: Target) -> Program:
    """Give an access one flat index where that takes the divisions out of it.

    Storage inside a vectorised loop is left alone: each lane's copy will be a dimension of its own.
    """
    del target
    kept = {
        buffer
        for loop in statements(program.body)
        if isinstance(loop, For) and loop.kind is LoopKind.VECTORIZED
        for buffer in allocated(loop.body)
    }
    return with_body(program, _visit(program.body, kept))


def _visit(s: Stmt, kept: set[Buffer]) -> Stmt:
    def expr(n: Node) -> Node:
        new = map_children(n, expr)
        return _flat(new, kept) if isinstance(new, Load) else new

    def below(n: Node) -> Node:
        if isinstance(n, Stmt):
            return _visit(n, kept)
        return expr(n) if any(map(_divides, walk(n))) else n

    new = map_children(s, below)
    return _flat(new, kept) if isinstance(new, Store | Prefetch) else new


def _flat(access: A, kept: set[Buffer]) -> A:
    if access.buffer.strided or access.buffer in kept:
        return access
    flat = _joined(access.buffer.shape, access.indices)
    return access if flat is None else with_indices(access, (flat,))


@lru_cache(maxsize=4096)
def _joined(shape: tuple[Expr, ...], indices: tuple[Expr, ...]) -> Expr | None:
    """The flat index, where it has no division although the indices do.

    Remembered: what is inlined reads the same elements many times.
    """
    if len(indices) < 2 or not any(_divides(n) for i in indices for n in walk(i)):
        return None
    total = Affine({})
    for axis, i in enumerate(indices):
        step = product(shape[axis + 1 :])
        total = total + linear(mul(_without_remainders(linear(i)).expr(), step))
    total = _with_least_divisions(total)
    return None if any(_divides(n) for atom in total.terms for n in walk(atom)) else total.expr()


def _divides(n: Node) -> bool:
    return isinstance(n, Binary) and n.op in _DIVISIONS


def _without_remainders(form: Affine) -> Affine:
    """Remainders written as quotients: a % c = a - c * (a // c)."""
    total = Affine({}, form.const)
    for atom, k in form.terms.items():
        match atom:
            case Binary(op=BinaryOp.FLOORMOD, a=a, b=Const(value=c)) if c > 0:
                inner = _without_remainders(linear(a))
                quotient = linear(floordiv(inner.expr(), index(int(c))))
                total = total + (inner - quotient * int(c)) * k
            case _:
                total = total + Affine({atom: k})
    return total


def _with_least_divisions(form: Affine) -> Affine:
    """Quotients whose dividends differ by a multiple of the divisor, written as the same one.

    Remainders reduce coefficients, `(8*i + j) % 5` to `(3*i + j) % 5`, and so must quotients.
    """
    total = Affine({}, form.const)
    for atom, k in form.terms.items():
        match atom:
            case Binary(op=BinaryOp.FLOORDIV, a=a, b=Const(value=value)) if value > 0:
                c, inner = int(value), linear(a)
                whole = Affine({e: x // c for e, x in inner.terms.items()}, inner.const // c)
                rest = linear(floordiv((inner - whole * c).expr(), c))
                total = total + (whole + rest) * k
            case _:
                total = total + Affine({atom: k})
    return total
