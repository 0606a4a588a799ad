"""reuse: make a tensor in the storage of one that is no longer needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tdsl.analysis.refusal import Refused
from tdsl.analysis.sharing import check_sharing, is_identity_copy
from tdsl.errors import ScheduleError
from tdsl.ir.affine import equal
from tdsl.ir.expr import Buffer
from tdsl.ir.printer import print_expr
from tdsl.ir.stmt import Alloc, Block, BlockKind, Leaf, Program, Role, Stmt
from tdsl.ir.visit import block_reads, loop_path, path_to
from tdsl.scheduling.arguments import TensorArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.rewriting import redirected, touches
from tdsl.scheduling.tree import (
    leaves_below,
    rebuild,
    statements,
    swap,
    with_body,
)


@primitive
def reuse(edit: Edit, tensor: TensorArg, of: TensorArg, unsafe: bool = False) -> None:
    """Make a tensor in the storage of another one, which is not needed any more by then.

    Both become one tensor under the first name. A block that only copied one to the other, such
    as the base of a td.update, is gone; one that reads the old and writes the new works in place.

    Args:
        tensor: the new one.
        of: the old one, which the kernel makes for itself; of the same shape and dtype.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> X = td.placeholder((1000,), "int32", name="X")
    >>> start = td.compute((8,), lambda i: td.cast(0, "int32"), name="start")
    >>> r = td.reduce_axis(1000, name="r")
    >>> bins = td.update(start, over=r, at=X[r], value=1, op="add", name="bins")
    >>> s = td.Schedule(td.func("histogram", [X], [bins]))
    >>> s.reuse("bins", of="start")
    >>> print(s.nest)
    for i in 8:
      bins[i] = 0
    for r in 1000:  # reduction
      bins[i64(X[r])] += 1_i32

    Raises:
        ScheduleError: the old tensor is still read after an element of the new one is written; it
            is an argument, a result, or made anew in each step of a scan; shapes or dtypes differ.
    """
    new, old = edit.core.buffer(tensor, edit.primitive), edit.core.buffer(of, edit.primitive)
    _check_fit(edit, new, old)
    if not unsafe:
        _check_last_use(edit, new, old)
    mapping = _in_place(edit.algorithm, new, old)
    algorithm = _joined(edit.algorithm.body, mapping, new, old)
    body = _joined(edit.body, mapping, new, old)
    edit.commit(body, algorithm=with_body(edit.algorithm, algorithm), unsafe=unsafe)


def _check_fit(edit: Edit, new: Buffer, old: Buffer) -> None:
    held = edit.index.allocs.get(old)
    if new is old:
        raise edit.error(f"{old.name!r} lies in its own storage already", "name two tensors")
    if held is None:
        raise edit.error(
            f"{old.name!r} is an argument or a result, and keeps what it holds",
            "td.inout declares an argument that the kernel may change",
        )
    if any(p.buffer is new and p.role is not Role.OUT for p in edit.program.params):
        raise edit.error(f"{new.name!r} is an argument, and lives where the caller keeps it")
    same = new.rank == old.rank and all(
        equal(a, b) for a, b in zip(new.shape, old.shape, strict=True)
    )
    if not same or new.dtype is not old.dtype:
        raise edit.error(
            f"{new.name!r} is {_text(new)}, and {old.name!r} is {_text(old)}",
            "both need one shape and one dtype",
        )
    if held.layout is not None:
        reason = f"the layout of {old.name!r} has been changed"
        raise edit.error(reason, "reuse first: transform_layout, align or fold what comes of it")
    whole = edit.algorithm.body
    allocs = [s for s in statements(whole) if isinstance(s, Alloc) and s.buffer in (new, old)]
    for alloc in allocs:
        if loop_path(whole, alloc):
            reason = f"{alloc.buffer.name!r} is made anew in each step of a recurrence"
            raise edit.error(reason, "only tensors outside scans can share storage")


def _text(buffer: Buffer) -> str:
    return f"{buffer.dtype}[{', '.join(print_expr(e) for e in buffer.shape)}]"


def _check_last_use(edit: Edit, new: Buffer, old: Buffer) -> None:
    try:
        check_sharing(edit.algorithm, old, new)
    except Refused as refused:
        error = edit.error(refused.reason, refused.hint)
        raise ScheduleError(
            edit.primitive,
            refused.reason,
            witness=refused.witness,
            hint=refused.hint,
            nest=error.nest,
            span=error.span,
        ) from None


def _in_place(algorithm: Program, new: Buffer, old: Buffer) -> dict[Block, Block | None]:
    """The blocks that touch the old tensor, on the new one; None for those with nothing to do."""
    mapping: dict[Block, Block | None] = {}
    both = {old: new}
    for leaf in leaves_below(algorithm.body):
        block = leaf.block
        if is_identity_copy(block, old, new):
            mapping[block] = None
        elif touches(leaf, {old}):
            changed = redirected(block, both, both)
            if block.kind in (BlockKind.COMPUTE, BlockKind.COPY) and _updates(changed, new):
                changed = replace(changed, kind=BlockKind.UPDATE)  # running twice matters now
            mapping[block] = changed
            if block.init is not None:
                mapping[block.init] = changed.init
    return mapping


def _updates(block: Block, buffer: Buffer) -> bool:
    read = any(load.buffer is buffer for load in block_reads(block))
    return read and any(write.buffer is buffer for write in block.writes)


def _joined(body: Stmt, mapping: Mapping[Block, Block | None], new: Buffer, old: Buffer) -> Stmt:
    """*body* with one tensor for two; its allocation holds what both did."""
    held = [s for s in statements(body) if isinstance(s, Alloc) and s.buffer in (new, old)]
    kept = next((alloc for alloc in held if alloc.buffer is new), None)
    paths = [path_to(body, alloc) for alloc in held]
    place = next(a for a in reversed(paths[0]) if all(a in path for path in paths))

    def visit(stmt: Stmt) -> Stmt | None:
        match stmt:
            case Alloc(buffer=buffer) if buffer in (new, old):
                return stmt.body
            case Leaf(block=block) if block in mapping:
                changed = mapping[block]
                return None if changed is None else replace(stmt, block=changed)
            case _:
                return stmt

    inner = rebuild(place, visit)
    assert inner is not None
    return swap(body, place, inner if kept is None else replace(kept, body=inner))
