"""Move whole nests: a producer to where it is needed, a consumer to where its input is made."""

from __future__ import annotations

from dataclasses import replace

from tdsl.analysis.regions import needed_box
from tdsl.ir.affine import linear, tidy
from tdsl.ir.build import add, lt, sub
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Expr, Load, Var
from tdsl.ir.interval import Interval, interval
from tdsl.ir.stmt import Alloc, Block, BlockKind, For, Guard, IterKind, Leaf, Seq, Stmt
from tdsl.ir.visit import (
    accessed_buffers,
    block_reads,
    free_vars,
    loop_path,
    own_vars,
    path_to,
    substitute,
)
from tdsl.scheduling.boxes import Range, data_dimensions, full_ranges, is_rebuildable, nest_over
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.tree import (
    below_allocs,
    drop_alloc,
    leaves_below,
    nest_of,
    sequence,
    statements,
    swap,
    with_body,
)


def place_producer(edit: Edit, body: Stmt, block: Block, at: Var) -> Stmt:
    """*body* with the producer's nest rebuilt inside the loop over *at*, before its first reader.

    The rebuilt loops cover the box that is read there, and the producer's allocations move along.

    Raises:
        ScheduleError: the block cannot be placed there; the reason says why.
    """
    leaf, nest = _movable(edit, body, block, "compute_at")
    _check_foreign(edit, nest, block, at, "consumer")
    dimensions = _dimensions(edit, block)
    written = {write.buffer for write in block.writes}
    allocs = [s for s in statements(body) if isinstance(s, Alloc) and s.buffer in written]
    rest = swap(body, nest, None)
    allocs = [a for a in allocs if not _changed_elsewhere(rest, edit.find(rest, at), a.buffer)]
    emptied = {alloc.buffer for alloc in _emptied(body, rest)}
    for alloc in allocs:
        if alloc.buffer not in emptied:
            rest = drop_alloc(rest, edit.alloc_of(rest, alloc.buffer))
    loop = edit.find(rest, at)
    _check_readers(edit, rest, loop, written & {alloc.buffer for alloc in allocs}, block)
    around = (*loop_path(rest, loop), loop)
    fixed = _fixed(edit, leaf, nest, around)
    ranges = full_ranges(block)
    for dimension, span in enumerate(_needed(edit, rest, loop, block)):
        ranges[dimensions[dimension]] = span
    program = with_body(edit.program, rest)
    new = nest_over(program, block, ranges, fixed, around, leaf.fetches)
    inner = _insert_before_reader(loop.body, new, written)
    for alloc in allocs:
        inner = replace(alloc, body=inner)
    return swap(rest, loop, replace(loop, body=inner))


def place_consumer(edit: Edit, body: Stmt, block: Block, at: Var, *, private: bool = True) -> Stmt:
    """*body* with the consumer's nest rebuilt inside the loop over *at*, after its producers.

    The rebuilt loops cover the box that one iteration produces. With `private`, allocations that
    are then used inside that loop only move into it.

    Raises:
        ScheduleError: the block cannot be placed there; the reason says why.
    """
    leaf, nest = _movable(edit, body, block, "reverse_compute_at")
    _check_foreign(edit, nest, block, at, "producer")
    rest = swap(body, nest, None)
    loop = edit.find(rest, at)
    around = (*loop_path(rest, loop), loop)
    fixed = _fixed(edit, leaf, nest, around)
    load, producer = _producer_access(edit, loop, block)
    ranges = full_ranges(block)
    movable = {it.var for it in block.iters if it.kind is IterKind.DATA}
    for dimension, expr in enumerate(load.indices):
        var, offset = _plain_index(expr)
        if var is None or var not in movable:
            continue
        span = _written(edit, loop, producer, dimension)
        ranges[var] = Range(tidy(sub(span.origin, offset)), span.extent)
    program = with_body(edit.program, rest)
    new = nest_over(program, block, ranges, fixed, around, leaf.fetches)
    new = _with_edges(new, block, producer, load, loop)
    for alloc in _emptied(body, rest):
        new = replace(alloc, body=new)
    made = {read.buffer for read in block_reads(block)}
    inner = _insert_after_writer(loop.body, new, made)
    placed = swap(rest, loop, replace(loop, body=inner))
    return _sunk_allocs(edit, placed, at, made) if private else placed


