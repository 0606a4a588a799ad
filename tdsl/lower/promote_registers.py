"""Promote registers: a tile with constant indices becomes one slot per vector or scalar.

    alloc acc: f32[6, 16] in register        alloc acc.0: f32[16] in register ...
      acc[ramp(16, 1, 16)] = x          ->     acc.1[ramp(0, 1, 16)] = x

Accesses that overlap share a slot; one that covers part of its slot picks lanes by a shuffle. Code
generation turns slots into stack cells that LLVM's SROA makes values of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tdsl.errors import LoweringError
from tdsl.ir.build import const, index
from tdsl.ir.expr import (
    Broadcast,
    Buffer,
    Const,
    Expr,
    Load,
    Node,
    Ramp,
    Select,
    Shuffle,
)
from tdsl.ir.stmt import Alloc, For, Prefetch, Program, Scope, Seq, Stmt, Store
from tdsl.ir.visit import free_vars, map_children, walk
from tdsl.lower.bodies import with_body
from tdsl.lower.lanes import widen
from tdsl.target import Target


@dataclass(frozen=True, slots=True)
class _Slot:
    """A piece of a tile: elements [start, start + count) live in `buffer`."""

    start: int
    count: int
    buffer: Buffer


def promote_registers(program: Program, target: Target) -> Program:
    """Split every REGISTER allocation into slots.

    Raises:
        LoweringError: an index is not constant after unrolling and vectorising; it names the loop.
    """
    del target
    new = _promote(program.body)
    return with_body(program, new)


def _promote(n: Node) -> Node:
    new = map_children(n, lambda child: _promote(child) if isinstance(child, Stmt) else child)
    if isinstance(new, Alloc) and new.scope is Scope.REGISTER:
        return _split(new)
    return new


def _split(alloc: Alloc) -> Stmt:
    _check_one_owner(alloc)
    slots = _slots(alloc)
    body = _rewrite(alloc.body, alloc.buffer, slots)
    for slot in slots:
        body = Alloc(slot.buffer, body, Scope.REGISTER)
    return body


def _check_one_owner(alloc: Alloc) -> None:
    """Atomic updates to registers are plain ones, as long as one thread makes all of them."""
    for loop in walk(alloc.body):
        if isinstance(loop, For) and loop.kind.concurrent and _updates(loop, alloc.buffer):
            raise LoweringError(
                f"{alloc.buffer.name} has scope 'register', but iterations of the "
                f"{loop.kind.value} loop '{loop.var.name}' update it together",
                hint="set scope 'global', or give each iteration a tile of its own (rfactor)",
                span=loop.span,
            )


def _updates(loop: For, buffer: Buffer) -> bool:
    return any(isinstance(n, Store) and n.atomic and n.buffer is buffer for n in walk(loop.body))


def _slots(alloc: Alloc) -> list[_Slot]:
    """Connected runs of elements that accesses touch together."""
    buffer = alloc.buffer
    spans = sorted({_span(lanes) for lanes in _accessed_lanes(alloc)})
    merged: list[tuple[int, int]] = []
    for first, last in spans:
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return [
        _Slot(first, last - first + 1, _slot_buffer(buffer, number, last - first + 1))
        for number, (first, last) in enumerate(merged)
    ]


def _slot_buffer(buffer: Buffer, number: int, count: int) -> Buffer:
    return Buffer(f"{buffer.name}.{number}", buffer.type, (index(count),))


def _span(lanes: Sequence[int]) -> tuple[int, int]:
    return min(lanes), max(lanes)


def _accessed_lanes(alloc: Alloc) -> Iterable[tuple[int, ...]]:
    for n in walk(alloc.body):
        if isinstance(n, Load | Store) and n.buffer is alloc.buffer:
            yield _lanes_of(n.indices[0], alloc)


def _lanes_of(position: Expr, alloc: Alloc) -> tuple[int, ...]:
    """The elements that an index names, lane by lane."""
    match position:
        case Const(value=value):
            return (int(value),)
        case Ramp(Const(value=base), Const(value=stride), count):
            return tuple(int(base) + int(stride) * lane for lane in range(count))
        case Broadcast(a=Const(value=value), count=count):
            return (int(value),) * count
        case _:
            raise _not_constant(position, alloc)


def _not_constant(position: Expr, alloc: Alloc) -> LoweringError:
    variables = free_vars(position)
    loops = [n for n in walk(alloc.body) if isinstance(n, For) and n.var in variables]
    name = alloc.buffer.name
    if loops:
        return LoweringError(
            f"{name} has scope 'register', but the loop '{loops[0].var.name}' that indexes it is "
            f"{loops[0].kind.value}",
            hint=f"unroll or vectorize '{loops[0].var.name}', or set another scope",
            span=loops[0].span,
        )
    others = ", ".join(sorted(v.name for v in variables)) or "data"
    return LoweringError(
        f"{name} has scope 'register', but an index of it depends on {others}, which is not known "
        "when the kernel is built",
        hint="set scope 'stack' or 'global', or compute it where the index is constant",
    )


def _rewrite(s: Stmt, buffer: Buffer, slots: list[_Slot]) -> Stmt:
    by_element = {
        element: slot for slot in slots for element in range(slot.start, slot.start + slot.count)
    }
    alloc = Alloc(buffer, s, Scope.REGISTER)

    def visit(n: Node) -> Node:
        new = map_children(n, visit)
        if isinstance(new, Load) and new.buffer is buffer:
            return _load(new, _lanes_of(new.indices[0], alloc), by_element)
        if isinstance(new, Store) and new.buffer is buffer:
            return _store(new, _lanes_of(new.indices[0], alloc), by_element)
        if isinstance(new, Prefetch) and new.buffer is buffer:
            return Seq(())
        return new

    rewritten = visit(s)
    assert isinstance(rewritten, Stmt)
    return rewritten


def _whole(slot: _Slot) -> tuple[Expr, ...]:
    return (index(0) if slot.count == 1 else Ramp(index(0), index(1), slot.count),)


def _load(load: Load, lanes: tuple[int, ...], slots: dict[int, _Slot]) -> Expr:
    slot = slots[lanes[0]]
    value: Expr = Load(slot.buffer, _whole(slot))
    picks = tuple(lane - slot.start for lane in lanes)
    if slot.count > 1 and picks != tuple(range(slot.count)):
        value = Shuffle((value,), picks)
    elif slot.count == 1:
        value = widen(value, len(lanes))
    if load.mask is None:
        return value
    zero = widen(const(0, load.dtype), len(lanes))
    return Select(widen(load.mask, len(lanes)), value, zero)


def _store(store: Store, lanes: tuple[int, ...], slots: dict[int, _Slot]) -> Stmt:
    slot = slots[lanes[0]]
    value = widen(store.value, len(lanes))
    target = Load(slot.buffer, _whole(slot))
    if store.mask is not None:
        old = _load(Load(store.buffer, store.indices), lanes, slots)
        value = Select(widen(store.mask, len(lanes)), value, old)
    picks = tuple(lane - slot.start for lane in lanes)
    if slot.count > 1 and picks != tuple(range(slot.count)):
        source = {element: slot.count + lane for lane, element in enumerate(picks)}
        blend = tuple(source.get(element, element) for element in range(slot.count))
        value = Shuffle((target, value), blend)
    return Store(slot.buffer, _whole(slot), value)
