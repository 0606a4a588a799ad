"""inline and reverse_inline: put a block's expression in the place of a read of its tensor."""

from __future__ import annotations

from dataclasses import replace

from tdsl.ir.affine import tidy
from tdsl.ir.build import lt
from tdsl.ir.expr import Expr, Load, Node, Var
from tdsl.ir.stmt import Alloc, Block, BlockKind, For, Guard, Leaf, Role, Stmt
from tdsl.ir.visit import block_reads, loop_path, map_block, map_children, path_to, substitute
from tdsl.scheduling.arguments import BlockArg
from tdsl.scheduling.boxes import data_dimensions
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import (
    drop_alloc,
    leaves_below,
    map_leaves,
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
        ScheduleError: the block is a reduction, an update or an output, or runs under a condition;
            what it reads is changed in place before its readers come.
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
    for reader in mapping:
        _check_steps(edit, gone, reader)
    _check_overwritten(edit, gone, list(mapping))
    algorithm = _removed(edit, replace_blocks(edit.algorithm.body, mapping), gone)
    body = _removed(edit, replace_blocks(edit.body, mapping), gone)
    edit.commit(body, algorithm=with_body(edit.algorithm, algorithm), unsafe=unsafe)


@primitive
def reverse_inline(edit: Edit, block: BlockArg, unsafe: bool = False) -> tuple[Loop, ...]:
    """Compute a block inside the loops of the one that it reads; the other's tensor disappears.

    As `inline` of the producer, but the loops that stay are those of the producer, as they have
    been scheduled. A block in several pieces (`partition`, `specialize`) goes in all of them.

    Returns:
        The loops, outer first.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 4), "float32", name="A")
    >>> B = td.compute((8, 4), lambda i, j: A[i, j] + 1.0, name="B")
    >>> C = td.compute((4, 8), lambda i, j: B[j, i] * 2.0, name="C")
    >>> s = td.Schedule(td.func("turn", [A], [C]))
    >>> _ = s.vectorize("B.j", 4)
    >>> s.reverse_inline("C")
    (<Loop C.i>, <Loop C.j>)
    >>> print(s.nest)
    for i in 8:
      for j in vectorized(4):
        C[j, i] = (A[i, j] + 1) * 2

    Raises:
        ScheduleError: the block reads several intermediate tensors, or one elsewhere than at its
            own indices; the producer is not one expression, or has other readers.
    """
    kept = edit.leaf(block).block
    if kept.kind not in (BlockKind.COMPUTE, BlockKind.COPY):
        reason = f"{kept.name!r} is {_article(kept.kind)}, whose loops are its own"
        raise edit.error(reason, "inline its producers")
    gone, dimensions = _sole_producer(edit, kept)
    _check(edit, gone)
    _check_overwritten(edit, gone, [kept])
    mapping = {kept: _without(kept, gone)}
    algorithm = _removed(edit, replace_blocks(edit.algorithm.body, mapping), gone)
    body = _cut(edit.body, kept)
    body = map_leaves(body, lambda x: _taken_over(x, gone, mapping[kept], dimensions))
    body = _removed(edit, body, gone)
    edit.commit(body, algorithm=with_body(edit.algorithm, algorithm), unsafe=unsafe)
    (first, *_) = _leaves_of(body, mapping[kept])
    return edit.handles(*(loop.var for loop in loop_path(body, first)))


def _sole_producer(edit: Edit, kept: Block) -> tuple[Block, dict[Var, int]]:
    """The one block that *kept* reads, and the dimension at which each variable indexes it."""
    held = {s.buffer for s in statements(edit.algorithm.body) if isinstance(s, Alloc)}
    loads = [load for load in block_reads(kept) if load.buffer in held]
    buffers = {load.buffer for load in loads}
    if len(buffers) != 1:
        names = ", ".join(sorted(buffer.name for buffer in buffers)) or "none"
        reason = f"{kept.name!r} reads {len(buffers)} intermediate tensors ({names}), not one"
        raise edit.error(reason, "inline its producers")
    (buffer,) = buffers
    written = [
        (leaf.block, write)
        for leaf in leaves_below(edit.algorithm.body)
        for write in leaf.block.writes
        if write.buffer is buffer
    ]
    gone = written[0][0]
    own = {it.var for it in kept.iters}
    places = {tuple(tidy(index) for index in load.indices) for load in loads}
    (indices, *others) = places
    if others or set(indices) != own or len(indices) != len(own):
        reason = f"{kept.name!r} does not read {buffer.name!r} at its own indices, each once"
        raise edit.error(reason, f"s.inline({gone.name!r})")
    if any(
        leaf.block is not kept and leaf.block is not gone and _reads(leaf.block, gone)
        for leaf in leaves_below(edit.algorithm.body)
    ):
        raise edit.error(f"{gone.name!r} has other readers than {kept.name!r}", "use compute_at")
    return gone, {var: d for d, var in enumerate(indices) if isinstance(var, Var)}


def _taken_over(leaf: Leaf, gone: Block, new: Block, dimensions: dict[Var, int]) -> Leaf:
    """The leaf of *gone* as one that runs *new* at the element that *gone* wrote there."""
    if leaf.block is not gone:
        return leaf
    at = dict(zip(gone.vars, leaf.bindings, strict=True))
    write = gone.writes[0]
    bindings = tuple(substitute(write.indices[dimensions[it.var]], at) for it in new.iters)
    guards = tuple(
        Guard(lt(binding, it.extent))
        for it, binding in zip(new.iters, bindings, strict=True)
        if it.extent != write.buffer.shape[dimensions[it.var]]
    )
    return replace(leaf, block=new, bindings=bindings, guards=(*leaf.guards, *guards), fetches=())


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


def _check_steps(edit: Edit, gone: Block, reader: Block) -> None:
    """What a step of a scan keeps to itself, nobody may read through *gone* at another step."""
    body = edit.algorithm.body
    (mine,), (theirs,) = _leaves_of(body, gone), _leaves_of(body, reader)
    read = {load.buffer for load in block_reads(gone)}
    path = path_to(body, mine)
    for n, alloc in enumerate(path):
        if not isinstance(alloc, Alloc) or alloc.buffer not in read:
            continue
        steps = [stmt.var for stmt in path[:n] if isinstance(stmt, For)]
        if not all(_is_same_step(step, mine, theirs) for step in steps):
            reason = (
                f"{gone.name!r} reads {alloc.buffer.name!r}, of which each step has its own, and "
                f"{reader.name!r} reads {gone.name!r} of another step"
            )
            raise edit.error(reason, "keep it: compute_at brings the loops together")


def _check_overwritten(edit: Edit, gone: Block, readers: list[Block]) -> None:
    """What *gone* reads must still be what it was when its readers come to read it in its place.

    Overwritten are arguments that are changed in place, tensors of updates and shared storage.
    """
    leaves = leaves_below(edit.algorithm.body)
    at = {leaf.block: n for n, leaf in enumerate(leaves)}
    last = max(at[reader] for reader in readers)
    given = {p.buffer for p in edit.algorithm.params if p.role is Role.INOUT}
    for buffer in dict.fromkeys(load.buffer for load in block_reads(gone)):
        changes = [x for x in leaves if any(w.buffer is buffer for w in x.block.writes)]
        if buffer not in given and len(changes) < 2:
            continue  # an update of what the kernel makes comes after what makes it
        for change in changes:
            together = any(_share_loops(edit, change, leaves[at[b]]) for b in (gone, *readers))
            if together or at[gone] < at[change.block] <= last:
                raise edit.error(
                    f"{change.block.name!r} changes {buffer.name!r}, which {gone.name!r} reads as "
                    "it was before",
                    f"keep {gone.name!r}: compute_at brings the loops together where that is legal",
                )


def _share_loops(edit: Edit, a: Leaf, b: Leaf) -> bool:
    """Whether the algorithm walks two blocks in one loop: the steps of a scan."""
    first, second = (loop_path(edit.algorithm.body, leaf) for leaf in (a, b))
    return any(loop in second for loop in first)


def _is_same_step(step: Var, gone: Leaf, reader: Leaf) -> bool:
    """Whether a block reads another one at its own iteration of a loop that both are in."""
    own = dict(zip(reader.bindings, reader.block.vars, strict=True)).get(step)
    at = dict(zip(gone.bindings, gone.block.vars, strict=True)).get(step)
    for write in gone.block.writes:
        if own is None or at not in write.indices:
            return False
        dimension = write.indices.index(at)
        loads = [load for load in block_reads(reader.block) if load.buffer is write.buffer]
        if any(tidy(load.indices[dimension]) != own for load in loads):
            return False
    return True


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
    body = _cut(body, gone)
    written = {write.buffer for write in gone.writes}
    for alloc in [s for s in statements(body) if isinstance(s, Alloc) and s.buffer in written]:
        body = drop_alloc(body, edit.alloc_of(body, alloc.buffer))
    return body


def _cut(body: Stmt, gone: Block) -> Stmt:
    """*body* without the nests of a block, of which there are several after a partition."""
    for leaf in _leaves_of(body, gone):
        body = swap(body, nest_of(body, leaf), None)
    return body


def _leaves_of(body: Stmt, block: Block) -> list[Leaf]:
    return [leaf for leaf in leaves_below(body) if leaf.block is block]
