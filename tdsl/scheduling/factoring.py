"""The blocks of a factored reduction: partial results with an axis of their own, and their sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.affine import equal
from tdsl.ir.build import FALSE, TRUE, add, conjunction, index, mul, select
from tdsl.ir.expr import Buffer, Expr, Load, Node, Var
from tdsl.ir.inits import reduction_vars
from tdsl.ir.stmt import (
    Block,
    BlockKind,
    Fetch,
    For,
    Guard,
    IterKind,
    IterVar,
    Leaf,
    Reducer,
    Write,
)
from tdsl.ir.visit import free_vars, loads, map_children, own_vars, substitute
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.rewriting import fresh_name
from tdsl.scheduling.splitting import component_values


@dataclass(frozen=True, slots=True)
class Factored:
    """What a reduction becomes.

    `partial` runs where the reduction ran, bound as `leaf` says, into `buffers`; `total` combines
    the partial results over its last iteration variable. `fill` sets the partial results first,
    where the reduction is an update.
    """

    partial: Block
    leaf: Leaf
    total: Block
    buffers: tuple[Buffer, ...]
    fill: Block | None


def factor(edit: Edit, leaf: Leaf, loop: For, path: tuple[For, ...], axis: int) -> Factored:
    """Give each iteration of *loop* partial results of its own, at dimension *axis*.

    Raises:
        ScheduleError: a loop walks data and reduction axes together.
    """
    block, reducer = leaf.block, leaf.block.reducer
    assert reducer is not None
    name = fresh_name(edit, f"{block.name}.rf")
    walk = _walk(edit, leaf, loop, path)
    own = Var(loop.var.name, loop.var.dtype)
    at = _instances(edit, leaf, loop, walk, own)
    conds = [substitute(guard.cond, walk.to_iters(loop, own, edit)) for guard in walk.inner_guards]
    old = tuple(write.buffer for write in block.writes)
    buffers = tuple(
        Buffer(
            name if len(old) == 1 else fresh_name(edit, f"{buffer.name}.rf"),
            buffer.dtype,
            _inserted(buffer.shape, axis, loop.extent),
        )
        for buffer in old
    )
    parts = _Parts(
        name,
        axis,
        IterVar(own, loop.extent),
        walk.iters,
        _partial_writes(block, dict(zip(old, buffers, strict=True)), at, axis, own),
        tuple(substitute(source, at) for source in block.sources),
        _where(conds, None if block.where is None else substitute(block.where, at)),
        buffers,
    )
    data = [
        IterVar(var, it.extent, it.kind)
        for it in block.iters
        if _kept(it) and isinstance(var := at[it.var], Var)
    ]
    fill: Block | None = None
    if block.kind is BlockKind.UPDATE:
        fill = _filled(edit, f"{name}.base", buffers, reducer)
        total = _update_total(block, buffers, loop.extent, axis)
    else:
        total = _reduce_total(block, buffers, loop.extent, axis)
    partial = _partial(block, reducer, parts, data)
    bindings = (
        *(b for it, b in zip(block.iters, leaf.bindings, strict=True) if _kept(it)),
        _position(loop),
        *walk.loop_vars,
    )
    new = Leaf(partial, bindings, walk.outer_guards, fetches=_fetches(leaf, partial, at))
    return Factored(partial, new, total, buffers, fill)


def _fetches(leaf: Leaf, partial: Block, at: Mapping[Var, Expr]) -> tuple[Fetch, ...]:
    """What the block asks the caches for, by the iteration variables of the partial results."""
    found = []
    for fetch in leaf.fetches:
        mapping = {v: at[it] for v, it in zip(fetch.inputs, leaf.block.vars, strict=False)}
        indices = tuple(substitute(i, mapping) for i in fetch.indices)
        found.append(Fetch(fetch.buffer, partial.vars, indices))
    return tuple(found)


def _where(guards: list[Expr], where: Expr | None) -> Expr:
    """Both, asking *where* only inside the guards: what it loads may lie outside otherwise."""
    inside = conjunction(guards)
    if where is None:
        return inside
    return select(inside, where, FALSE) if loads(where) else conjunction([inside, where])


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the block of partial results is made of; `own` is the new axis."""

    name: str
    axis: int
    own: IterVar
    reduced: tuple[IterVar, ...]
    writes: tuple[Write, ...]
    sources: tuple[Expr, ...]
    where: Expr
    buffers: tuple[Buffer, ...]


