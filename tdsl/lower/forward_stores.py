"""Read what an iteration before stored from a register: ``for t: y[t+1] = y[t] + x[t]``.

Through memory a value takes several times as long as the operation that uses it:

    a = y[0];  for t in n: b = a + x[t]; y[t+1] = b; a = b
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tdsl.ir.affine import linear
from tdsl.ir.build import index, lt
from tdsl.ir.expr import Buffer, Checked, Expr, Load, Node, Ramp, Select, Var
from tdsl.ir.stmt import Alloc, For, If, Let, LoopKind, Program, Scope, Stmt, Store
from tdsl.ir.visit import children, map_children, statements, substitute, walk
from tdsl.lower.bodies import is_straight, map_statements, sequence, with_body
from tdsl.lower.facts import Facts, holds, program_facts
from tdsl.target import Target

_FARTHEST = 4  # iterations that a value is kept


def forward_stores(program: Program, target: Target) -> Program:
    """Keep the values that innermost loops store and read again a few iterations later."""
    del target
    return with_body(program, _visit(program.body, program_facts(program)))


def _visit(s: Stmt, facts: Facts) -> Stmt:
    inner = facts
    if isinstance(s, For):
        if s.kind is LoopKind.SERIAL and not s.parts and is_straight(s.body):
            return _relieved(s, facts)
        inner = facts.inside(s)
    elif isinstance(s, If) and s.otherwise is None:
        inner = facts.given(s.cond)
    return map_statements(s, lambda n: _visit(n, inner))


@dataclass(frozen=True, slots=True)
class _Chain:
    """A store, and the loads that read it one iteration later, two, ..."""

    store: Store
    loads: tuple[Load, ...]


def _relieved(loop: For, facts: Facts) -> Stmt:
    chains = list(_chains(loop))
    if not chains:
        return loop
    before: list[Stmt] = []
    after: list[Stmt] = []
    slots: list[Load] = []
    values: dict[Load, Load] = {}
    news: dict[Store, Load] = {}
    start: dict[Var, Expr] = {loop.var: index(0)}
    for chain in chains:
        kept = [_slot(chain.store) for _ in range(len(chain.loads) + 1)]
        slots += kept
        news[chain.store] = kept[0]
        for slot, load in zip(kept[1:], chain.loads, strict=True):
            values[load] = slot
            before.append(_set(slot, substitute(load, start)))
        # the oldest first: each takes the place of the one before it
        pairs = list(zip(kept[1:], kept, strict=False))
        after += [_set(slot, newer) for slot, newer in reversed(pairs)]
    body = sequence([_redirected(loop.body, values, news), *after])
    nest: Stmt = sequence([*before, replace(loop, body=body)])
    for slot in reversed(slots):
        nest = Alloc(slot.buffer, nest, Scope.REGISTER)
    runs = lt(index(0), loop.extent)
    return nest if holds(facts, runs) else If(runs, nest)


def _chains(loop: For) -> Iterator[_Chain]:
    below = list(statements(loop.body))
    stores = [n for n in below if isinstance(n, Store)]
    local = {n.buffer for n in below if isinstance(n, Alloc)}
    bound = {n.var for n in below if isinstance(n, Let)}
    loads = list(dict.fromkeys(_certain_loads(loop.body)))
    for store in stores:
        alone = sum(other.buffer is store.buffer for other in stores) == 1
        if not alone or store.mask is not None or store.atomic or store.buffer in local:
            continue
        found = [load for load in loads if load.buffer is store.buffer]
        turns = {_turns(store, load, loop.var, bound): load for load in found}
        chain: list[Load] = []
        while len(chain) < _FARTHEST and len(chain) + 1 in turns:
            chain.append(turns[len(chain) + 1])
        if chain:
            yield _Chain(store, tuple(chain))


def _certain_loads(n: Node) -> Iterator[Load]:
    """Loads that every iteration makes."""
    match n:
        case Select():
            yield from _certain_loads(n.cond)
            return
        case Store(mask=Expr()):
            return
        case Load(mask=None):
            yield n
        case _:
            pass
    for child in children(n):
        yield from _certain_loads(child)


def _turns(store: Store, load: Load, var: Var, bound: set[Var]) -> int | None:
    """How many iterations after the store the load reads its elements, all of them."""
    turns: int | None = None
    apart = False  # whether one iteration's elements are none of another's
    for i, j in zip(store.indices, load.indices, strict=True):
        if i.lanes != j.lanes or any(isinstance(n, Load | Checked) for n in walk(i)):
            return None
        if i.lanes > 1 and not (_is_run(i) and _is_run(j)):
            return None
        stored, read = linear(_base(i)), linear(_base(j))
        if any(atom is not var and {var, *bound} & set(walk(atom)) for atom in stored.terms):
            return None
        step = stored.coefficient(var)
        gap = stored - read
        if not gap.is_constant or (step == 0 and gap.const != 0):
            return None
        if step == 0:
            continue
        here, rest = divmod(gap.const, step)
        if rest or (turns is not None and here != turns):
            return None
        turns = here
        apart |= abs(step) >= i.lanes
    return turns if apart else None


def _is_run(i: Expr) -> bool:
    return isinstance(i, Ramp) and i.stride == index(1)


def _base(i: Expr) -> Expr:
    return i.base if isinstance(i, Ramp) else i


def _redirected(body: Stmt, values: dict[Load, Load], news: dict[Store, Load]) -> Stmt:
    def visit(n: Node) -> Node:
        if isinstance(n, Load) and n in values:
            return values[n]
        new = map_children(n, visit)
        if isinstance(n, Store) and n in news:
            assert isinstance(new, Store)
            value = news[n]
            return sequence([_set(value, new.value), replace(new, value=value)])
        return new

    result = visit(body)
    assert isinstance(result, Stmt)
    return result


def _slot(store: Store) -> Load:
    """A register for the values of a store, as the load that reads it."""
    lanes = max(i.lanes for i in store.indices)
    slot = Buffer(f"{store.buffer.name}.last", store.buffer.dtype, (index(lanes),))
    return Load(slot, (Ramp(index(0), index(1), lanes),) if lanes > 1 else (index(0),))


def _set(slot: Load, value: Expr) -> Store:
    return Store(slot.buffer, slot.indices, value)
