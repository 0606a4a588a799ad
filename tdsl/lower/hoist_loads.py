"""Load once what a loop reads every time: ``for j: y[j] = w[0] * x[j]`` -> ``let a = w[0]: for j``.

Only innermost loops are relieved, and only of as many values as stay in registers beside the ones
that the loop carries: a value kept across a loop nest would push the accumulators out.
"""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.ir.build import index, lt
from tdsl.ir.expr import Broadcast, Buffer, Checked, Expr, Load, Node, Select, Var
from tdsl.ir.stmt import Alloc, Barrier, For, If, Let, LoopKind, Program, Scope, Stmt, Store
from tdsl.ir.visit import children, map_children, statements, walk
from tdsl.lower.bodies import map_statements, with_body
from tdsl.lower.facts import Facts, holds, program_facts
from tdsl.target import Target

# Registers left to what the body computes on the way.
SPARE = 6


def hoist_loads(program: Program, target: Target) -> Program:
    """Load invariant values in front of innermost loops."""
    allocs = [n for n in statements(program.body) if isinstance(n, Alloc)]
    registers = frozenset(a.buffer for a in allocs if a.scope is Scope.REGISTER)
    body = _visit(program.body, program_facts(program), _Limits(target, registers))
    return with_body(program, body)


@dataclass(frozen=True, slots=True)
class _Limits:
    """The registers of the target, and the buffers that live in them already."""

    target: Target
    registers: frozenset[Buffer]

    def cost(self, e: Expr) -> int:
        return -(-e.dtype.bits * e.lanes // self.target.vector_bits)

    def left(self, loop: For) -> int:
        """Vector registers that the loop's own tiles do not take."""
        accesses = [n for n in walk(loop.body) if isinstance(n, Load | Store)]
        tiles = {(n.buffer, n.indices) for n in accesses if n.buffer in self.registers}
        taken = sum(self.cost(Load(buffer, indices)) for buffer, indices in tiles)
        return self.target.vector_registers - SPARE - taken


def _visit(s: Stmt, facts: Facts, limits: _Limits) -> Stmt:
    inner = facts
    if isinstance(s, For):
        inside = [n for n in statements(s.body) if isinstance(n, For | Barrier)]
        if s.kind is LoopKind.SERIAL and not inside:
            return _relieved(s, facts, limits)
        inner = facts.inside(s)
    elif isinstance(s, If) and s.otherwise is None:
        inner = facts.given(s.cond)
    return map_statements(s, lambda n: _visit(n, inner, limits))


def _relieved(loop: For, facts: Facts, limits: _Limits) -> Stmt:
    stored = {n.buffer for n in statements(loop.body) if isinstance(n, Store)}
    local = {n.buffer for n in statements(loop.body) if isinstance(n, Alloc)}
    bound = {loop.var} | {n.var for n in statements(loop.body) if isinstance(n, Let)}
    found: dict[Expr, Var] = {}
    left = limits.left(loop)
    for e in _candidates(loop.body, bound):
        load = e.a if isinstance(e, Broadcast) else e
        assert isinstance(load, Load)
        if e in found or load.buffer in stored | local | limits.registers:
            continue
        left -= limits.cost(e)
        if left < 0:
            break
        found[e] = Var(f"{load.buffer.name}.kept", e.dtype, e.lanes)
    if not found:
        return loop
    nest: Stmt = _replaced(loop, found)
    for e, var in reversed(found.items()):
        nest = Let(var, e, nest)
    runs = lt(index(0), loop.extent)
    return nest if holds(facts, runs) else If(runs, nest)


def _candidates(s: Node, bound: set[Var]) -> list[Expr]:
    """Invariant loads, or the vectors that they fill, that every iteration makes."""
    match s:
        case If() | Select():
            return _candidates(s.cond, bound)
        case Store(mask=Expr()):
            return []  # the value may only be computed where the mask holds
        case Broadcast(a=Load() as load) if _is_fixed(load, bound):
            return [s]
        case Load() if _is_fixed(s, bound):
            return [s]
        case _:
            return [e for child in children(s) for e in _candidates(child, bound)]


def _is_fixed(load: Load, bound: set[Var]) -> bool:
    below = [n for i in load.indices for n in walk(i)]
    if load.mask is not None or any(isinstance(n, Load | Checked) for n in below):
        return False
    return not any(isinstance(n, Var) and n in bound for n in below)


def _replaced(loop: For, found: dict[Expr, Var]) -> For:
    def visit(n: Node) -> Node:
        if isinstance(n, Broadcast | Load):
            var = found.get(n)
            if var is not None:
                return var
        return map_children(n, visit)

    return map_children(loop, visit)