def _partial(block: Block, reducer: Reducer, parts: _Parts, data: list[IterVar]) -> Block:
    """An update, a reduction, or a plain compute where no other reduction loop is left."""
    iters = (*data, parts.own, *parts.reduced)
    where = None if parts.where == TRUE else parts.where
    if block.kind is not BlockKind.UPDATE and not parts.reduced:
        values = tuple(
            Write(w.buffer, w.indices, select(parts.where, source, identity))
            for w, source, identity in zip(
                parts.writes, parts.sources, reducer.identity, strict=True
            )
        )
        return Block(parts.name, iters, values, BlockKind.COMPUTE, span=block.span)
    init: Block | None = None
    if block.kind is not BlockKind.UPDATE:
        init = _init(parts.name, [*data, parts.own], parts.writes, reducer)
    return Block(
        parts.name,
        iters,
        parts.writes,
        block.kind,
        where,
        init,
        reducer,
        parts.sources,
        block.span,
    )


@dataclass(frozen=True, slots=True)
class _Walk:
    """The reduction loops other than the factored one, as iteration variables of the partials."""

    loop_vars: tuple[Var, ...]
    iters: tuple[IterVar, ...]
    inner_guards: tuple[Guard, ...]
    outer_guards: tuple[Guard, ...]

    def to_iters(self, loop: For, own: Var, edit: Edit) -> dict[Var, Expr]:
        """Loop variables to iteration variables."""
        values: dict[Var, Expr] = {
            old: it.var for old, it in zip(self.loop_vars, self.iters, strict=True)
        }
        return values | component_values(edit, loop, own)


def _walk(edit: Edit, leaf: Leaf, loop: For, path: tuple[For, ...]) -> _Walk:
    reduced = reduction_vars(leaf)
    found: list[tuple[Var, IterVar]] = []
    data: set[Var] = set()
    for other in path:
        own = set(own_vars(other))
        if not own & reduced:
            data |= own
        elif not own <= reduced:
            raise _mixed(edit, other.var.name)
        elif other is not loop:
            for level in other.levels:
                new = Var(level.var.name, level.var.dtype)
                found.append((level.var, IterVar(new, level.extent, IterKind.REDUCE)))
    inner = tuple(guard for guard in leaf.guards if free_vars(guard.cond) & reduced)
    for guard in inner:
        if free_vars(guard.cond) & data:
            raise _mixed(edit, loop.var.name)
    for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
        if _kept(it) and free_vars(binding) & reduced:
            raise _mixed(edit, loop.var.name)
    outer = tuple(guard for guard in leaf.guards if not free_vars(guard.cond) & reduced)
    return _Walk(tuple(v for v, _ in found), tuple(it for _, it in found), inner, outer)


def _mixed(edit: Edit, name: str) -> Exception:
    return edit.error(
        f"loop {name!r} walks data and reduction axes together",
        "rfactor before fusing or skewing them",
    )


def _position(loop: For) -> Expr:
    """The number of the factored loop's iteration, as its body can say it."""
    if not loop.parts:
        return loop.var
    value: Expr = index(0)
    for part in loop.parts:
        value = add(mul(value, part.extent), part.var)
    return value


def _instances(edit: Edit, leaf: Leaf, loop: For, walk: _Walk, own: Var) -> dict[Var, Expr]:
    """The iteration variables of the old block in terms of those of the partial one."""
    loops = walk.to_iters(loop, own, edit)
    at: dict[Var, Expr] = {}
    for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
        if _kept(it):
            at[it.var] = Var(it.var.name, it.var.dtype)
        else:
            at[it.var] = substitute(binding, loops)
    return at


