"""Barriers where they are needed: ``S[l] = x; y = S[63 - l]`` -> ``S[l] = x; barrier; y = ..``.

Work-items run a sequence of steps. A step must wait for the others if it touches an element that
another work-item touched since the last barrier, one of the two writing it. Whether there is such
an element is a question about integer points; what cannot be decided counts as yes. A loop is
asked about its next iteration too. Barriers only stand where all work-items of a group come by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tdsl.errors import LoweringError
from tdsl.ir.build import compare, lt
from tdsl.ir.expr import BinaryOp, Buffer, Const, Expr, Load, Var
from tdsl.ir.polyhedra import Domain
from tdsl.ir.stmt import Alloc, Barrier, For, If, Let, Program, Seq, Stmt, Store
from tdsl.ir.visit import children, free_vars, loads, statements, substitute, walk
from tdsl.lower.bodies import sequence
from tdsl.lower.team import PRIVATE, Step, Team


def insert_barriers(s: Stmt, team: Team, around: Sequence[For], program: Program) -> Stmt:
    """Put barriers between the steps of a kernel, and dissolve the steps.

    Args:
        s: what a work-item runs.
        team: the work-items.
        around: the loops of the host and of groups around it.
        program: its sizes and facts.

    Raises:
        LoweringError: a barrier would stand where only some work-items come by.
    """
    if not team.axes:
        return _dissolved(s)
    questions = _Questions(team, tuple(around), program, _exchanged(s))
    return _dissolved(_Inserter(questions).visit(s, (), _Place())[0])


def _exchanged(s: Stmt) -> frozenset[Buffer]:
    """Buffers that work-items could exchange values through."""
    private = {n.buffer for n in statements(s) if isinstance(n, Alloc) and n.scope in PRIVATE}
    return frozenset(n.buffer for n in statements(s) if isinstance(n, Store)) - private


def _dissolved(s: Stmt) -> Stmt:
    match s:
        case Step(body=body):
            return _dissolved(body)
        case Seq(body=body):
            return sequence(_dissolved(child) for child in body)
        case For() | Let() | Alloc():
            return replace(s, body=_dissolved(s.body))
        case If():
            rest = None if s.otherwise is None else _dissolved(s.otherwise)
            return If(s.cond, _dissolved(s.then), rest)
        case _:
            return s


@dataclass(frozen=True, slots=True)
class _Access:
    """An access of memory that work-items share.

    `loops` are those around it in the kernel, outermost first. `later`: the loop of which the
    other side of a question is a later iteration, None where both are in the same iterations.
    """

    buffer: Buffer
    indices: tuple[Expr, ...]
    writes: bool
    conds: tuple[Expr, ...]
    loops: tuple[For, ...]
    later: Var | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """What lies around a statement: loops, conditions, named values."""

    loops: tuple[For, ...] = ()
    conds: tuple[Expr, ...] = ()
    lets: tuple[tuple[Var, Expr], ...] = ()

    def settled(self, e: Expr) -> Expr:
        """An expression without named values."""
        for var, value in reversed(self.lets):
            e = substitute(e, {var: value})
        return e

    def inside(self, s: Stmt) -> _Place:
        """The place of the body of *s*."""
        match s:
            case For(extent=extent):
                own = replace(s, extent=self.settled(extent), body=Seq(()))
                return replace(self, loops=(*self.loops, own))
            case Let(var=var, value=value):
                # data too: the name stands for another value in each iteration and work-item
                return replace(self, lets=(*self.lets, (var, value)))
            case _:
                return self

    def given(self, cond: Expr) -> _Place:
        """The place where a condition holds."""
        return replace(self, conds=(*self.conds, self.settled(cond)))


@dataclass(slots=True)
class _Questions:
    team: Team
    around: tuple[For, ...]
    program: Program
    exchanged: frozenset[Buffer]

    def accesses(self, s: Stmt, place: _Place) -> Iterator[_Access]:
        """What *s* and the statements in it touch."""
        for child in children(s):
            if isinstance(child, Expr):
                yield from self._loads(child, place)
        match s:
            case Store() if s.buffer in self.exchanged:
                masked = place if s.mask is None else place.given(s.mask)
                yield self._access(s.buffer, s.indices, masked, writes=True)
            case If():
                yield from self.accesses(s.then, place.given(s.cond))
                if s.otherwise is not None:
                    yield from self.accesses(s.otherwise, place)
            case Store():
                pass
            case _:
                inner = place.inside(s)
                for child in children(s):
                    if isinstance(child, Stmt):
                        yield from self.accesses(child, inner)

    def _loads(self, e: Expr, place: _Place) -> Iterator[_Access]:
        for n in walk(e):
            if isinstance(n, Load) and n.buffer in self.exchanged:
                yield self._access(n.buffer, n.indices, place, writes=False)

    def _access(
        self, buffer: Buffer, indices: tuple[Expr, ...], place: _Place, *, writes: bool
    ) -> _Access:
        settled = tuple(place.settled(i) for i in indices)
        return _Access(buffer, settled, writes, place.conds, place.loops)

    def clash(self, before: Iterable[_Access], after: Iterable[_Access]) -> bool:
        """Whether a work-item touches an element that another touched before."""
        after = list(after)
        return any(self._meet(a, b) for a in before for b in after)

    def _meet(self, a: _Access, b: _Access) -> bool:
        if a.buffer is not b.buffer or not (a.writes or b.writes):
            return False
        renamed = self._renamed(a, b)
        ranges = {loop.var: loop.extent for loop in self.around}
        ranges |= {loop.var: loop.extent for loop in a.loops}
        ranges |= {axis.var: _index(axis.size) for axis in self.team.axes}
        for loop in (*b.loops,):
            var = renamed.get(loop.var, loop.var)
            ranges[_var(var)] = substitute(loop.extent, renamed)
        ranges |= {_var(renamed[axis.var]): _index(axis.size) for axis in self.team.axes}
        conds = [*a.conds, *(substitute(c, renamed) for c in b.conds)]
        conds += [
            compare(BinaryOp.EQ, x, substitute(y, renamed))
            for x, y in zip(a.indices, b.indices, strict=True)
        ]
        if a.later is not None:
            conds.append(lt(a.later, renamed[a.later]))
        for axis in self.team.axes:
            one, two = axis.var, renamed[axis.var]
            for apart in (lt(one, two), lt(two, one)) if axis.size > 1 else ():
                known = Domain(
                    ranges,
                    [*conds, apart],
                    sizes=self.program.sizes,
                    assume=self.program.assume,
                )
                if not known.is_empty():
                    return True
        return False

    def _renamed(self, a: _Access, b: _Access) -> dict[Var, Expr]:
        """Names for the other work-item and for the loops in which it is elsewhere."""
        renamed: dict[Var, Expr] = {axis.var: Var(axis.var.name) for axis in self.team.axes}
        same = True
        for n, loop in enumerate(b.loops):
            same = same and n < len(a.loops) and a.loops[n].var is loop.var
            same = same and loop.var is not a.later
            if not same:
                renamed[loop.var] = Var(loop.var.name)
        return renamed


def _index(n: int) -> Const:
    return Const(n)


def _var(e: Expr) -> Var:
    assert isinstance(e, Var)
    return e


_Pending = tuple[_Access, ...]


@dataclass(frozen=True, slots=True)
class _Inserter:
    """Walks the steps with what was touched since the last barrier."""

    ask: _Questions

    def visit(self, s: Stmt, pending: _Pending, place: _Place) -> tuple[Stmt, _Pending]:
        """*s* with barriers, and what is pending after it."""
        match s:
            case Step():
                own = tuple(self.ask.accesses(s, place))
                if self.ask.clash(pending, own):
                    self._check_uniform(place)
                    return Seq((Barrier(), s)), own
                return s, (*pending, *own)
            case Seq(body=body):
                done = []
                for child in body:
                    new, pending = self.visit(child, pending, place)
                    done.append(new)
                return sequence(done), pending
            case For():
                return self._loop(s, pending, place)
            case If():
                # what is given by a uniform condition is given to every work-item
                then, left = self.visit(s.then, pending, place.given(s.cond))
                if s.otherwise is None:
                    return replace(s, then=then), _union(pending, left)
                rest, right = self.visit(s.otherwise, pending, place)
                return If(s.cond, then, rest), _union(left, right)
            case Let() | Alloc():
                inner, pending = self.visit(s.body, pending, place.inside(s))
                return replace(s, body=inner), pending
            case _:
                raise AssertionError(type(s))

    def _loop(self, loop: For, pending: _Pending, place: _Place) -> tuple[Stmt, _Pending]:
        inner = place.inside(loop)
        entry: _Pending = ()
        while True:
            body, left = self.visit(loop.body, entry, inner)
            wider = _union(entry, tuple(replace(a, later=loop.var) for a in left))
            if wider == entry:
                break
            entry = wider
        new = replace(loop, body=body)
        after = tuple(replace(a, later=None) for a in left)
        exposed, stops = _exposed(self.ask, body, inner)
        if self.ask.clash(pending, exposed):
            self._check_uniform(place)
            return Seq((Barrier(), new)), after
        runs = isinstance(loop.extent, Const) and int(loop.extent.value) > 0
        return new, after if stops and runs else _union(pending, after)

    def _check_uniform(self, place: _Place) -> None:
        """A barrier that only some work-items reach would stop the device."""
        own = set(self.ask.team.vars)
        for loop in place.loops:
            if free_vars(loop.extent) & own or loads(loop.extent):
                raise LoweringError(
                    f"work-items would have to wait for each other inside the loop "
                    f"{loop.var.name!r}, which not all of them run equally often",
                    hint=f"reorder {loop.var.name!r} outside of the local loops, or make its "
                    "extent the same for all work-items",
                    span=loop.span,
                )


def _union(a: _Pending, b: _Pending) -> _Pending:
    return tuple(dict.fromkeys((*a, *b)))


def _exposed(ask: _Questions, s: Stmt, place: _Place) -> tuple[list[_Access], bool]:
    """What *s* touches before its first barrier, and whether it surely comes to one."""
    match s:
        case Barrier():
            return [], True
        case Step():
            return list(ask.accesses(s, place)), False
        case Seq(body=body):
            found: list[_Access] = []
            for child in body:
                more, stops = _exposed(ask, child, place)
                found += more
                if stops:
                    return found, True
            return found, False
        case If():
            found, stops = _exposed(ask, s.then, place.given(s.cond))
            if s.otherwise is None:
                return found, False
            more, also = _exposed(ask, s.otherwise, place)
            return found + more, stops and also
        case For():
            found, stops = _exposed(ask, s.body, place.inside(s))
            return found, stops and isinstance(s.extent, Const) and int(s.extent.value) > 0
        case Let() | Alloc():
            return _exposed(ask, s.body, place.inside(s))
        case _:
            raise AssertionError(type(s))
