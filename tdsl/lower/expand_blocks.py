"""Blocks become stores: ``leaf C(i:=e)`` -> ``if guards: if where: C[e] = value``.

Where a block writes several elements, every value is computed before the first store.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdsl.ir.build import TRUE, conjunction
from tdsl.ir.expr import Checked, Expr, Load, Node, Var
from tdsl.ir.stmt import If, Leaf, Let, Prefetch, Program, Seq, Stmt, Store, Write
from tdsl.ir.visit import map_children, substitute
from tdsl.lower.bodies import sequence, transform_statements, with_body
from tdsl.target import Target


def expand_blocks(program: Program, target: Target) -> Program:
    """Replace each leaf by stores under its guards and its block's `where`."""
    del target

    def visit(s: Stmt) -> Stmt:
        return _expand(s) if isinstance(s, Leaf) else s

    return with_body(program, transform_statements(program.body, visit))


def _expand(leaf: Leaf) -> Stmt:
    block = leaf.block
    mapping: dict[Var, Expr] = dict(zip(block.vars, leaf.bindings, strict=True))
    body = _stores(leaf, mapping)
    if leaf.fetches:
        body = sequence([*_fetches(leaf), body])
    if block.where is not None:
        # Loads in `where` are in bounds only where the guards hold: hence two conditionals.
        body = If(substitute(block.where, mapping), body)
    guard = conjunction([g.cond for g in leaf.guards])
    return body if guard == TRUE else If(guard, body)


def _fetches(leaf: Leaf) -> Iterator[Stmt]:
    for fetch in leaf.fetches:
        # passes add iteration variables behind the block's own
        mapping = dict(zip(fetch.inputs, leaf.bindings, strict=False))
        yield Prefetch(fetch.buffer, tuple(substitute(i, mapping) for i in fetch.indices))


def _reading_its_place(write: Write) -> Expr:
    """The value of an atomic update, which reads its element by the very index that is written.

    The two checks of an index from data have a number each, and code generation must find the
    element again: a plain load of it would miss what others did since.
    """
    place = tuple(map(_unnumbered, write.indices))

    def visit(n: Node) -> Node:
        new = map_children(n, visit)
        if not isinstance(new, Load) or new.buffer is not write.buffer:
            return new
        is_own = tuple(map(_unnumbered, new.indices)) == place
        return Load(new.buffer, write.indices) if is_own else new

    value = visit(write.value)
    assert isinstance(value, Expr)
    return value


def _unnumbered(n: Node) -> Node:
    """An index whose checks are told by what they check alone."""
    new = map_children(n, _unnumbered)
    return Checked(new.index, new.extent) if isinstance(new, Checked) else new


def _stores(leaf: Leaf, mapping: dict[Var, Expr]) -> Stmt:
    writes = [
        Write(
            w.buffer, tuple(substitute(i, mapping) for i in w.indices), substitute(w.value, mapping)
        )
        for w in leaf.block.writes
    ]
    if len(writes) == 1:
        (one,) = writes
        value = _reading_its_place(one) if leaf.atomic else one.value
        return Store(one.buffer, one.indices, value, None, leaf.atomic, leaf.stream)
    values = [Var(f"{write.buffer.name}.value", write.value.dtype) for write in writes]
    stores: Stmt = Seq(
        tuple(
            Store(write.buffer, write.indices, value, None, leaf.atomic, leaf.stream)
            for write, value in zip(writes, values, strict=True)
        )
    )
    for write, value in reversed(list(zip(writes, values, strict=True))):
        stores = Let(value, write.value, stores)
    return stores