def _partial_writes(
    block: Block, into: Mapping[Buffer, Buffer], at: Mapping[Var, Expr], axis: int, own: Var
) -> tuple[Write, ...]:
    own_elements = {write.buffer: write.indices for write in block.writes}

    def is_updated(load: Load, own_element: tuple[Expr, ...]) -> bool:
        """Not so in a tensor that is reused: its other elements are still the old ones."""
        pairs = zip(load.indices, own_element, strict=True)
        return block.kind is BlockKind.UPDATE or all(equal(a, b) for a, b in pairs)

    def visit(n: Node) -> Node:
        if isinstance(n, Load) and n.buffer in into and is_updated(n, own_elements[n.buffer]):
            indices = tuple(substitute(i, at) for i in own_elements[n.buffer])
            return Load(into[n.buffer], _inserted(indices, axis, own))
        if isinstance(n, Var):
            return at.get(n, n)
        return map_children(n, visit)

    writes: list[Write] = []
    for write in block.writes:
        value = visit(write.value)
        assert isinstance(value, Expr)
        indices = tuple(substitute(i, at) for i in write.indices)
        writes.append(Write(into[write.buffer], _inserted(indices, axis, own), value))
    return tuple(writes)


def _init(name: str, data: list[IterVar], writes: tuple[Write, ...], reducer: Reducer) -> Block:
    fresh = {it.var: Var(it.var.name, it.var.dtype) for it in data}
    iters = tuple(IterVar(fresh[it.var], it.extent, it.kind) for it in data)
    values = tuple(
        Write(w.buffer, tuple(substitute(i, fresh) for i in w.indices), identity)
        for w, identity in zip(writes, reducer.identity, strict=True)
    )
    return Block(f"{name}.init", iters, values, BlockKind.INIT)


def _reduce_total(block: Block, buffers: tuple[Buffer, ...], extent: Expr, axis: int) -> Block:
    """`C[i] = combine(C[i], C.rf[r, i])` over r, with the init of the old reduction."""
    data = {it.var: Var(it.var.name, it.var.dtype) for it in block.iters if _kept(it)}
    own = Var("r")
    iters = tuple(IterVar(data[it.var], it.extent, it.kind) for it in block.iters if it.var in data)
    at = [tuple(substitute(i, data) for i in w.indices) for w in block.writes]
    partials = tuple(
        Load(buffer, _inserted(indices, axis, own))
        for buffer, indices in zip(buffers, at, strict=True)
    )
    over = IterVar(own, extent, IterKind.REDUCE)
    return _combination(block, (*iters, over), at, partials, block.init)


def _update_total(block: Block, buffers: tuple[Buffer, ...], extent: Expr, axis: int) -> Block:
    """`U[d...] = combine(U[d...], U.rf[r, d...])` over the whole tensor and r."""
    (write,) = block.writes
    dims = tuple(IterVar(Var(f"d{n}"), e) for n, e in enumerate(write.buffer.shape))
    own = Var("r")
    at = tuple(it.var for it in dims)
    partials = (Load(buffers[0], _inserted(at, axis, own)),)
    over = IterVar(own, extent, IterKind.REDUCE)
    return _combination(block, (*dims, over), [at], partials, None)


def _combination(
    block: Block,
    iters: tuple[IterVar, ...],
    at: list[tuple[Expr, ...]],
    partials: tuple[Load, ...],
    init: Block | None,
) -> Block:
    reducer = block.reducer
    assert reducer is not None
    here = tuple(Load(w.buffer, indices) for w, indices in zip(block.writes, at, strict=True))
    values: dict[Var, Expr] = dict(zip(reducer.left, here, strict=True))
    values |= dict(zip(reducer.right, partials, strict=True))
    writes = tuple(
        Write(w.buffer, indices, substitute(combined, values))
        for w, indices, combined in zip(block.writes, at, reducer.combine, strict=True)
    )
    return Block(block.name, iters, writes, block.kind, None, init, reducer, partials, block.span)


def _filled(edit: Edit, name: str, buffers: tuple[Buffer, ...], reducer: Reducer) -> Block:
    """The block that sets every partial result of an update to the identity."""
    iters = tuple(IterVar(Var(f"d{n}"), e) for n, e in enumerate(buffers[0].shape))
    at = tuple(it.var for it in iters)
    writes = tuple(
        Write(buffer, at, identity)
        for buffer, identity in zip(buffers, reducer.identity, strict=True)
    )
    return Block(name, iters, writes, BlockKind.COPY, span=edit.core.span())


def _kept(it: IterVar) -> bool:
    """Whether an iteration variable names the element that is reduced into."""
    return it.kind is not IterKind.REDUCE


def _inserted(items: tuple[Expr, ...], at: int, item: Expr) -> tuple[Expr, ...]:
    return (*items[:at], item, *items[at:])
