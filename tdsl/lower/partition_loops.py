"""Split off the steady state: ``for i: if i*16+l < N: s`` -> ``for i in N//16: s; ...``.

A *region* is the largest nest all of whose stores stand under one condition that does not depend
on the loops in it, other than those that will be replicated (unrolled, vectorised). Its *steady
condition* is true where the condition holds in every replica. A region that is the whole body of
a serial loop splits the loop's range in up to three: before, steady, after. Any other region gets
two versions under one branch. The version outside the steady state is left as it was, so that the
number of versions of a statement grows by one for each region around it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tdsl.ir.affine import linear
from tdsl.ir.build import FALSE, add, conjunction, conjuncts, ge, index, is_const, sub
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Load, Node, Select, Var
from tdsl.ir.interval import Interval, bounds, interval
from tdsl.ir.stmt import For, If, Let, LoopKind, Program, Stmt, Store
from tdsl.ir.visit import children, free_vars, loads, map_children, substitute, walk
from tdsl.lower.bodies import map_statements, sequence, with_body
from tdsl.lower.conditions import settle
from tdsl.lower.copies import fresh_copy
from tdsl.lower.facts import NEGATED, Facts, holds, implied, is_index, program_facts
from tdsl.lower.loop_bounds import binding, greatest, least, named, solve
from tdsl.target import Target

# A region with more stores than this, once unrolled, keeps its conditions: a second copy would
# cost more in compile time and instruction cache than the conditions do.
MOST_STORES = 1024
# A body with more than this does not feel one more branch.
FEW_STORES = 16
# Versions of one statement: the steady one and what is left over at each level.
MOST_VERSIONS = 4

_BOUNDS = ("first", "last")
_REPLICATED = (LoopKind.UNROLLED, LoopKind.VECTORIZED)


def partition_loops(program: Program, target: Target) -> Program:
    """Give loops and tiles bodies without conditions for their steady state."""
    del target
    body = _visit(program.body, program_facts(program), 1)
    return with_body(program, body)


def _visit(s: Stmt, facts: Facts, versions: int) -> Stmt:
    """Partition the regions of *s*, which is not the whole body of a serial loop."""
    if versions < MOST_VERSIONS:
        region = _region(s, facts)
        if region is not None:
            steady = _visit(region.steady(s), facts.given(region.cond), versions + 1)
            return If(region.cond, steady, fresh_copy(s))
    return _below(s, facts, versions)


def _below(s: Stmt, facts: Facts, versions: int) -> Stmt:
    match s:
        case For(kind=LoopKind.SERIAL, body=body) if not s.parts and versions < MOST_VERSIONS:
            inner = facts.inside(s)
            region = _region(body, inner)
            ranges = None if region is None else _ranges(s, region, facts)
            if region is not None and ranges is not None and region.splits(s, ranges):
                return _split(s, region, ranges, facts, versions)
            return map_statements(s, lambda n: _visit(n, inner, versions))
        case For(kind=LoopKind.VECTORIZED):
            return s  # two versions of a body would both run, under masks
        case For():
            return map_statements(s, lambda n: _visit(n, facts.inside(s), versions))
        case Let():
            return map_statements(s, lambda n: _visit(n, facts.under(s), versions))
        case If(cond=cond, otherwise=None):
            return map_statements(s, lambda n: _visit(n, facts.given(cond), versions))
        case _:
            return map_statements(s, lambda n: _visit(n, facts, versions))


def _split(
    loop: For, region: _Region, ranges: tuple[Expr, Expr], facts: Facts, versions: int
) -> Stmt:
    """Three loops over one range; those that are known to be empty are left out."""
    lets = [
        named(bound, f"{loop.var.name}.{what}") for what, bound in zip(_BOUNDS, ranges, strict=True)
    ]
    first, last = (
        bound if let is None else let.var for let, bound in zip(lets, ranges, strict=True)
    )
    facts = facts.given(ge(first, 0), ge(last, first), ge(loop.extent, last))
    steady = region.steady(loop.body)
    pieces = [(index(0), first, None), (first, last, steady), (last, loop.extent, None)]
    done: list[Stmt] = []
    for start, end, body in pieces:
        count = linear(sub(end, start)).expr()
        if is_const(count, 0):
            continue
        piece = dataclasses.replace(loop, extent=count)
        if body is not None:
            piece = dataclasses.replace(piece, body=body)
        piece = _moved(piece, start)
        if body is None:
            done.append(fresh_copy(piece))
        else:
            # the steady conditions are facts of this range; nested regions still need them
            inner = facts.inside(piece)
            inner = inner.given(substitute(region.cond, {loop.var: add(loop.var, start)}))
            done.append(dataclasses.replace(piece, body=_visit(piece.body, inner, versions + 1)))
    return binding(lets, sequence(done))


def _moved(loop: For, start: Expr) -> For:
    body = substitute(loop.body, {loop.var: add(loop.var, start)})
    return loop if is_const(start, 0) else dataclasses.replace(loop, body=body)


def _ranges(loop: For, region: _Region, facts: Facts) -> tuple[Expr, Expr] | None:
    """Where the steady state begins and ends, or None where it is no range of the loop."""
    first: Expr = index(0)
    last = loop.extent
    for cond in conjuncts(region.cond):
        for form in implied(cond):
            solved = solve(form, loop.var)
            if solved is None:
                return None
            if form.coefficient(loop.var) > 0:
                first = greatest(solved, first, facts)
            else:
                last = least(solved, last, facts)
    if not is_const(first, 0):
        first = least(first, loop.extent, facts)
    return first, greatest(last, first, facts)


@dataclass(frozen=True, slots=True)
class _Region:
    """Conditions common to all stores of a nest: the steady one, and those it makes true."""

    cond: Expr
    implied: frozenset[Expr]
    stores: int

    def splits(self, loop: For, ranges: tuple[Expr, Expr]) -> bool:
        """Whether separate ranges are worth it: of a large body, a branch makes one copy less."""
        first, last = ranges
        one_sided = is_const(first, 0) or linear(last) == linear(loop.extent)
        return one_sided or self.stores <= FEW_STORES

    def steady(self, s: Stmt) -> Stmt:
        """The nest where the steady condition holds."""
        return settle(s, Facts(), lambda cond, _: True if cond in self.implied else None)


@dataclass(slots=True)
class _Scan:
    """What the stores of a nest have in common."""

    common: dict[Expr, set[Expr]] | None = None
    stores: int = 0
    names: set[Var] = field(default_factory=set)

    def store(self, conds: Mapping[Expr, set[Expr]], copies: int) -> None:
        self.stores += copies
        if self.common is None:
            self.common = {steady: set(raw) for steady, raw in conds.items()}
            return
        self.common = {
            steady: raw | conds[steady] for steady, raw in self.common.items() if steady in conds
        }


@dataclass(frozen=True, slots=True)
class _Inside:
    """What lies between the top of a candidate region and a statement in it.

    `lanes` are the variables of vectorized loops.
    """

    env: Mapping[Var, Interval]
    hidden: frozenset[Var]
    conds: Mapping[Expr, set[Expr]]
    copies: int
    lanes: frozenset[Var] = frozenset()


def _region(s: Stmt, facts: Facts) -> _Region | None:
    """The conditions under which all of *s* stands, or None where there is none to settle."""
    scan = _Scan()
    _collect(s, _Inside({}, frozenset(), {}, 1), scan)
    if not scan.common or scan.stores > MOST_STORES:
        return None
    common = {c: raw for c, raw in scan.common.items() if not holds(facts, c)}
    if not common:
        return None
    # conditions of one loop at a time, the outermost first: at a border of one dimension the
    # others keep their steady state
    depth = {c: max(map(facts.rank, free_vars(c)), default=-1) for c in common}
    outermost = min(depth.values())
    common = {c: raw for c, raw in common.items() if depth[c] == outermost}
    conds = list(common)
    kept = [c for n, c in enumerate(conds) if not _follows(facts, c, conds, n)]
    return _Region(
        conjunction(kept), frozenset(r for raw in common.values() for r in raw), scan.stores
    )


def _follows(facts: Facts, cond: Expr, conds: list[Expr], position: int) -> bool:
    """Whether another steady condition of the region implies this one."""
    for n, other in enumerate(conds):
        if n != position and holds(facts.given(other), cond):
            mutual = holds(facts.given(cond), other)
            if not mutual or n < position:
                return True
    return False


def _collect(n: Node, inside: _Inside, scan: _Scan) -> None:
    match n:
        case For(kind=kind, body=body):
            _collect(body, _through(n, inside, kind in _REPLICATED), scan)
        case Let(var=var, body=body):
            _collect(body, dataclasses.replace(inside, hidden=inside.hidden | {var}), scan)
        case If(cond=cond, then=then, otherwise=otherwise):
            under = _with_conds(inside, [cond], only_replicated=otherwise is None)
            _collect(then, under, scan)
            if otherwise is not None:
                _collect(otherwise, under, scan)
        case Store():
            found = _with_conds(
                inside, list(_soft_conditions(n, inside.lanes)), only_replicated=False
            )
            scan.store(found.conds, inside.copies)
        case Stmt():
            for child in children(n):
                if isinstance(child, Stmt):
                    _collect(child, inside, scan)
        case _:
            return


def _through(loop: For, inside: _Inside, replicated: bool) -> _Inside:
    if not replicated:
        own = frozenset((loop.var, *(part.var for part in loop.parts)))
        return dataclasses.replace(inside, hidden=inside.hidden | own)
    env = dict(inside.env)
    copies, lanes = inside.copies, inside.lanes
    for part in loop.levels:
        env[part.var] = Interval(index(0), interval(sub(part.extent, 1), env).hi)
        if loop.kind is LoopKind.UNROLLED and isinstance(part.extent, Const):
            copies *= int(part.extent.value)
        if loop.kind is LoopKind.VECTORIZED:
            lanes |= {part.var}
    return dataclasses.replace(inside, env=env, copies=copies, lanes=lanes)


def _soft_conditions(s: Store, lanes: frozenset[Var]) -> Iterator[Expr]:
    """Conditions of selects and of masks in a store, and of what is clamped in its indices."""
    folded = {id(m) for n in walk(s) if isinstance(n, Load) for m in walk(n) if _is_folded(m)}
    for n in walk(s):
        match n:
            case Select(cond=cond) if id(n) not in folded:
                yield cond
            case Load(indices=indices, mask=mask):
                if mask is not None:
                    yield from _unfolded(mask, lanes)
                for e in indices:
                    yield from _unclamped(e, lanes)[1]
            case _:
                pass


def _is_folded(n: Node) -> bool:
    """Whether it is an index that chooses between expressions of indices alone."""
    return isinstance(n, Select) and is_index(n)


def _unfolded(cond: Expr, lanes: frozenset[Var]) -> list[Expr]:
    """What a condition on folded indices is where they are not folded, and what says so."""
    away: list[Expr] = []

    def inner(n: Node) -> Node:
        if not _is_folded(n):
            return map_children(n, inner)
        assert isinstance(n, Expr)
        plain, conds = _unclamped(n, lanes)
        away.extend(conds)
        return plain

    new = inner(cond)
    assert isinstance(new, Expr)
    return [new, *away]


def _unclamped(e: Expr, lanes: frozenset[Var]) -> tuple[Expr, list[Expr]]:
    """An index away from its limits, ``min(max(i, 0), n - 1)`` -> i, and what says so.

    Also of one that is folded back there: ``select(i >= n, 2 * n - 2 - i, i)``. A limit that is
    known only when the kernel runs is worth it where lanes would fetch each element by itself.
    """
    match e:
        case Binary(op=BinaryOp.MIN | BinaryOp.MAX, a=a, b=b) if is_index(e):
            if free_vars(b) and (free_vars(a) & free_vars(b) or not free_vars(a) & lanes):
                return e, []
            inner, conds = _unclamped(a, lanes)
            if not free_vars(inner):
                return e, []
            least, most = (inner, b) if e.op is BinaryOp.MIN else (b, inner)
            return inner, [*conds, Binary(BinaryOp.LE, least, most)]
        case Select(cond=Binary(op=op, a=a, b=b), b=inside) if op in NEGATED and _is_folded(e):
            inner, conds = _unclamped(inside, lanes)
            return inner, [*conds, Binary(NEGATED[op], a, b)]
        case _:
            return e, []


def _with_conds(inside: _Inside, conds: list[Expr], *, only_replicated: bool) -> _Inside:
    found: dict[Expr, set[Expr]] = {steady: set(raw) for steady, raw in inside.conds.items()}
    for cond in conds:
        for one in conjuncts(cond):
            mentioned = free_vars(one)
            if loads(one) or mentioned & inside.hidden:
                continue
            if only_replicated and not mentioned & inside.env.keys():
                continue
            steady = _steady(one, inside.env)
            if steady is not None and steady != FALSE:
                found.setdefault(steady, set()).add(one)
    return dataclasses.replace(inside, conds=found)


def _steady(cond: Expr, env: Mapping[Var, Interval]) -> Expr | None:
    """A condition without replicated variables under which *cond* holds in every replica."""
    goals: list[Expr] = []
    for form in implied(cond):
        lo, _ = bounds(form.expr(), env)
        if lo is None:
            return None
        goals.append(ge(linear(lo).expr(), 0))
    return conjunction(goals) if goals else None
