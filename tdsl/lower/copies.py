"""Copies of statements: everything bound inside is renamed apart, so that no Var is bound twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tdsl.errors import InternalError
from tdsl.ir.expr import Buffer, Expr, Node, Var
from tdsl.ir.stmt import Alloc, For, Leaf, Let, Stmt
from tdsl.ir.visit import map_children, walk


def fresh_copy(s: Stmt, mapping: Mapping[Var, Expr] | None = None) -> Stmt:
    """A copy of *s* with *mapping* applied and its loops, lets and allocations renamed apart.

    Works on nests without leaves that touch a buffer allocated in *s* (blocks are not rebuilt).
    """
    variables: dict[Var, Expr] = dict(mapping or {})
    buffers: dict[Buffer, Buffer] = {}
    for n in walk(s):
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
        return map_children(n, visit)

    for old in buffers:
        shape = tuple(_as_expr(visit(extent)) for extent in old.shape)
        buffers[old] = dataclasses.replace(old, shape=shape)
    copied = visit(s)
    assert isinstance(copied, Stmt)
    return copied


def _as_expr(n: Node) -> Expr:
    assert isinstance(n, Expr)
    return n
