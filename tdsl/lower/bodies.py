"""Programs and sequences rebuilt around new bodies."""

from __future__ import annotations

from collections.abc import Iterable

from tdsl.ir.expr import Node
from tdsl.ir.stmt import Program, Seq, Stmt


def with_body(program: Program, body: Node) -> Program:
    """*program* with another body; *program* itself where the body is the one it has."""
    assert isinstance(body, Stmt)
    if body is program.body:
        return program
    return Program(program.name, program.params, program.sizes, program.assume, body)


def sequence(statements: Iterable[Stmt]) -> Stmt:
    """The statements in order, nested sequences flattened; a lone statement stays itself."""
    flat: list[Stmt] = []
    for s in statements:
        flat += s.body if isinstance(s, Seq) else (s,)
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))
