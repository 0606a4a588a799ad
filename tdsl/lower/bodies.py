"""Programs and sequences rebuilt around new bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar, cast

from tdsl.ir.below import STATEMENTS
from tdsl.ir.expr import Expr, Load, Node
from tdsl.ir.stmt import Alloc, Let, Prefetch, Program, Seq, Stmt, Store
from tdsl.ir.visit import map_children, statements

Access: TypeAlias = Load | Store | Prefetch
A = TypeVar("A", bound=Access)


def with_body(program: Program, body: Node) -> Program:
    """*program* with another body; *program* itself where the body is the one it has."""
    assert isinstance(body, Stmt)
    if body is program.body:
        return program
    return Program(program.name, program.params, program.sizes, program.assume, body)


def is_straight(body: Stmt) -> bool:
    """Whether every statement in a body runs exactly once each time that the body does."""
    return all(isinstance(n, Seq | Store | Let | Prefetch | Alloc) for n in statements(body))


def map_statements(s: Stmt, f: Callable[[Stmt], Stmt]) -> Stmt:
    """Rebuild *s* with `f` applied to each statement directly in it; *s* itself if none changed."""
    if STATEMENTS[type(s)] is None:
        return s
    return map_children(s, lambda n: f(n) if isinstance(n, Stmt) else n)


def with_indices(access: A, indices: tuple[Expr, ...]) -> A:
    """*access* at other indices."""
    # dataclasses.replace looks through all fields each time
    made: Access
    if isinstance(access, Load):
        made = Load(access.buffer, indices, access.mask)
    elif isinstance(access, Store):
        value, mask = access.value, access.mask
        made = Store(access.buffer, indices, value, mask, access.atomic, access.stream)
    else:
        made = Prefetch(access.buffer, indices)
    return cast("A", made)


def transform_statements(s: Stmt, f: Callable[[Stmt], Stmt]) -> Stmt:
    """Rebuild bottom-up: the statements in *s* first, then `f` on what they make."""
    return f(map_statements(s, lambda child: transform_statements(child, f)))


def sequence(statements: Iterable[Stmt]) -> Stmt:
    """The statements in order, nested sequences flattened; a lone statement stays itself."""
    flat: list[Stmt] = []
    for s in statements:
        flat += s.body if isinstance(s, Seq) else (s,)
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))