def _movable(edit: Edit, body: Stmt, block: Block, step: str) -> tuple[Leaf, Stmt]:
    """The one leaf of a block that no step has scheduled yet, and its nest."""
    found = [leaf for leaf in leaves_below(body) if leaf.block is block]
    if len(found) != 1:
        raise edit.error(f"block {block.name!r} stands in {len(found)} pieces", f"{step} first")
    leaf = found[0]
    nest = nest_of(body, leaf)
    frozen = block.init is not None and any(x.block is block.init for x in leaves_below(body))
    if frozen or not is_rebuildable(nest, leaf):
        raise edit.error(
            f"block {block.name!r} is scheduled already, and its loops would be rebuilt",
            f"{step} first: place {block.name!r}, then schedule its new loops",
        )
    return leaf, nest


def _emptied(body: Stmt, rest: Stmt) -> list[Alloc]:
    """Allocations of *body* around nothing but what is gone in *rest*, innermost first."""
    left = {s.buffer for s in statements(rest) if isinstance(s, Alloc)}
    return [s for s in statements(body) if isinstance(s, Alloc) and s.buffer not in left][::-1]


def _check_foreign(edit: Edit, nest: Stmt, block: Block, at: Var, whose: str) -> None:
    if any(isinstance(stmt, For) and stmt.var is at for stmt in statements(nest)):
        raise edit.error(
            f"loop {at.name!r} is a loop of {block.name!r} itself", f"give a loop of its {whose}"
        )


def _dimensions(edit: Edit, block: Block) -> dict[int, Var]:
    if block.kind is BlockKind.UPDATE:
        raise edit.error(
            f"{block.name!r} is an update: every instance may touch any element",
            "place its consumers, or compute_at the tensors that it reads",
        )
    dimensions = data_dimensions(block)
    if dimensions is None:
        raise edit.error(
            f"{block.name!r} writes elements that are not its own iteration variables",
            "only blocks that write T[i, j, ...] at their own i, j, ... can be placed",
        )
    return dimensions


def _changed_elsewhere(rest: Stmt, loop: For, buffer: Buffer) -> bool:
    """Whether a tensor is updated in *loop*, and used outside: it cannot be private to it then."""
    inside = {id(leaf) for leaf in leaves_below(loop)}
    users = [leaf for leaf in leaves_below(rest) if buffer in accessed_buffers(leaf)]
    updated = any(write.buffer is buffer for leaf in users for write in leaf.block.writes)
    return updated and any(id(leaf) not in inside for leaf in users)


def _check_readers(edit: Edit, rest: Stmt, loop: For, buffers: set[Buffer], block: Block) -> None:
    """A tensor whose allocation moves into *loop* may have no reader outside it."""
    inside = {id(leaf) for leaf in leaves_below(loop)}
    readers = [leaf for leaf in leaves_below(rest) if accessed_buffers(leaf) & buffers]
    outside = [leaf.block.name for leaf in readers if id(leaf) not in inside]
    name = loop.var.name
    if not any(id(leaf) in inside for leaf in leaves_below(rest) if _reads(leaf, block)):
        consumers = [leaf.block.name for leaf in leaves_below(rest) if _reads(leaf, block)]
        hint = f"its consumers: {', '.join(consumers)}" if consumers else "nothing reads it"
        raise edit.error(f"no block inside loop {name!r} reads {block.name!r}", hint)
    if outside:
        raise edit.error(
            f"block {outside[0]!r} reads {block.name!r} too, outside loop {name!r}",
            "place it at a loop around all of its consumers",
        )


