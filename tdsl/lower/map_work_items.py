"""Local loops become work-items: ``for l: s; for m: t`` -> ``for l: s; barrier; t[m:=l]``.

A kernel is a nest of group loops. Inside it, all local loops along one axis are laid on one index,
and what stands outside of them runs on the first work-item of that axis. Allocations inside bound
loops have a copy for each iteration: shared ones get a dimension for every local loop around them,
global ones for the group loops too and leave the kernel; private ones become one array for each
work-item (`private_tiles`). Barriers go where a work-item reads or overwrites what another left
(`barriers`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from tdsl.errors import LoweringError
from tdsl.ir.build import TRUE, conjunction, index, lt
from tdsl.ir.expr import Buffer, Const, Expr, Load, Unary, UnaryOp, Var
from tdsl.ir.interval import Interval, bounds
from tdsl.ir.stmt import Alloc, For, If, Let, LoopKind, Program, Scope, Seq, Stmt, Store
from tdsl.ir.visit import free_vars, loads, statements, substitute, walk
from tdsl.lower.barriers import insert_barriers
from tdsl.lower.bodies import map_statements, sequence, transform_statements, with_body
from tdsl.lower.conditions import NOTHING
from tdsl.lower.move_accesses import Place, moved
from tdsl.lower.private_tiles import own_tiles
from tdsl.lower.team import (
    BOUND,
    GROUPS,
    LOCALS,
    PRIVATE,
    Step,
    Team,
    has_loops,
    idle,
    team_of,
)
from tdsl.target import Target

_OF_GROUPS = (*PRIVATE, Scope.SHARED)


def map_work_items(program: Program, target: Target) -> Program:
    """Lay the local loops of every kernel on one index for each axis, with barriers in between.

    Raises:
        LoweringError: the loops are bound in a way that no device can run.
    """
    del target
    return with_body(program, _host(program.body, program, ()))


def _host(s: Stmt, program: Program, around: tuple[For, ...]) -> Stmt:
    """Find the kernels in what the host runs."""
    match s:
        case For(kind=kind) if kind in BOUND:
            return _Kernel(program, around).nest(s)
        case _ if not has_loops(s, BOUND):
            return transform_statements(s, _alone)
        case For(kind=LoopKind.SERIAL | LoopKind.UNROLLED):
            return map_statements(s, lambda n: _host(n, program, (*around, s)))
        case For():
            raise LoweringError(
                f"the {s.kind.value} loop {s.var.name!r} holds loops bound to groups or work-items",
                hint=f"bind {s.var.name!r} itself, or leave it serial: the host then runs it",
                span=s.span,
            )
        case If(cond=cond, then=then, otherwise=None) if loads(cond):
            if isinstance(then, For) and then.kind in BOUND:
                inner = dataclasses.replace(then, body=If(cond, then.body))
                return _host(inner, program, around)
            raise LoweringError(
                "a condition on data stands around several kernels, and the host sees no data",
                hint="bind the loops of each block on their own",
            )
        case Alloc(scope=scope) if scope in _OF_GROUPS and not has_loops(s.body, GROUPS):
            return _Kernel(program, around).nest(s)  # one group: its loop is gone
        case Alloc(buffer=buffer, scope=scope) if scope in _OF_GROUPS:
            raise LoweringError(
                f"{buffer.name} has scope {scope.value!r}, but lives outside the loops that are "
                "bound to groups: no two groups share such memory",
                hint=f"compute {buffer.name} inside the group loops (compute_at), or use scope "
                "'global'",
            )
        case _:
            return map_statements(s, lambda n: _host(n, program, around))


def _alone(s: Stmt) -> Stmt:
    """One work-item runs this: it shares with nobody, so that its own memory will do.

    What a group shares is declared at the top of a kernel, and there may be loops around.
    """
    if not isinstance(s, Alloc) or s.scope is not Scope.SHARED:
        return s
    constant = all(isinstance(extent, Const) for extent in s.buffer.shape)
    return dataclasses.replace(s, scope=Scope.STACK) if constant else s


@dataclass(slots=True)
class _Kernel:
    """One kernel on its way.

    Attributes:
        around: the loops that the host runs around it.
        groups: its group loops, outermost first.
        team: its work-items.
        privates: private allocations, each with the local axes around it.
        shared, escaping: allocations that go to its top, and outside of it.
        places: where accesses of those go.
        differing: variables that may have another value in another work-item.
    """

    program: Program
    around: tuple[For, ...]
    groups: list[For] = field(default_factory=list)
    team: Team = field(default_factory=lambda: Team(()))
    privates: dict[Buffer, frozenset[Var]] = field(default_factory=dict)
    shared: list[Alloc] = field(default_factory=list)
    escaping: list[Alloc] = field(default_factory=list)
    places: dict[Buffer, Place] = field(default_factory=dict)
    differing: set[Var] = field(default_factory=set)

    def nest(self, s: Stmt) -> Stmt:
        """The kernel whose outermost bound loop is *s*."""
        body = self._peel(s)
        self.team = team_of(body)
        self.differing = set(self.team.vars)
        allocs = [n for n in statements(body) if isinstance(n, Alloc)]
        self.privates = {a.buffer: frozenset() for a in allocs if a.scope in PRIVATE}
        inside = moved(self._stmt(body, {}, ()), self.places)
        inside = own_tiles(inside, self.team, self.privates)
        inside = insert_barriers(inside, self.team, (*self.around, *self.groups), self.program)
        for axis in reversed(self.team.axes):
            inside = For(axis.var, index(axis.size), inside, axis.kind)
        for alloc in self.shared:
            inside = dataclasses.replace(alloc, body=inside)
        for loop in reversed(self.groups):
            inside = dataclasses.replace(loop, body=inside)
        for alloc in self.escaping:
            inside = dataclasses.replace(alloc, body=inside)
        return inside

    def _peel(self, s: Stmt) -> Stmt:
        """Take the group loops off; what stood between them goes inside."""
        match s:
            case For(kind=kind) if kind in GROUPS:
                self._check_extent(s)
                self.groups.append(s)
                return self._peel(s.body)
            case Let() | Alloc() if has_loops(s.body, GROUPS):
                return dataclasses.replace(s, body=self._peel(s.body))
            case If(otherwise=None) if has_loops(s.then, GROUPS):
                return dataclasses.replace(s, then=self._peel(s.then))
            case _:
                stray = [n for n in statements(s) if isinstance(n, For) and n.kind in GROUPS]
                if stray:
                    raise self._stray(stray[0])
                return s

    def _check_extent(self, loop: For) -> None:
        if free_vars(loop.extent) & {group.var for group in self.groups}:
            raise LoweringError(
                f"the number of iterations of {loop.var.name!r}, bound to {loop.kind.value}, "
                "depends on another group loop",
                hint="the groups of a launch form a box: bind only the outer loop",
                span=loop.span,
            )

    def _stray(self, loop: For) -> LoweringError:
        outer = f"group loop {self.groups[-1].var.name!r}" if self.groups else "local loop"
        return LoweringError(
            f"loop {loop.var.name!r}, bound to {loop.kind.value}, stands below other work of the "
            f"{outer}, and groups cannot wait for each other",
            hint=f"fission the loops around {loop.var.name!r}, or reorder the group loops so that "
            "they are the outermost ones, one directly inside the other",
            span=loop.span,
        )

    # -- inside the kernel ----------------------------------------------------------------------

    def _stmt(self, s: Stmt, bound: dict[LoopKind, int], conds: tuple[Expr, ...]) -> Stmt:
        """*s* as every work-item runs it; `bound`: extents of the local loops around it."""
        match s:
            case For(kind=kind, extent=Const(value=0)) if kind in LOCALS:
                return NOTHING
            case For(kind=kind, extent=Const(value=extent)) if kind in LOCALS:
                body = substitute(s.body, {s.var: self.team.axis(kind).var})
                return self._stmt(body, {**bound, kind: int(extent)}, conds)
            case Alloc():
                return self._alloc(s, bound, conds)
            case _ if not has_loops(s, LOCALS) and not self._meets(s, bound):
                return self._step(s, bound, conds)
            case Seq(body=body):
                return sequence(self._stmt(child, bound, conds) for child in body)
            case For(kind=LoopKind.SERIAL | LoopKind.UNROLLED):
                return self._loop(s, bound, conds)
            case Let() if not loads(s.value):
                if free_vars(s.value) & self.differing:
                    self.differing.add(s.var)
                return dataclasses.replace(s, body=self._stmt(s.body, bound, conds))
            case If():
                return self._if(s, bound, conds)
            case For():
                held = "local loops" if has_loops(s, LOCALS) else "work that work-items wait for"
                raise LoweringError(
                    f"the {s.kind.value} loop {s.var.name!r} holds {held}",
                    hint=f"reorder the local loops outside {s.var.name!r}",
                    span=s.span,
                )
            case _:
                raise LoweringError("local loops depend on data that other work-items make")

    def _loop(self, s: For, bound: dict[LoopKind, int], conds: tuple[Expr, ...]) -> Stmt:
        """A loop in which work-items may meet: all of them run it equally often.

        One whose iterations are over (the tail of a split ends so) stands by in what is left.
        """
        if free_vars(s.extent) & self.differing and not loads(s.extent):
            axes = {a.var: Interval(index(0), index(a.size - 1)) for a in self.team.axes}
            _, most = bounds(s.extent, axes)
            if most is not None and not free_vars(most) & self.differing:
                conds = (*conds, lt(s.var, s.extent))
                s = dataclasses.replace(s, extent=most)
        return map_statements(s, lambda n: self._stmt(n, bound, conds))

    def _if(self, s: If, bound: dict[LoopKind, int], conds: tuple[Expr, ...]) -> Stmt:
        if not free_vars(s.cond) & self.differing and not loads(s.cond):
            return map_statements(s, lambda n: self._stmt(n, bound, conds))
        # work-items differ: the condition goes inside, where nobody waits for anybody
        if loads(s.cond):
            raise LoweringError(
                "local loops stand under a condition on data",
                hint="bind a loop that stands outside the condition",
            )
        parts = [self._stmt(s.then, bound, (*conds, s.cond))]
        if s.otherwise is not None:
            parts.append(self._stmt(s.otherwise, bound, (*conds, Unary(UnaryOp.NOT, s.cond))))
        return sequence(parts)

    def _meets(self, s: Stmt, bound: dict[LoopKind, int]) -> bool:
        """Whether what each work-item keeps is made beside what only the first of them writes.

        One of its statements must wait for another then, so that they are steps of their own.
        """
        if isinstance(s, Store) or all(axis.kind in bound for axis in self.team.axes):
            return False
        written = {n.buffer for n in statements(s) if isinstance(n, Store)}
        others = written - self.privates.keys()
        return bool(self._kept(s)) and any(
            isinstance(n, Load) and n.buffer in others for n in walk(s)
        )

    def _kept(self, s: Stmt) -> set[Buffer]:
        """Private storage that *s* writes and that lives on after it."""
        written = {n.buffer for n in statements(s) if isinstance(n, Store)}
        own = {n.buffer for n in statements(s) if isinstance(n, Alloc)}
        return (written & self.privates.keys()) - own

    def _step(self, s: Stmt, bound: dict[LoopKind, int], conds: tuple[Expr, ...]) -> Stmt:
        """What a work-item runs alone, and on which of them."""
        s = self._without_allocs(s, bound)
        axes = self.team.axes
        taking = [c for a in axes if a.kind in bound for c in idle(a, bound[a.kind])]
        first = [c for a in axes if a.kind not in bound for c in idle(a, 1)]
        if first and self._kept(s):
            s = self._only_first(s, conjunction(first))
            first = []
        cond = conjunction([*conds, *taking, *first])
        spread = tuple(a.var for a in axes if a.kind in bound)
        return Step(s if cond == TRUE else If(cond, s), spread)

    def _only_first(self, s: Stmt, cond: Expr) -> Stmt:
        """Every work-item keeps its own copy of private results; the first one writes the rest."""
        if isinstance(s, Store):
            return s if s.buffer in self.privates else If(cond, s)
        return map_statements(s, lambda n: self._only_first(n, cond))

    def _without_allocs(self, s: Stmt, bound: dict[LoopKind, int]) -> Stmt:
        """Take shared and global allocations out of what a work-item runs alone."""
        if isinstance(s, Alloc) and s.scope not in PRIVATE:
            self._take(s, bound)
            return self._without_allocs(s.body, bound)
        return map_statements(s, lambda n: self._without_allocs(n, bound))

    def _alloc(self, s: Alloc, bound: dict[LoopKind, int], conds: tuple[Expr, ...]) -> Stmt:
        if s.scope in PRIVATE:
            around = frozenset(a.var for a in self.team.axes if a.kind in bound)
            self.privates[s.buffer] = around
            if not has_loops(s.body, LOCALS) and not self._meets(s, bound):
                return self._step(s, bound, conds)
            return dataclasses.replace(s, body=self._stmt(s.body, bound, conds))
        self._take(s, bound)
        return self._stmt(s.body, bound, conds)

    def _take(self, s: Alloc, bound: dict[LoopKind, int]) -> None:
        """Give storage a copy for each iteration of the bound loops around it."""
        axes = [a for a in self.team.axes if a.kind in bound]
        copies: list[tuple[Var, Expr]] = [(a.var, index(bound[a.kind])) for a in axes]
        if s.scope is not Scope.SHARED:
            copies = [*((loop.var, loop.extent) for loop in self.groups), *copies]
        elif not all(isinstance(extent, Const) for extent in s.buffer.shape):
            raise LoweringError(
                f"{s.buffer.name} has scope 'shared', but its size is not constant",
                hint="tile the loops that index it by constant factors",
            )
        shape = (*(extent for _, extent in copies), *s.buffer.shape)
        buffer = dataclasses.replace(s.buffer, shape=shape) if copies else s.buffer
        front = tuple(var for var, _ in copies)
        self.places[s.buffer] = Place(buffer, lambda indices: (*front, *indices))
        (self.shared if s.scope is Scope.SHARED else self.escaping).append(
            dataclasses.replace(s, buffer=buffer)
        )
