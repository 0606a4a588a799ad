"""Keep what the next iteration needs again: ``for i: y[i] = x[i] + x[i+1]`` loads one x a turn.

An innermost loop that computes one value at several shifts (see `shifts`) computes it once, at the
farthest, and hands it on in a register:

    a = f(0);  for i in n: b = f(i + 1); y[i] = a + b; a = b

Along lanes, vectors that lie between whole steps are put together from their two neighbours, and
the last iteration is left as it was, so that nothing beyond its reads is touched:

    a = x[0:8];  for i in n-1: b = x[8*i+8 : 8*i+16]; y[8*i : 8*i+8] = a + shuffle(a, b); a = b
    y[8*n-8 : 8*n] = x[8*n-8 : 8*n] + x[8*n-7 : 8*n+1]
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace

from tdsl.ir.build import add, index, lt, sub
from tdsl.ir.expr import Buffer, Const, Expr, Load, Node, Ramp, Select, Shuffle, Var
from tdsl.ir.stmt import Alloc, For, If, Let, LoopKind, Program, Scope, Stmt, Store
from tdsl.ir.visit import children, map_children, statements, substitute
from tdsl.lower.bodies import is_straight, map_statements, sequence, with_body
from tdsl.lower.copies import fresh_copy
from tdsl.lower.facts import Facts, holds, program_facts
from tdsl.lower.shifts import Motion, Place, Shifts, along_lanes
from tdsl.target import Target

_ROUNDS = 4  # what is carried may hold something to be carried in turn
_FEWEST = 4  # iterations of a loop that is worth it
_FARTHEST = 4  # iterations that a value is kept
_GAIN = 1.0  # instructions an iteration that pay for the loop's preparation
_SHUFFLE, _MOVE = 1.5, 0.5  # instructions
_SHUFFLED_BITS = 32  # narrower elements cannot be shifted across a vector in one instruction


def carry_values(program: Program, target: Target) -> Program:
    """Hand values on from one iteration of an innermost loop to the next."""
    body = _visit(program.body, program_facts(program), target)
    return with_body(program, body)


def _visit(s: Stmt, facts: Facts, target: Target) -> Stmt:
    inner = facts
    if isinstance(s, For):
        if s.kind is LoopKind.SERIAL and is_straight(s.body):
            return _relieved(s, facts, target, _Left(_ROUNDS, target.vector_registers // 2))
        inner = facts.inside(s)
    elif isinstance(s, If) and s.otherwise is None:
        inner = facts.given(s.cond)
    return map_statements(s, lambda n: _visit(n, inner, target))


@dataclass(frozen=True, slots=True)
class _Left:
    """Rounds that a loop may still be gone through, and registers that no round has taken."""

    rounds: int
    registers: int


def _relieved(loop: For, facts: Facts, target: Target, left: _Left) -> Stmt:
    extent = loop.extent
    if not left.rounds or loop.parts or (isinstance(extent, Const) and int(extent.value) < _FEWEST):
        return loop
    plan = _plan(loop, target, left.registers)
    if not plan.groups:
        return loop
    taken = sum(group.registers(target) for group in plan.groups.values())
    nest = _rewritten(loop, plan, facts, target, _Left(left.rounds - 1, left.registers - taken))
    runs = lt(index(0), extent)
    return nest if holds(facts, runs) else If(runs, nest)


@dataclass(slots=True)
class _Group:
    """One value at several shifts; `sample` is one of the expressions, at `place`."""

    place: Place
    sample: Expr
    shifts: set[int] = field(default_factory=set)

    @property
    def lanes(self) -> int:
        return self.sample.lanes

    @property
    def first(self) -> int:
        return min(self.shifts)

    @property
    def last(self) -> int:
        return max(self.shifts)

    def near(self) -> set[int]:
        """Shifts that one iteration's values serve (along lanes)."""
        return {shift for shift in self.shifts if shift - self.first < self.place.step}

    def anchors(self) -> set[int]:
        """Whole vectors, counted from the first, of which the near shifts are made."""
        found = set()
        for shift in self.near():
            whole, rest = divmod(shift - self.first, self.lanes)
            found |= {whole, whole + 1} if rest else {whole}
        return found

    @property
    def turns(self) -> int:
        """The vector that is the next iteration's first (along lanes)."""
        return self.place.step // self.lanes

    def gain(self) -> float:
        """Instructions saved an iteration."""
        weight = self.place.weight
        if self.place.motion is Motion.TURNS:
            kept = self.last - self.first
            if kept > _FARTHEST:
                return 0.0
            return (len(self.shifts) - 1) * weight - kept * _MOVE
        if self.sample.dtype.bits < _SHUFFLED_BITS or self.sample.dtype.is_bool:
            return 0.0
        near, anchors = self.near(), self.anchors()
        between = sum((shift - self.first) % self.lanes != 0 for shift in near)
        computed = len(anchors) - (self.turns in anchors)
        return (len(near) - computed) * weight - between * _SHUFFLE

    def registers(self, target: Target) -> int:
        """Vector registers that stay taken from one iteration to the next."""
        bits = self.sample.dtype.bits * self.lanes
        kept = self.last - self.first if self.place.motion is Motion.TURNS else 1
        return kept * -(-bits // target.vector_bits)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The groups that a loop carries, by key."""

    shifts: Shifts
    groups: dict[Hashable, _Group]


def _plan(loop: For, target: Target, left: int) -> _Plan:
    """What a loop carries in *left* registers."""
    below = list(statements(loop.body))
    stored = {n.buffer for n in below if isinstance(n, Store)}
    stored |= {n.buffer for n in below if isinstance(n, Alloc)}
    unknown = {n.var for n in below if isinstance(n, Let)}
    shifts = Shifts(loop.var, unknown, stored)
    plan = _Plan(shifts, {})
    refused: set[Hashable] = set()
    while True:
        found = _groups(loop.body, plan)
        open_ = [g for key, g in found.items() if key not in refused and g.gain() >= _GAIN]
        if not open_:
            break
        best = max(open_, key=lambda g: g.place.weight)
        if best.registers(target) > left:
            refused.add(best.place.key)
            continue
        left -= best.registers(target)
        plan.groups[best.place.key] = best
    return plan


def _groups(body: Stmt, plan: _Plan) -> dict[Hashable, _Group]:
    """Values that move, outside of those that are carried already."""
    found: dict[Hashable, _Group] = {}
    for root in _roots(body):
        stack = [root]
        while stack:
            e = stack.pop()
            place = plan.shifts.place(e)
            if place is not None and place.key in plan.groups:
                continue
            if place is not None and place.motion in (Motion.LANES, Motion.TURNS):
                group = found.setdefault(place.key, _Group(place, e))
                group.shifts.add(place.shift)
            if not isinstance(e, Select):  # an arm is only computed where it is taken
                stack += [n for n in children(e) if isinstance(n, Expr)]
    return found


def _roots(body: Stmt) -> Iterator[Expr]:
    """Expressions that every iteration computes."""
    for s in statements(body):
        match s:
            case Store(mask=None, value=value) | Let(value=value):
                yield value
            case _:
                pass


class _Carried:
    """The registers and names of one loop's carried values."""

    def __init__(self, loop: For, plan: _Plan) -> None:
        self.loop = loop
        self.plan = plan
        self.slots: list[Buffer] = []
        self.before: list[Stmt] = []
        self.lets: list[tuple[Var, Expr]] = []
        self.after: list[Stmt] = []
        self.values: dict[tuple[Hashable, int], Expr] = {}
        self.peeled = False
        for group in plan.groups.values():
            if group.place.motion is Motion.TURNS:
                self._turns(group)
            else:
                self._lanes(group)

    def _turns(self, group: _Group) -> None:
        kept = [self._slot(group) for _ in range(group.first, group.last)]
        for shift, slot in enumerate(kept, group.first):
            self.before.append(self._set(slot, self._turned(group, shift, index(0))))
            self.values[group.place.key, shift] = self._get(slot)
        new = self._let(self._turned(group, group.last, self.loop.var))
        self.values[group.place.key, group.last] = new
        later = [*(self._get(slot) for slot in kept[1:]), new]
        self.after += [self._set(slot, value) for slot, value in zip(kept, later, strict=True)]

    def _lanes(self, group: _Group) -> None:
        anchors: dict[int, Expr] = {}
        carried = group.turns in group.anchors()
        for number in sorted(group.anchors()):
            if number == 0 and carried:
                continue
            anchors[number] = self._let(self._anchor(group, number, self.loop.var))
            # before the last iteration it lies between what this one and the next read anyway
            self.peeled |= group.first + number * group.lanes not in group.shifts
        if carried:
            self.peeled = True
            slot = self._slot(group)
            self.before.append(self._set(slot, self._anchor(group, 0, index(0))))
            anchors[0] = self._get(slot)
            self.after.append(self._set(slot, anchors[group.turns]))
        for shift in group.near():
            whole, rest = divmod(shift - group.first, group.lanes)
            value = anchors[whole]
            if rest:
                picks = tuple(range(rest, rest + group.lanes))
                value = Shuffle((value, anchors[whole + 1]), picks)
            self.values[group.place.key, shift] = value

    def _turned(self, group: _Group, shift: int, turn: Expr) -> Expr:
        """The value at a shift, in the iteration `turn`."""
        moved = add(turn, shift - group.place.shift)
        return substitute(group.sample, {self.loop.var: moved})

    def _anchor(self, group: _Group, number: int, turn: Expr) -> Expr:
        """A whole vector, in the iteration `turn`."""
        distance = group.first + number * group.lanes - group.place.shift
        return along_lanes(substitute(group.sample, {self.loop.var: turn}), distance)

    def _slot(self, group: _Group) -> Buffer:
        slot = Buffer(f"{self.loop.var.name}.carried", group.sample.dtype, (index(group.lanes),))
        self.slots.append(slot)
        return slot

    def _let(self, value: Expr) -> Var:
        var = Var(f"{self.loop.var.name}.next", value.dtype, value.lanes)
        self.lets.append((var, value))
        return var

    @staticmethod
    def _place(slot: Buffer) -> tuple[Expr, ...]:
        (extent,) = slot.shape
        assert isinstance(extent, Const)
        lanes = int(extent.value)
        return (Ramp(index(0), index(1), lanes),) if lanes > 1 else (index(0),)

    def _get(self, slot: Buffer) -> Load:
        return Load(slot, self._place(slot))

    def _set(self, slot: Buffer, value: Expr) -> Store:
        return Store(slot, self._place(slot), value)

    def redirected(self, body: Stmt) -> Stmt:
        """The body with carried values in the place of computations."""

        def visit(n: Node) -> Node:
            if isinstance(n, Select):
                return n
            if isinstance(n, Expr):
                place = self.plan.shifts.place(n)
                found = None if place is None else self.values.get((place.key, place.shift))
                if found is not None:
                    return found
            return map_children(n, visit)

        def statement(s: Stmt) -> Stmt:
            match s:
                case Store(mask=None):
                    return replace(s, value=_as_expr(visit(s.value)))
                case Let():
                    return Let(s.var, _as_expr(visit(s.value)), statement(s.body))
                case _:
                    return map_statements(s, statement)

        return statement(body)


def _as_expr(n: Node) -> Expr:
    assert isinstance(n, Expr)
    return n


def _rewritten(loop: For, plan: _Plan, facts: Facts, target: Target, left: _Left) -> Stmt:
    carried = _Carried(loop, plan)
    body: Stmt = sequence([carried.redirected(loop.body), *carried.after])
    for var, value in reversed(carried.lets):
        body = Let(var, value, body)
    last = sub(loop.extent, 1)
    steady = replace(loop, body=body, extent=last) if carried.peeled else replace(loop, body=body)
    pieces = [*carried.before, _relieved(steady, facts, target, left)]
    if carried.peeled:
        pieces.append(fresh_copy(loop.body, {loop.var: last}))
    nest: Stmt = sequence(pieces)
    for slot in reversed(carried.slots):
        nest = Alloc(slot, nest, Scope.REGISTER)
    return nest