def _reads(leaf: Leaf, block: Block) -> bool:
    written = {write.buffer for write in block.writes}
    return any(read.buffer in written for read in block_reads(leaf.block))


def _fixed(edit: Edit, leaf: Leaf, nest: Stmt, around: tuple[For, ...]) -> dict[Var, Expr]:
    """Bindings that do not belong to the nest: of a scan's time loop, say."""
    inner = {var for s in statements(nest) if isinstance(s, For) for var in own_vars(s)}
    visible = {var for loop in around for var in own_vars(loop)}
    sizes = set(edit.program.sizes)
    fixed: dict[Var, Expr] = {}
    for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
        used = free_vars(binding) - sizes
        if it.kind is IterKind.ORDERED and used and not used & inner and used <= visible:
            fixed[it.var] = binding
    return fixed


def _needed(edit: Edit, rest: Stmt, loop: For, block: Block) -> list[Range]:
    """The box of the written tensors that is read inside *loop*; of all of them together."""
    ranges: list[Range] | None = None
    for write in block.writes:
        if not any(write.buffer in accessed_buffers(leaf) for leaf in leaves_below(loop)):
            continue
        box = needed_box(with_body(edit.program, rest), write.buffer, loop.body)
        found = [Range(o, e) for o, e in zip(box.origin, box.extent, strict=True)]
        ranges = found if ranges is None else _hull(edit, block, ranges, found)
    if ranges is None:
        raise edit.error(f"no block inside loop {loop.var.name!r} reads {block.name!r}")
    return ranges


def _hull(edit: Edit, block: Block, a: list[Range], b: list[Range]) -> list[Range]:
    """The smallest box around two boxes whose corners differ by constants."""
    joined: list[Range] = []
    for one, two in zip(a, b, strict=True):
        shift = linear(sub(two.origin, one.origin))
        longer = linear(sub(add(two.origin, two.extent), add(one.origin, one.extent)))
        if not shift.is_constant or not longer.is_constant:
            raise edit.error(
                f"the tensors of {block.name!r} are read in boxes that cannot be joined",
                "place it at a loop further out",
            )
        origin = one.origin if shift.const >= 0 else two.origin
        extent = tidy(add(one.extent, max(longer.const, 0) - min(shift.const, 0)))
        joined.append(Range(origin, extent))
    return joined


def _insert_before_reader(stmt: Stmt, new: Stmt, buffers: set[Buffer]) -> Stmt:
    """*new* before the first statement that touches *buffers*, inside the allocations around."""
    inner = below_allocs(stmt)
    if not isinstance(inner, Seq):
        return swap(stmt, inner, sequence(new, inner))
    items = list(inner.body)
    first = next(n for n, item in enumerate(items) if accessed_buffers(item) & buffers)
    return swap(stmt, inner, sequence(*items[:first], new, *items[first:]))


def _insert_after_writer(stmt: Stmt, new: Stmt, buffers: set[Buffer]) -> Stmt:
    """*new* after the last statement that writes one of *buffers*."""
    inner = below_allocs(stmt)
    if not isinstance(inner, Seq):
        return swap(stmt, inner, sequence(inner, new))
    items = list(inner.body)
    last = max(n for n, item in enumerate(items) if _written_buffers(item) & buffers)
    return swap(stmt, inner, sequence(*items[: last + 1], new, *items[last + 1 :]))


def _written_buffers(stmt: Stmt) -> set[Buffer]:
    return {write.buffer for leaf in leaves_below(stmt) for write in leaf.block.writes}


