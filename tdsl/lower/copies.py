"""Copies of statements: everything bound inside is renamed apart, so that no Var is bound twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tdsl import dtypes
from tdsl.errors import InternalError
from tdsl.ir.build import add, mul, sub
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Expr, Node, Var
from tdsl.ir.stmt import Alloc, For, Leaf, Let, Stmt
from tdsl.ir.visit import map_children, statements

_FOLDS = {BinaryOp.ADD: add, BinaryOp.SUB: sub, BinaryOp.MUL: mul}


def fresh_copy(s: Stmt, mapping: Mapping[Var, Expr] | None = None) -> Stmt:
    """A copy of *s* with *mapping* applied and its loops, lets and allocations renamed apart.

    Works on nests without leaves that touch a buffer allocated in *s* (blocks are not rebuilt).
    """
    variables: dict[Var, Expr] = dict(mapping or {})
    buffers: dict[Buffer, Buffer] = {}
    for n in statements(s):
        match n:
            case For(var=var, parts=parts):
                for bound in (var, *(part.var for part in parts)):
                    variables[bound] = Var(bound.name, bound.type, bound.width)
            case Let(var=var):
                variables[var] = Var(var.name, var.type, var.width)
            case Alloc(buffer=buffer):
                buffers[buffer] = buffer
            case Leaf():
                raise InternalError("blocks must be expanded before a nest is copied")
            case _:
                pass

    def visit(n: Node) -> Node:
        if isinstance(n, Var):
            return variables.get(n, n)
        if isinstance(n, Buffer):
            return buffers.get(n, n)
        new = map_children(n, visit)
        return _folded(new) if new is not n and isinstance(new, Binary) else new

    for old in buffers:
        shape = tuple(_as_expr(visit(extent)) for extent in old.shape)
        buffers[old] = dataclasses.replace(old, shape=shape)
    copied = visit(s)
    assert isinstance(copied, Stmt)
    return copied


def _as_expr(n: Node) -> Expr:
    assert isinstance(n, Expr)
    return n


def _folded(e: Binary) -> Expr:
    """Index arithmetic on what became a literal."""
    fold = _FOLDS.get(e.op)
    return e if fold is None or e.dtype is not dtypes.INDEX else fold(e.a, e.b)
