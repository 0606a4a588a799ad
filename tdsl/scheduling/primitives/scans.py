"""split_scan: an associative recurrence in blocks that do not wait for each other."""

from __future__ import annotations

from tdsl.analysis import Numerics
from tdsl.analysis.numerics import swaps_exactly
from tdsl.ir.expr import Buffer
from tdsl.ir.stmt import Alloc, For, Leaf, Scope, Seq, Stmt
from tdsl.ir.visit import block_reads
from tdsl.scheduling.arguments import FactorArg, LoopArg
from tdsl.scheduling.boxes import own_nest
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.proof import refusal
from tdsl.scheduling.recurrences import Blocks, in_blocks, recurrence_of
from tdsl.scheduling.rewriting import allocated_around, makes, top_child
from tdsl.scheduling.splitting import split_loop
from tdsl.scheduling.tree import (
    below_allocs,
    leaves_below,
    parted,
    replace_blocks,
    sequence,
    statements,
    swap,
    with_body,
)


@primitive
def split_scan(
    edit: Edit, loop: LoopArg, inner: FactorArg, unsafe: bool = False
) -> tuple[Loop, Loop]:
    """Split the time of an associative scan in blocks, each of which starts from its own carry.

    Two blocks of code come before the scan: `S.sum` adds up each block of steps by itself, and
    `S.carry` runs over these totals. After that no block of the scan waits for the one before it,
    so that the outer loop may be parallel. What each step adds is computed twice.

    Args:
        loop: the scan's own loop over all of its steps; its handle ends.
        inner: steps in a block.
        unsafe: skip the proof.

    Returns:
        The loops over the blocks and over the steps of one.

    >>> import tdsl as td
    >>> X = td.placeholder((1000,), "float32", name="X")
    >>> t = td.scan_axis(1000, name="t")
    >>> S = td.scan(t, {"s": ((), 0.0)}, lambda t, prev: {"s": prev["s"] + X[t]}, name="S")["s"]
    >>> s = td.Schedule(td.func("cumsum", [X], [S]))
    >>> to, ti = s.split_scan("t", 100)
    >>> s.parallel(to)
    <Loop S.s.to>
    >>> print(s.nest)
    alloc S.s.sum: f32[10]
    alloc S.s.carry: f32[10]
    for b in 10:
      S.s.sum[b] = 0
      for r in 100:  # reduction
        S.s.sum[b] += X[b * 100 + r]
    for b in 10:
      ...
    >>> print(s.numerics)
    Numerics.REASSOCIATES

    Raises:
        ScheduleError: the loop is no scan's, or is split already, or the scan is not associative.
    """
    target = edit.loop(loop)
    leaf = _scan_below(edit, target)
    found = recurrence_of(edit, leaf.block)
    if dict(zip(leaf.block.vars, leaf.bindings, strict=True))[found.time.var] is not target.var:
        raise edit.error(
            f"loop {target.var.name!r} is only part of the time of {leaf.block.name!r}",
            "split_scan comes before split, skew and shift of the same loop",
        )
    blocks = in_blocks(edit, found, inner)
    algorithm = _with_blocks(edit, _alone(edit, leaf, blocks), leaf, blocks)
    body = replace_blocks(edit.body, {leaf.block: blocks.scan})
    target = edit.find(body, target.var)
    parts = split_loop(edit, target, (None, inner), "guard", edit.names_near(edit.loop(loop)))
    body = _with_blocks(edit, swap(body, target, parts.nest), leaf, blocks)
    exact = swaps_exactly(blocks.total)
    edit.commit(
        body,
        algorithm=with_body(edit.algorithm, algorithm),
        floor=Numerics.EXACT if exact else Numerics.REASSOCIATES,
        unsafe=unsafe,
    )
    outer, step = edit.handles(*parts.variables)
    return outer, step


def _scan_below(edit: Edit, loop: For) -> Leaf:
    leaves = leaves_below(loop)
    if len(leaves) != 1:
        names = ", ".join(leaf.block.name for leaf in leaves)
        raise edit.error(
            f"loop {loop.var.name!r} holds several blocks: {names}",
            "only a scan of one state falls into blocks; fission or inline the others first",
        )
    (leaf,) = leaves
    edit.core.leaf_name(leaf.block.name, edit.primitive)  # refuses where it stands in pieces
    return leaf


def _alone(edit: Edit, leaf: Leaf, blocks: Blocks) -> Stmt:
    """The algorithm, with the scan in a loop after that of what its steps add, as in the schedule.

    Raises:
        ScheduleError: that is made together with the scan, one step after the other.
    """
    body = edit.algorithm.body
    (scan,) = [x for x in leaves_below(body) if x.block is leaf.block]
    loop = top_child(body, scan)
    made_here = makes(_added(blocks))
    if not isinstance(loop, For) or not made_here(loop):
        return body
    inner = below_allocs(loop.body)
    items = inner.body if isinstance(inner, Seq) else (inner,)
    ahead = next(n for n, item in enumerate(items) if any(x is scan for x in leaves_below(item)))
    both, second = parted(loop, ahead) if ahead else (loop, loop)
    apart = with_body(edit.algorithm, swap(body, loop, both))
    if made_here(second) or refusal(edit.algorithm, apart) is not None:
        raise edit.error(
            f"what {leaf.block.name!r} adds is made together with it, one step after the other",
            "only what is known before the scan begins falls into blocks",
        )
    return apart.body


def _added(blocks: Blocks) -> set[Buffer]:
    """What the new blocks read but do not make themselves."""
    reads = {load.buffer for x in (blocks.total, blocks.carry) for load in block_reads(x)}
    return reads - {write.buffer for x in (blocks.total, blocks.carry) for write in x.writes}


def _with_blocks(edit: Edit, body: Stmt, leaf: Leaf, blocks: Blocks) -> Stmt:
    """A tree with the new blocks before everything that holds the scan.

    Raises:
        ScheduleError: there, what they read is not in sight.
    """
    body = replace_blocks(body, {leaf.block: blocks.scan})
    (scan,) = [x for x in leaves_below(body) if x.block is blocks.scan]
    place = top_child(body, scan)
    for stmt in statements(place):
        if isinstance(stmt, Alloc) and stmt.buffer in _added(blocks):
            name = stmt.buffer.name
            reason = f"{name!r}, which {leaf.block.name!r} reads, is private to a loop around it"
            raise edit.error(reason, f"split_scan before {name!r} is placed there")
    body = swap(body, place, sequence(own_nest(blocks.total), own_nest(blocks.carry), place))
    made = [blocks.carry.writes[0].buffer, blocks.total.writes[0].buffer]
    return allocated_around(body, made, Scope.GLOBAL)
