"""pad_einsum: round the extents of a contraction up, so that no loop over it has a tail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tdsl.ir.expr import Buffer, Load, Var
from tdsl.ir.stmt import Block, BlockKind, For, IterKind, IterVar, Leaf, Scope, Stmt, Write
from tdsl.ir.visit import loop_path, redirect
from tdsl.scheduling.arguments import BlockArg, MultiplesArg
from tdsl.scheduling.boxes import data_dimensions, is_rebuildable, own_nest
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.identities import check_identity
from tdsl.scheduling.padding import Axes, margins, operands, padded_axes, padded_copy
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.rewriting import allocated_around, fresh_name, index_names, top_child, writers
from tdsl.scheduling.tree import leaves_below, nest_of, sequence, swap, with_body


@primitive
def pad_einsum(
    edit: Edit, block: BlockArg, multiples: MultiplesArg, unsafe: bool = False
) -> tuple[str, ...]:
    """Round the extents of a contraction up to multiples: splits of its loops have no tails then.

    Operands that this reaches beyond are read from padded copies, the result is made in a padded
    tensor, and what belongs to it is copied out. The margins hold values that leave every result
    as it is, to the bit. Pad first; place and schedule the new blocks afterwards.

    Args:
        block: a reduction that no step has scheduled yet.
        multiples: one for each axis, in the order of the block's loops, or one for all; an axis
            with 1 keeps its extent.
        unsafe: skip the proof.

    Returns:
        The names of the new blocks: the padded copies `A.C`, `B.C`, then `C.out` if there is one.

    >>> import tdsl as td
    >>> A = td.placeholder((127, 61), "float32", name="A")
    >>> B = td.placeholder((61, 64), "float32", name="B")
    >>> k = td.reduce_axis(61, name="k")
    >>> C = td.compute((127, 64), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    >>> s = td.Schedule(td.func("matmul", [A, B], [C]))
    >>> s.pad_einsum("C", (8, 16, 4))
    ('A.C', 'B.C', 'C.out')
    >>> print(s.nest)
    alloc C.cache: f32[128, 64]
    alloc B.C: f32[64, 64]
    alloc A.C: f32[128, 64]
    for i in 128:
      for k in 64:
        A.C[i, k] = select(i < 127 and k < 61, A[i, k], -0.0)
    for k in 64:
      for j in 64:
        B.C[k, j] = select(k < 61, B[k, j], 0)
    for i in 128:
      for j in 64:
        C.cache[i, j] = 0
        for k in 64:  # reduction
          C.cache[i, j] += A.C[i, k] * B.C[k, j]
    for i in 127:
      for j in 64:
        C[i, j] = C.cache[i, j]

    Raises:
        ScheduleError: no reduction, scheduled already, a multiple of all already, or operands whose
            margins could change a result.
    """
    leaf = edit.leaf(block)
    nest = _contraction(edit, leaf)
    axes = padded_axes(edit, leaf.block, multiples)
    reducer = leaf.block.reducer
    if not unsafe and reducer is not None and not axes.padded.keys().isdisjoint(axes.reduced):
        check_identity(edit, leaf.block.name, reducer, "the terms of a margin")
    rewrite = _Rewrite(edit, leaf.block, axes)
    body = _around(rewrite, edit.body, nest)
    canonical = next(x for x in leaves_below(edit.algorithm.body) if x.block is leaf.block)
    algorithm = _around(rewrite, edit.algorithm.body, top_child(edit.algorithm.body, canonical))
    edit.commit(body, algorithm=with_body(edit.algorithm, algorithm), unsafe=unsafe)
    return tuple(x.name for x in (*rewrite.copies, *rewrite.outs))


def _contraction(edit: Edit, leaf: Leaf) -> Stmt:
    """The canonical nest of a reduction that stands by itself.

    Raises:
        ScheduleError: it is something else, or is scheduled already.
    """
    block = leaf.block
    kinds = {it.kind for it in block.iters}
    if block.kind is not BlockKind.REDUCE or not block.sources or IterKind.ORDERED in kinds:
        raise edit.error(f"{block.name!r} is no reduction", "pad_einsum is for contractions")
    if block.where is not None:
        raise edit.error(
            f"{block.name!r} reduces under a condition (where=)",
            "split it with tail='mask' or 'peel' instead",
        )
    nest = nest_of(edit.body, leaf)
    frozen = block.init is not None and any(x.block is block.init for x in leaves_below(edit.body))
    loops = loop_path(edit.body, leaf)
    whole = [it.extent for it in block.iters] == [loop.extent for loop in loops]
    plain = nest is leaf or (isinstance(nest, For) and loops and nest is loops[0])
    marked = leaf.guards or leaf.fetches
    if frozen or marked or not whole or not plain or not is_rebuildable(nest, leaf):
        raise edit.error(
            f"block {block.name!r} is scheduled already, and its loops would be rebuilt",
            f"pad_einsum first: pad {block.name!r}, then schedule its new loops",
        )
    return nest


class _Rewrite:
    """The blocks that take the place of one contraction."""

    def __init__(self, edit: Edit, block: Block, axes: Axes) -> None:
        self.edit = edit
        self.old = block
        self.copies: list[Block] = []
        self.outs: list[Block] = []
        self.caches: list[Buffer] = []
        reads = self._copied(axes)
        writes = self._results(axes)
        self.new = _resized(block, axes, reads, writes)

    def _copied(self, axes: Axes) -> dict[Load, Buffer]:
        found = operands(self.edit, self.old, axes)
        taken: dict[Load, Buffer] = {}
        names: set[str] = set()
        fillings = margins(self.edit, self.old, axes, found)
        for operand, filling in zip(found, fillings, strict=True):
            source = operand.load.buffer
            name = _fresh(self.edit, f"{source.name}.{self.old.name}", names)
            cache = Buffer(name, source.dtype, operand.shape)
            labels = index_names(operand.load.indices)
            self.copies.append(padded_copy(self.edit, name, operand, cache, filling, labels))
            self.caches.append(cache)
            taken[operand.load] = cache
        return taken

    def _results(self, axes: Axes) -> dict[Buffer, Buffer]:
        """Padded tensors for what the block writes; none where only reduction axes grow."""
        if set(axes.padded) <= set(axes.reduced):
            return {}
        dimensions = data_dimensions(self.old)
        old = tuple(write.buffer for write in self.old.writes)
        others = [x.block.name for x in writers(self.edit.algorithm, set(old))]
        if dimensions is None or set(others) != {self.old.name}:
            raise self.edit.error(
                f"{self.old.name!r} writes a part of {', '.join(repr(b.name) for b in old)}",
                "pad the reduction axes only: 1 in the place of the others",
            )
        fresh = {}
        for buffer in old:
            shape = tuple(axes.extent(dimensions[d]) for d in range(buffer.rank))
            fresh[buffer] = Buffer(
                fresh_name(self.edit, f"{buffer.name}.cache"), buffer.dtype, shape
            )
        self.outs.append(_copy_out(self.edit, self.old, fresh))
        self.caches += fresh.values()
        return fresh


def _fresh(edit: Edit, name: str, taken: set[str]) -> str:
    """A name that no block, tensor or copy of this step has."""
    found = fresh_name(edit, name)
    number = 0
    while found in taken:
        number += 1
        found = fresh_name(edit, f"{name}.{number}")
    taken.add(found)
    return found


def _copy_out(edit: Edit, block: Block, fresh: Mapping[Buffer, Buffer]) -> Block:
    buffer = next(iter(fresh))
    names = index_names(block.writes[0].indices)
    iters = tuple(
        IterVar(Var(label), extent) for label, extent in zip(names, buffer.shape, strict=True)
    )
    at = tuple(it.var for it in iters)
    writes = tuple(Write(old, at, Load(new, at)) for old, new in fresh.items())
    name = fresh_name(edit, f"{block.name}.out")
    return Block(name, iters, writes, BlockKind.COPY, span=edit.core.span())


def _resized(
    block: Block, axes: Axes, reads: Mapping[Load, Buffer], results: Mapping[Buffer, Buffer]
) -> Block:
    """The block over the padded extents, reading the copies and making the padded result."""

    def source(load: Load) -> Buffer:
        return reads.get(load) or results.get(load.buffer, load.buffer)

    new = redirect(block, source, results)
    iters = tuple(IterVar(it.var, axes.extent(it.var), it.kind) for it in block.iters)
    if new.init is None:
        return replace(new, iters=iters)
    data = [it for it in iters if it.kind is not IterKind.REDUCE]
    sized = tuple(
        IterVar(own.var, it.extent, own.kind) for own, it in zip(new.init.iters, data, strict=True)
    )
    return replace(new, iters=iters, init=replace(new.init, iters=sized))


def _around(rewrite: _Rewrite, body: Stmt, nest: Stmt) -> Stmt:
    """*body* with the copies, the padded contraction and the copy out in the place of its nest."""
    blocks = [*rewrite.copies, rewrite.new, *rewrite.outs]
    new = sequence(*(own_nest(block) for block in blocks))
    return allocated_around(swap(body, nest, new), rewrite.caches, Scope.GLOBAL)
