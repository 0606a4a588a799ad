"""Elements that one iteration has for itself, among those that may run at the same time.

What is kept in a register is put back even if no iteration of a loop changed it. That is harmless
where nobody else may have written the element in between: where its indices tell, for each parallel
or bound loop around, which iteration it belongs to, as `y[io * 32 + ii]` does with 32 `ii`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import index, sub
from tdsl.ir.expr import Broadcast, Buffer, Const, Expr, Load, Ramp, Var
from tdsl.ir.interval import Interval, constant_bounds, interval
from tdsl.ir.stmt import Alloc, For, Layout, Let, LoopKind, Stmt, Store
from tdsl.ir.visit import free_vars, substitute, walk
from tdsl.lower.team import BOUND
from tdsl.lower.told import told


@dataclass(frozen=True, slots=True)
class AtOnce:
    """The loops around a statement whose iterations may run at the same time.

    `items` are their variables, outermost first; `ranges` those of all variables inside the first.
    `homes` tells how many of them are around the allocation of a buffer; `whole` is the first one.
    """

    items: tuple[Var, ...] = ()
    ranges: Mapping[Var, Interval] = field(default_factory=dict)
    homes: Mapping[Buffer, int] = field(default_factory=dict)
    whole: For | None = None

    def inside(self, s: Stmt) -> AtOnce:
        """The same for what stands below a statement."""
        match s:
            case For(var=var, extent=extent, kind=kind):
                at_once = kind is LoopKind.PARALLEL or kind in BOUND
                if not (at_once or self.items):
                    return self
                last = interval(sub(extent, 1), self.ranges).hi
                return replace(
                    self,
                    items=(*self.items, var) if at_once else self.items,
                    ranges={**self.ranges, var: Interval(index(0), last)},
                    whole=self.whole or s,
                )
            case Alloc(buffer=buffer):
                return replace(self, homes={**self.homes, buffer: len(self.items)})
            case _:
                return self

    def owns(self, buffer: Buffer, indices: tuple[Expr, ...]) -> bool:
        """Whether no other iteration touches an element, or vector, while this one may."""
        others = self.items[self.homes.get(buffer, 0) :]
        if not others:
            return True
        assert self.whole is not None
        outputs: list[Expr] = []
        ranges = dict(self.ranges)
        lets = _values(self.whole)
        touched = [
            n.indices
            for n in walk(self.whole)
            if isinstance(n, Load | Store) and n.buffer is buffer
        ]
        for d in range(len(indices)):
            runs = [_run(substitute(at[d], lets)) for at in (indices, *touched)]
            reach = _reach(runs)
            if runs[0] is not None and reach is not None:
                offset = Var("offset")
                ranges[offset] = Interval(index(reach[0]), index(reach[1]))
                outputs.append((runs[0][0] + linear(offset)).expr())
        return all(told(Layout(others, tuple(outputs)), lambda e: _span(e, ranges)))


def _values(s: Stmt) -> dict[Var, Expr]:
    """What the names that are given inside a statement stand for."""
    found: dict[Var, Expr] = {}
    for n in walk(s):
        if isinstance(n, Let):
            found[n.var] = substitute(n.value, found)
    return found


def _run(i: Expr) -> tuple[Affine, int] | None:
    """The first of the lanes of an index, and how far it is to the last one; None: unknown."""
    match i:
        case Ramp(stride=Const(value=step), count=count):
            return linear(i.base), int(step) * (count - 1)
        case Broadcast(a=a):
            return linear(a), 0
        case _:
            return (linear(i), 0) if i.lanes == 1 else None


def _reach(runs: list[tuple[Affine, int] | None]) -> tuple[int, int] | None:
    """How far indices lie from the first one, at least and at most; None: not known."""
    if runs[0] is None:
        return None
    first = runs[0][0]
    ends: list[int] = []
    for run in runs:
        gap = None if run is None else run[0] - first
        if run is None or gap is None or not gap.is_constant:
            return None
        ends += (gap.const, gap.const + run[1])
    return min(ends), max(ends)


def _span(e: Expr, ranges: Mapping[Var, Interval]) -> int | None:
    """How many integers an expression may be, of those variables alone that have ranges here."""
    terms = linear(e).terms.items()
    varying = Affine({atom: c for atom, c in terms if free_vars(atom) & ranges.keys()})
    low, high = constant_bounds(varying.expr(), ranges)
    return None if low is None or high is None else high - low + 1
