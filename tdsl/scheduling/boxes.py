"""Nests over boxes: a block's loops rebuilt, zero-based, over the part of it that is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tdsl.ir.build import add, ge, index, is_const, lt
from tdsl.ir.expr import Expr, Var
from tdsl.ir.polyhedra import Domain
from tdsl.ir.stmt import Block, Fetch, For, Guard, IterKind, Leaf, LoopKind, Program, Stmt
from tdsl.ir.visit import free_vars
from tdsl.scheduling.naming import loop_names, unique_name


@dataclass(frozen=True, slots=True)
class Range:
    """Values `origin`, `origin + 1`, ..., `extent` of them, of one iteration variable."""

    origin: Expr
    extent: Expr


def full_ranges(block: Block) -> dict[Var, Range]:
    """Every iteration variable over its whole extent."""
    return {it.var: Range(index(0), it.extent) for it in block.iters}


def nest_over(
    program: Program,
    block: Block,
    ranges: Mapping[Var, Range],
    fixed: Mapping[Var, Expr],
    around: tuple[For, ...],
    fetches: tuple[Fetch, ...] = (),
) -> Stmt:
    """Serial loops over `ranges`, in the order of the block's iteration variables, and the leaf.

    Elements of a range that may lie outside the block's domain get a guard. `fixed` variables are
    bound without a loop of their own; `around` are the loops that the nest will stand in;
    `fetches` are what the leaf asks the caches for.
    """
    taken = loop_names(around)
    loops: dict[Var, tuple[Var, Range]] = {}
    bindings: list[Expr] = []
    for it in block.iters:
        if it.var in fixed:
            bindings.append(fixed[it.var])
            continue
        loop_var = Var(unique_name(it.var.name, taken), it.var.dtype)
        loops[it.var] = (loop_var, ranges[it.var])
        bindings.append(add(ranges[it.var].origin, loop_var))
    own = {var: rng.extent for var, rng in loops.values()}
    needed = tuple(
        Guard(cond)
        for it, binding in zip(block.iters, bindings, strict=True)
        if it.var in loops
        for cond in _edge_conditions(program, loops[it.var][1], binding, it.extent, own, around)
    )
    nest: Stmt = Leaf(block, tuple(bindings), needed, fetches=fetches)
    for it in reversed(block.iters):
        if it.var in loops:
            loop_var, rng = loops[it.var]
            nest = For(loop_var, rng.extent, nest, LoopKind.SERIAL)
    return nest


def _edge_conditions(
    program: Program,
    rng: Range,
    binding: Expr,
    extent: Expr,
    own: Mapping[Var, Expr],
    around: tuple[For, ...],
) -> list[Expr]:
    """Those of `0 <= binding < extent` that do not hold by themselves."""
    if is_const(rng.origin, 0) and rng.extent == extent:
        return []
    ranges: dict[Var, Expr | int] = dict(own)
    for loop in around:
        ranges |= {level.var: level.extent for level in loop.levels}
    domain = Domain(ranges, sizes=program.sizes, assume=program.assume)
    return [cond for cond in (ge(binding, 0), lt(binding, extent)) if not domain.proves(cond)]


def own_nest(
    block: Block, fixed: Mapping[Var, Expr] | None = None, around: Iterable[For] = ()
) -> Stmt:
    """The canonical nest of a block: serial loops over its iteration variables in order.

    `fixed` variables are bound by loops around, and get none here; `around` are the loops whose
    names are taken where the nest is to stand.
    """
    fixed = fixed or {}
    taken = loop_names(around)
    own = [it for it in block.iters if it.var not in fixed]
    loops = {it.var: Var(unique_name(it.var.name, taken), it.var.dtype) for it in own}
    bindings = {**loops, **fixed}
    nest: Stmt = Leaf(block, tuple(bindings[it.var] for it in block.iters))
    for it in reversed(own):
        nest = For(loops[it.var], it.extent, nest)
    return nest


def data_dimensions(block: Block) -> dict[int, Var] | None:
    """Which iteration variable is the index of each dimension that the block writes.

    None where an index is not an iteration variable by itself, or where the block's writes differ.
    """
    found: dict[int, Var] = {}
    for write in block.writes:
        for dimension, expr in enumerate(write.indices):
            if not isinstance(expr, Var) or found.setdefault(dimension, expr) is not expr:
                return None
    used = list(found.values())
    data = {it.var for it in block.iters if it.kind is not IterKind.REDUCE}
    return found if len(set(used)) == len(used) and set(used) <= data else None


def is_rebuildable(nest: Stmt, leaf: Leaf) -> bool:
    """Whether no step but a placement has touched a nest's loops: rebuilding it loses nothing.

    That is: one serial loop per iteration variable that is bound inside the nest, in the order of
    the iteration variables, each adding to a start that the nest does not change.
    """
    chain: list[For] = []
    stmt = nest
    while isinstance(stmt, For):
        if stmt.kind is not LoopKind.SERIAL or stmt.parts:
            return False
        chain.append(stmt)
        stmt = stmt.body
    if stmt is not leaf or leaf.atomic or leaf.stream:
        return False
    inner = {loop.var for loop in chain}
    order: list[Var] = []
    for binding in leaf.bindings:
        used = free_vars(binding) & inner
        if not used:
            continue
        (var, *more) = used
        if more or not _is_offset(binding, var):
            return False
        order.append(var)
    return order == [loop.var for loop in chain]


def _is_offset(binding: Expr, var: Var) -> bool:
    """Whether *binding* is *var*, or `start + var`."""
    if binding is var:
        return True
    last = getattr(binding, "b", None)
    first = getattr(binding, "a", None)
    return last is var and isinstance(first, Expr) and add(first, var) == binding
