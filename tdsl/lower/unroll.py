"""Unroll loops: ``for i in unrolled(4): s`` -> ``s[i:=0]; s[i:=1]; s[i:=2]; s[i:=3]``."""

from __future__ import annotations

import dataclasses

from tdsl.errors import warn_user
from tdsl.ir.build import index
from tdsl.ir.expr import Const
from tdsl.ir.stmt import For, LoopKind, Program, Stmt, Store
from tdsl.ir.visit import statements
from tdsl.lower.bodies import sequence, transform_statements, with_body
from tdsl.lower.copies import fresh_copy
from tdsl.lower.warn import LoweringWarning
from tdsl.target import Target

# A body copied more often than this no longer fits the instruction cache, and compiles for minutes.
MOST_COPIES = 4096


def unroll(program: Program, target: Target) -> Program:
    """Replace each unrolled loop by one copy of its body per iteration."""
    del target
    return with_body(program, transform_statements(program.body, _unroll))


def _unroll(n: Stmt) -> Stmt:
    match n:
        case For(var=var, extent=Const(value=extent), body=body, kind=LoopKind.UNROLLED):
            if int(extent) * _stores(body) > MOST_COPIES:
                return _serial(n, f"{extent} copies of its body would be too many")
            return sequence(fresh_copy(body, {var: index(k)}) for k in range(int(extent)))
        case For(kind=LoopKind.UNROLLED):
            return _serial(n, "its extent is not constant")
        case _:
            return n


def _serial(loop: For, why: str) -> Stmt:
    message = f"loop '{loop.var.name}' is not unrolled: {why}; it runs as a serial loop"
    warn_user(message, LoweringWarning)
    return dataclasses.replace(loop, kind=LoopKind.SERIAL)


def _stores(s: Stmt) -> int:
    return sum(isinstance(n, Store) for n in statements(s))
