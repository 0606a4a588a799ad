"""Promote registers: a tile with constant indices becomes one slot per vector or scalar.

    alloc acc: f32[6, 16] in register        alloc acc.0: f32[16] in register ...
      acc[ramp(16, 1, 16)] = x          ->     acc.1[ramp(0, 1, 16)] = x

Accesses that overlap share a slot; one that covers part of its slot picks lanes by a shuffle. Code
generation turns slots into stack cells that LLVM's SROA makes values of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from tdsl.ir.stmt import Alloc, For, If, Prefetch, Program, Scope, Seq, Stmt, Store
from tdsl.ir.visit import children, free_vars, map_children, walk
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
    survey = _Survey()
    survey.visit(program.body)
    return with_body(program, _Promotion(survey.slots).visit(program.body))


@dataclass(slots=True)
class _Tile:
    """A tile whose body is being looked at.

    Attributes:
        alloc: its allocation.
        around: how many concurrent loops there are around that.
        spans: first and last elements of each access so far.
    """

    alloc: Alloc
    around: int
    spans: set[tuple[int, int]]


class _Survey:
    """Finds the slots of all tiles in one walk. Attributes: `slots`, of each allocation by `id`."""

    def __init__(self) -> None:
        self.slots: dict[int, list[_Slot]] = {}
        self._open: dict[Buffer, _Tile] = {}
        self._concurrent: list[For] = []

    def visit(self, n: Stmt) -> None:
        """Look at a statement and all below it."""
        match n:
            case Alloc(scope=Scope.REGISTER):
                self._visit_tile(n)
                return
            case For() if n.kind.concurrent:
                self._concurrent.append(n)
                self._visit_below(n)
                self._concurrent.pop()
                return
            case Store():
                self._note(n)
            case _:
                pass
        self._visit_below(n)

    def _note(self, access: Load | Store) -> None:
        tile = self._open.get(access.buffer)
        if tile is not None:
            tile.spans.add(_span(_lanes_of(access.indices[0], tile.alloc)))
            if isinstance(access, Store) and access.atomic:
                self._check_one_owner(tile)

    def _visit_tile(self, alloc: Alloc) -> None:
        tile = self._open[alloc.buffer] = _Tile(alloc, len(self._concurrent), set())
        self.visit(alloc.body)
        del self._open[alloc.buffer]
        self.slots[id(alloc)] = _slots(tile)

    def _visit_below(self, n: Stmt) -> None:
        for child in children(n):
            if isinstance(child, Stmt):
                self.visit(child)
            else:
                for m in walk(child):
                    if isinstance(m, Load):
                        self._note(m)

    def _check_one_owner(self, tile: _Tile) -> None:
        """Atomic updates to registers are plain ones, as long as one thread makes all of them."""
        if len(self._concurrent) > tile.around:
            loop = self._concurrent[tile.around]
            raise LoweringError(
                f"{tile.alloc.buffer.name} has scope 'register', but iterations of the "
                f"{loop.kind.value} loop '{loop.var.name}' update it together",
                hint="set scope 'global', or give each iteration a tile of its own (rfactor)",
                span=loop.span,
            )


def _slots(tile: _Tile) -> list[_Slot]:
    """Connected runs of elements that accesses touch together."""
    buffer = tile.alloc.buffer
    merged: list[tuple[int, int]] = []
    for first, last in sorted(tile.spans):
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


class _Promotion:
    """Puts slots in the place of tiles.

    Args:
        slots: of each allocation, by `id`.
    """

    def __init__(self, slots: Mapping[int, list[_Slot]]) -> None:
        self._slots = slots
        self._open: dict[Buffer, tuple[Alloc, dict[int, _Slot]]] = {}

    def visit(self, n: Node) -> Node:
        """A node whose accesses name slots."""
        if isinstance(n, Alloc) and n.scope is Scope.REGISTER:
            return self._split(n)
        new = map_children(n, self.visit)
        if isinstance(new, Load | Store | Prefetch) and new.buffer in self._open:
            alloc, by_element = self._open[new.buffer]
            match new:
                case Load():
                    return _load(new, _lanes_of(new.indices[0], alloc), by_element)
                case Store(mask=mask):
                    assert isinstance(n, Store)
                    lanes = _lanes_of(new.indices[0], alloc)
                    if mask is None or mask.lanes > 1 or not self._reads_memory(n.value):
                        return _store(new, lanes, by_element)
                    # what stands under one condition loads nothing where that does not hold
                    return If(mask, _store(replace(new, mask=None), lanes, by_element))
                case _:
                    return Seq(())
        return new

    def _reads_memory(self, value: Expr) -> bool:
        return any(isinstance(n, Load) and n.buffer not in self._open for n in walk(value))

    def _split(self, alloc: Alloc) -> Stmt:
        slots = self._slots[id(alloc)]
        by_element = {
            element: slot
            for slot in slots
            for element in range(slot.start, slot.start + slot.count)
        }
        self._open[alloc.buffer] = alloc, by_element
        body = self.visit(alloc.body)
        del self._open[alloc.buffer]
        assert isinstance(body, Stmt)
        for slot in slots:
            body = Alloc(slot.buffer, body, Scope.REGISTER)
        return body


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