def _producer_access(edit: Edit, loop: For, block: Block) -> tuple[Load, Leaf]:
    """A read of *block* at plain indices, and the leaf inside *loop* that writes what it reads."""
    writers = {write.buffer: leaf for leaf in leaves_below(loop) for write in leaf.block.writes}
    reads = [read for read in block_reads(block) if read.buffer in writers]
    if not reads:
        made = {read.buffer.name for read in block_reads(block)}
        raise edit.error(
            f"no block inside loop {loop.var.name!r} writes what {block.name!r} reads",
            f"{block.name!r} reads {', '.join(sorted(made))}",
        )
    plain = [r for r in reads if any(_plain_index(e)[0] is not None for e in r.indices)]
    read = (plain or reads)[0]
    return read, writers[read.buffer]


def _plain_index(expr: Expr) -> tuple[Var | None, int]:
    """`(i, c)` for an index `i + c`, else `(None, 0)`."""
    form = linear(expr)
    if len(form.terms) == 1:
        (atom,) = form.terms
        if isinstance(atom, Var) and form.coefficient(atom) == 1:
            return atom, form.const
    return None, 0


def _written(edit: Edit, loop: For, producer: Leaf, dimension: int) -> Range:
    """The range of one index that *producer* writes in one iteration of *loop*."""
    env = {
        var: Interval.of_extent(extent)
        for stmt in loop_path(loop.body, producer)
        for var, extent in _extents(stmt)
    }
    at = dict(zip(producer.block.vars, producer.bindings, strict=True))
    expr = substitute(producer.block.writes[0].indices[dimension], at)
    span = interval(expr, env)
    if span.lo is None or span.hi is None:
        raise edit.error(
            f"cannot tell which elements {producer.block.name!r} writes inside {loop.var.name!r}"
        )
    return Range(span.lo, tidy(add(sub(span.hi, span.lo), 1)))


def _extents(loop: For) -> list[tuple[Var, Expr]]:
    return [(level.var, level.extent) for level in loop.levels]


def _with_edges(new: Stmt, block: Block, producer: Leaf, load: Load, loop: For) -> Stmt:
    """Carry over the guards of the producer that bound what one iteration makes.

    A guard `value < edge`, where `value` is what the producer binds an index to and `edge` does
    not change inside *loop*, bounds the consumer's instances in the same way.
    """
    (leaf,) = leaves_below(new)
    bound = dict(zip(block.vars, leaf.bindings, strict=True))
    inner = {var for s in statements(loop.body) if isinstance(s, For) for var in own_vars(s)}
    at = dict(zip(producer.block.vars, producer.bindings, strict=True))
    extra: list[Guard] = []
    for write, expr in zip(producer.block.writes[0].indices, load.indices, strict=True):
        var, offset = _plain_index(expr)
        if var is None:
            continue
        made = substitute(write, at)
        for guard in producer.guards:
            match guard.cond:
                case Binary(op=BinaryOp.LT, a=value, b=edge) if value == made:
                    cond = lt(add(bound[var], offset), edge)
                    known = any(cond == other.cond for other in leaf.guards)
                    if not known and not free_vars(edge) & inner:
                        extra.append(Guard(cond, guard.tail))
                case _:
                    pass
    return swap(new, leaf, replace(leaf, guards=(*leaf.guards, *extra)))


def _sunk_allocs(edit: Edit, body: Stmt, at: Var, buffers: set[Buffer]) -> Stmt:
    """Move allocations of *buffers* that are used inside the loop over *at* only, into it."""
    for alloc in [s for s in statements(body) if isinstance(s, Alloc) and s.buffer in buffers]:
        loop = edit.find(body, at)
        inside = {id(leaf) for leaf in leaves_below(loop)}
        users = [x for x in leaves_below(body) if alloc.buffer in accessed_buffers(x)]
        held = edit.alloc_of(body, alloc.buffer)
        if loop not in path_to(held, loop) or any(id(leaf) not in inside for leaf in users):
            continue
        body = drop_alloc(body, held)
        loop = edit.find(body, at)
        body = swap(body, loop, replace(loop, body=replace(held, body=loop.body)))
    return body
