"""Inline: put a block's expression in the place of each read of its tensor."""

from __future__ import annotations

from tdsl.ir.expr import Expr, Load, Node
from tdsl.ir.stmt import Alloc, Block, BlockKind, Leaf, Stmt
from tdsl.ir.visit import block_reads, map_block, map_children, substitute
from tdsl.scheduling.arguments import BlockArg
from tdsl.scheduling.boxes import data_dimensions
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import (
    drop_alloc,
    leaves_below,
    nest_of,
    replace_blocks,
    statements,
    swap,
    with_body,
)


@primitive
def inline(edit: Edit, block: BlockArg, unsafe: bool = False) -> None:
    """Compute a block inside the expressions that read it; the block and its tensor disappear.

    Results do not change by a bit: fused multiply-adds were made when the function was declared.

    >>> import tdsl as td
    >>> A = td.placeholder((8,), "float32", name="A")
    >>> B = td.compute((8,), lambda i: A[i] + 1.0, name="B")
    >>> C = td.compute((8,), lambda i: B[i] * B[7 - i], name="C")
    >>> s = td.Schedule(td.func("mirror", [A], [C]))
    >>> s.inline("B")
    >>> print(s.nest)
    for i in 8:
      C[i] = (A[i] + 1) * (A[7 - i] + 1)

    Raises:
        ScheduleError: the block is a reduction, an update or an output, or runs under a condition.
    """
    gone = edit.leaf(block).block
    _check(edit, gone)
    mapping = {
        leaf.block: _without(leaf.block, gone)
        for leaf in leaves_below(edit.algorithm.body)
        if leaf.block is not gone and _reads(leaf.block, gone)
    }
    if not mapping:
        raise edit.error(f"no block reads {gone.name!r}")
    algorithm = _removed(edit, replace_blocks(edit.algorithm.body, mapping), gone)
    body = _removed(edit, replace_blocks(edit.body, mapping), gone)
    edit.commit(body, algorithm=with_body(edit.algorithm, algorithm), unsafe=unsafe)


def _check(edit: Edit, gone: Block) -> None:
    if gone.kind not in (BlockKind.COMPUTE, BlockKind.COPY):
        hint = "use compute_at to compute it where it is needed"
        raise edit.error(f"{gone.name!r} is {_article(gone.kind)}, not one expression", hint)
    written = {write.buffer for write in gone.writes}
    if _reads(gone, gone):
        raise edit.error(f"{gone.name!r} is a recurrence: it reads what it wrote before")
    for param in edit.program.params:
        if param.buffer in written:
            hint = "use compute_at or reverse_compute_at to bring the loops together"
            raise edit.error(f"{param.buffer.name!r} is an output", hint)
    others = [
        leaf.block.name
        for leaf in leaves_below(edit.algorithm.body)
        if leaf.block is not gone and written & {w.buffer for w in leaf.block.writes}
    ]
    if others:
        raise edit.error(f"{others[0]!r} writes the tensor of {gone.name!r} too")
    if gone.where is not None or data_dimensions(gone) is None:
        raise edit.error(f"{gone.name!r} does not define every element of its tensor")


def _article(kind: BlockKind) -> str:
    words = {
        BlockKind.REDUCE: "a reduction",
        BlockKind.UPDATE: "an update",
        BlockKind.INIT: "an init",
    }
    return words[kind]


def _reads(block: Block, gone: Block) -> bool:
    written = {write.buffer for write in gone.writes}
    return any(load.buffer in written for load in block_reads(block))


def _without(block: Block, gone: Block) -> Block:
    values = {write.buffer: write for write in gone.writes}

    def visit(n: Node) -> Node:
        n = map_children(n, visit)
        if isinstance(n, Load) and n.buffer in values:
            write = values[n.buffer]
            at = {
                var: index
                for var, index in zip(write.indices, n.indices, strict=True)
                if var in gone.vars
            }
            return substitute(write.value, at)
        return n

    def in_expr(e: Expr) -> Expr:
        found = visit(e)
        assert isinstance(found, Expr)
        return found

    return map_block(block, in_expr)


def _removed(edit: Edit, body: Stmt, gone: Block) -> Stmt:
    for leaf in _leaves_of(body, gone):
        body = swap(body, nest_of(body, leaf), None)
    written = {write.buffer for write in gone.writes}
    for alloc in [s for s in statements(body) if isinstance(s, Alloc) and s.buffer in written]:
        body = drop_alloc(body, edit.alloc_of(body, alloc.buffer))
    return body


def _leaves_of(body: Stmt, block: Block) -> list[Leaf]:
    return [leaf for leaf in leaves_below(body) if leaf.block is block]
