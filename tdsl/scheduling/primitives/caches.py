"""cache_read and cache_write: work on a copy of a tensor, kept in another scope or place."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.stmt import Alloc, Block, For, IterKind, Leaf, Role, Scope, Stmt
from tdsl.ir.visit import block_reads, free_vars, loop_path, substitute
from tdsl.scheduling.arguments import BlockArg, MaybeLoopArg, ScopeArg, TensorArg
from tdsl.scheduling.boxes import own_nest
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.placing import place_consumer, place_producer
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.rewriting import (
    allocated_around,
    anchor_of,
    copy_block,
    fresh_name,
    index_names,
    makes,
    reads_any,
    redirected,
    top_child,
    touches,
    writers,
)
from tdsl.scheduling.tree import (
    leaves_below,
    loop_vars,
    nest_of,
    put_after,
    put_before,
    replace_blocks,
    statements,
    with_body,
)


@primitive
def cache_read(
    edit: Edit,
    block: BlockArg,
    tensor: TensorArg,
    scope: ScopeArg = "global",
    at: MaybeLoopArg = None,
    unsafe: bool = False,
) -> str:
    """Make a block read a copy of a tensor; the copy is a block of its own.

    Args:
        block: the reader.
        tensor: what it reads.
        scope: where the copy lives.
        at: a loop around the reader: the copy is made there, of what one iteration reads. None:
            the whole tensor is copied before the reader's outermost loop.
        unsafe: skip the proof.

    Returns:
        The name of the new block and tensor: `A.C`, a second one `A.C.1`.

    >>> import tdsl as td
    >>> A = td.placeholder((64, 64), "float32", name="A")
    >>> B = td.compute((64, 64), lambda i, j: A[j, i], name="B")
    >>> s = td.Schedule(td.func("transpose", [A], [B]))
    >>> io, jo, ii, ji = s.tile("i", "j", 8, 8)
    >>> s.cache_read("B", "A", at=jo)
    'A.B'
    >>> print(s.nest)
    for io in 8:
      for jo in 8:
        alloc A.B: f32[64, 64]
        for j in 8:
          for i in 8:
            A.B[jo * 8 + j, io * 8 + i] = A[jo * 8 + j, io * 8 + i]
        for ii in 8:
          for ji in 8:
            B[io * 8 + ii, jo * 8 + ji] = A.B[jo * 8 + ji, io * 8 + ii]

    Raises:
        ScheduleError: the block does not read the tensor, or writes it too.
    """
    leaf = edit.leaf(block)
    reader = leaf.block
    buffer = edit.core.buffer(tensor, edit.primitive)
    read = {load.buffer: load for load in reversed(block_reads(reader))}
    written = {write.buffer for write in reader.writes}
    if buffer not in read or buffer in written:
        known = ", ".join(sorted(b.name for b in read if b not in written)) or "nothing else"
        reason = "writes" if buffer in written else "does not read"
        raise edit.error(f"block {reader.name!r} {reason} {buffer.name!r}", f"it reads {known}")
    name = fresh_name(edit, f"{buffer.name}.{reader.name}")
    cache = Buffer(name, buffer.dtype, buffer.shape)
    copy = copy_block(edit, name, (buffer,), (cache,), index_names(read[buffer].indices))
    mapping = {reader: redirected(reader, {buffer: cache}, {})}
    algorithm = _with_copy(edit.algorithm.body, mapping, reader, copy, buffer, edit)
    body = replace_blocks(edit.body, mapping)
    target = next(x for x in leaves_below(body) if x.block is mapping[reader])
    anchor = anchor_of(body, target, makes({buffer}))
    around = loop_path(body, anchor)
    body = put_before(body, anchor, own_nest(copy))
    body = allocated_around(body, [cache], Scope(scope))
    inside = edit.loop(at).var if at is not None else around[-1].var if around else None
    if inside is not None:
        body = place_producer(edit, body, copy, inside)
    edit.commit(body, algorithm=with_body(edit.algorithm, algorithm), unsafe=unsafe)
    return name


def _with_copy(
    body: Stmt, mapping: dict[Block, Block], reader: Block, copy: Block, buffer: Buffer, edit: Edit
) -> Stmt:
    body = replace_blocks(body, mapping)
    target = next(x for x in leaves_below(body) if x.block is mapping[reader])
    nest = top_child(body, target)
    if makes({buffer})(nest):
        raise edit.error(
            f"{buffer.name!r} is made in the same recurrence in which {reader.name!r} reads it",
            "only tensors made before the scan can be cached for it",
        )
    body = put_before(body, nest, own_nest(copy))
    return allocated_around(body, [write.buffer for write in copy.writes], Scope.GLOBAL)


@primitive
def cache_write(
    edit: Edit,
    block: BlockArg,
    scope: ScopeArg = "register",
    at: MaybeLoopArg = None,
    unsafe: bool = False,
) -> str:
    """Make a block write a new tensor; a block of its own copies that to the old one.

    The block keeps its name and loops. `C.out` copies back, after the block's outermost loop, or
    inside the loop `at`, where it copies what one iteration made; `reverse_compute_at` moves it.

    Returns:
        The name of the block that copies back: `C.out`.

    >>> import tdsl as td
    >>> A = td.placeholder((64, 32), "float32", name="A")
    >>> k = td.reduce_axis(32, name="k")
    >>> C = td.compute((64,), lambda i: td.sum(A[i, k], axis=k), name="C")
    >>> s = td.Schedule(td.func("row_sums", [A], [C]))
    >>> io, ii = s.split("C.i", 4)
    >>> s.cache_write("C", "register", at=io)
    'C.out'
    >>> print(s.nest)
    for io in 16:
      alloc C.cache: f32[64] in register
      for ii in 4:
        C.cache[io * 4 + ii] = 0
        for k in 32:  # reduction
          C.cache[io * 4 + ii] += A[io * 4 + ii, k]
      for i in 4:
        C[io * 4 + i] = C.cache[io * 4 + i]

    Raises:
        ScheduleError: the block updates an argument in place.
    """
    leaf = edit.leaf(block)
    _refuse_init(edit, leaf.block)
    old = tuple(write.buffer for write in leaf.block.writes)
    private = _made_in_recurrence(edit, set(old))
    group = [leaf.block] if private else _writer_group(edit, leaf.block, set(old))
    fresh = {b: Buffer(fresh_name(edit, f"{b.name}.cache"), b.dtype, b.shape) for b in old}
    mapping = {x: redirected(x, fresh, fresh) for x in group}
    mapping |= {x.init: new.init for x, new in mapping.items() if x.init and new.init}
    copy = _copy_back(edit, leaf.block, fresh, private=private)
    caches = tuple(fresh.values())
    algorithm = replace_blocks(edit.algorithm.body, mapping)
    last = writers(with_body(edit.algorithm, algorithm), set(caches))[-1]
    after = nest_of(algorithm, last) if private else top_child(algorithm, last)
    algorithm = put_after(algorithm, after, own_nest(copy, _times(last, copy)))
    proved = with_body(edit.algorithm, allocated_around(algorithm, caches, Scope.GLOBAL))

    body = replace_blocks(edit.body, mapping)
    last = writers(with_body(edit.program, body), set(caches))[-1]
    anchor = anchor_of(body, last, reads_any(set(old)))
    around = loop_path(body, anchor)
    shared = () if at is None else edit.path_to_loop(edit.loop(at))
    own = loop_vars(anchor) - {x.var for s in shared if isinstance(s, For) for x in s.levels}
    body = put_after(body, anchor, own_nest(copy, _times(last, copy, own), around))
    body = allocated_around(body, caches, Scope(scope))
    inside = edit.loop(at).var if at is not None else around[-1].var if around else None

    def attempt(*, private: bool) -> None:
        new = body
        if inside is not None:
            new = place_consumer(edit, body, copy, inside, private=private)
        edit.commit(new, algorithm=proved, unsafe=unsafe)

    edit.first_accepted([partial(attempt, private=True), partial(attempt, private=False)])
    return copy.name


def _refuse_init(edit: Edit, block: Block) -> None:
    for leaf in leaves_below(edit.algorithm.body):
        if leaf.block.init is block:
            reason = f"{block.name!r} is the init of {leaf.block.name!r}"
            raise edit.error(reason, f"cache_write {leaf.block.name!r}; its init goes along")


def _made_in_recurrence(edit: Edit, buffers: set[Buffer]) -> bool:
    """Whether the tensors live for one step of a scan only."""
    body = edit.algorithm.body
    held = [s for s in statements(body) if isinstance(s, Alloc) and s.buffer in buffers]
    return any(loop_path(body, alloc) for alloc in held)


def _copy_back(edit: Edit, block: Block, fresh: dict[Buffer, Buffer], *, private: bool) -> Block:
    """The block `C.out`; what a scan's time indexes is walked by the scan's own loop."""
    indices = block.writes[0].indices
    ordered = {it.var for it in block.iters if private and it.kind is IterKind.ORDERED}
    kinds = [IterKind.ORDERED if index in ordered else IterKind.DATA for index in indices]
    name = fresh_name(edit, f"{block.name}.out")
    old, caches = tuple(fresh), tuple(fresh.values())
    return copy_block(edit, name, caches, old, index_names(indices), kinds)


def _times(writer: Leaf, copy: Block, own: Collection[Var] = ()) -> dict[Var, Expr]:
    """What binds the ordered iteration variables of *copy*, where *writer* stands.

    Fission may have given the writer a loop over the time that is not around the copy: of the
    writer's `own` variables nothing is bound, so that the copy gets such a loop, too.
    """
    at = dict(zip(writer.block.vars, writer.bindings, strict=True))
    indices = writer.block.writes[0].indices
    return {
        it.var: substitute(index, at)
        for it, index in zip(copy.iters, indices, strict=True)
        if it.kind is IterKind.ORDERED and free_vars(substitute(index, at)).isdisjoint(own)
    }


def _writer_group(edit: Edit, block: Block, buffers: set[Buffer]) -> list[Block]:
    """The blocks that must work on the cached tensor: all up to the nest of *block*."""
    for param in edit.program.params:
        if param.buffer in buffers and param.role is Role.INOUT:
            raise edit.error(
                f"{block.name!r} updates the argument {param.buffer.name!r} in place",
                "declare it as a placeholder and td.update a copy",
            )
    leaves = leaves_below(edit.algorithm.body)
    own = next(leaf for leaf in leaves if leaf.block is block)
    nest = leaves_below(top_child(edit.algorithm.body, own))
    until = next(n for n, leaf in enumerate(leaves) if leaf is nest[-1])
    return [leaf.block for leaf in leaves[: until + 1] if touches(leaf, buffers)]
