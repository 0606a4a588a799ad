"""split_scan: an associative recurrence in blocks that do not wait for each other."""

from __future__ import annotations

from tdsl.analysis import Numerics
from tdsl.analysis.numerics import swaps_exactly
from tdsl.ir.stmt import For, Leaf, Scope, Stmt
from tdsl.scheduling.arguments import FactorArg, LoopArg
from tdsl.scheduling.boxes import own_nest
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.recurrences import Blocks, in_blocks, recurrence_of
from tdsl.scheduling.rewriting import allocated_around, top_child
from tdsl.scheduling.splitting import split_loop
from tdsl.scheduling.tree import leaves_below, put_before, replace_blocks, swap, with_body


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
    algorithm = _with_blocks(edit.algorithm.body, leaf, blocks)
    body = replace_blocks(edit.body, {leaf.block: blocks.scan})
    target = edit.find(body, target.var)
    parts = split_loop(edit, target, (None, inner), "guard", edit.names_near(edit.loop(loop)))
    body = _with_blocks(swap(body, target, parts.nest), leaf, blocks)
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


def _with_blocks(body: Stmt, leaf: Leaf, blocks: Blocks) -> Stmt:
    """A tree with the new blocks before everything that holds the scan."""
    body = replace_blocks(body, {leaf.block: blocks.scan})
    (scan,) = [x for x in leaves_below(body) if x.block is blocks.scan]
    body = put_before(body, top_child(body, scan), own_nest(blocks.total))
    (scan,) = [x for x in leaves_below(body) if x.block is blocks.scan]
    body = put_before(body, top_child(body, scan), own_nest(blocks.carry))
    made = [blocks.carry.writes[0].buffer, blocks.total.writes[0].buffer]
    return allocated_around(body, made, Scope.GLOBAL)
