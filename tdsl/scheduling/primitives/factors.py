"""rfactor: reduce in parts that do not wait for each other, then combine the parts."""

from __future__ import annotations

from dataclasses import replace

from tdsl.analysis import Numerics
from tdsl.analysis.commute import commutes
from tdsl.analysis.numerics import swaps_exactly
from tdsl.errors import ScheduleError
from tdsl.ir.expr import Expr, Var
from tdsl.ir.inits import reduction_vars
from tdsl.ir.stmt import Block, BlockKind, For, IterKind, Leaf, Scope, Stmt
from tdsl.ir.visit import free_vars, loads, loop_path, own_vars
from tdsl.scheduling.arguments import CountArg, LoopArg
from tdsl.scheduling.boxes import own_nest
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.factoring import Factored, factor
from tdsl.scheduling.identities import check_identity
from tdsl.scheduling.naming import loop_names, unique_name
from tdsl.scheduling.ordering import reordered
from tdsl.scheduling.partials import data_nest
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.rewriting import allocated_around
from tdsl.scheduling.tree import leaves_below, nest_of, sequence, swap, with_body


@primitive
def rfactor(edit: Edit, loop: LoopArg, axis: CountArg = 0, unsafe: bool = False) -> str:
    """Factor a reduction loop out: each of its iterations gets partial results of its own.

    The partial results are a tensor `C.rf` with one more dimension, and a block of that name that
    stands where the reduction stood; in it, the loop is data-parallel. Block `C` then combines
    them, right after that. Both stay inside the data-parallel loops outside the reduction, and so
    does the storage of the partial results: each row of a matrix has its own, say. Updates with an
    associative op factor in the same way, but as a whole.

    Args:
        loop: the reduction loop.
        axis: where the new dimension goes; negative counts from the end.
        unsafe: skip the proof.

    Returns:
        The name of the new block, `C.rf`.

    >>> import tdsl as td
    >>> x = td.placeholder((1024,), "float32", name="x")
    >>> y = td.placeholder((1024,), "float32", name="y")
    >>> k = td.reduce_axis(1024, name="k")
    >>> dot = td.compute((), lambda: td.sum(x[k] * y[k], axis=k), name="dot")
    >>> s = td.Schedule(td.func("dot_product", [x, y], [dot]))
    >>> ko, ki = s.split("dot.k", 128)
    >>> s.rfactor(ko)
    'dot.rf'
    >>> s.parallel("dot.rf.ko")
    <Loop dot.rf.ko>
    >>> print(s.numerics)
    Numerics.REASSOCIATES

    Raises:
        ScheduleError: no loop of a single reduction, or one that walks data axes as well; a
            reducer that does not commute, and a loop inside another one of the reduction; a
            reducer that combines a partial result with its identity into something else.
    """
    target = edit.loop(loop)
    leaf = _reduction_below(edit, target)
    block = leaf.block
    edit.core.leaf_name(block.name, edit.primitive)  # refuses where it stands in pieces
    rank = block.writes[0].buffer.rank
    place = axis + rank + 1 if axis < 0 else axis
    if not 0 <= place <= rank:
        raise edit.error(f"axis {axis} of a tensor of rank {rank + 1}", f"0 to {rank}")
    if block.kind is BlockKind.UPDATE:
        _reads_no_other(edit, block)
    path = loop_path(edit.body, leaf)
    nest = _factored_nest(edit, leaf)
    if not unsafe and block.reducer is not None:
        parts = "parts of the reduction that have no elements"
        check_identity(edit, block.name, block.reducer, parts)
        if not commutes(block.reducer):
            _keeps_order(edit, leaf, target, path)
    found = factor(edit, leaf, target, path, place)
    around = loop_path(edit.body, nest)
    combined = _total_nest(edit, nest, leaf, found.total, around)
    new = _steps(found, swap(nest, leaf, found.leaf), combined, around)
    body = swap(edit.body, nest, allocated_around(new, found.buffers, Scope.GLOBAL))
    floor = Numerics.EXACT if swaps_exactly(block) else Numerics.REASSOCIATES
    algorithm = with_body(edit.algorithm, _rewritten(edit.algorithm.body, block, found))
    edit.commit(body, algorithm=algorithm, floor=floor, unsafe=unsafe)
    return found.partial.name


def _reads_no_other(edit: Edit, block: Block) -> None:
    """See that an update does not read what it writes but for the element that it updates."""
    written = {write.buffer for write in block.writes}
    for load in (load for source in block.sources for load in loads(source)):
        if load.buffer in written:
            raise edit.error(
                f"{block.name!r} works in place, and reads other elements of {load.buffer.name!r}",
                "rfactor before reuse",
            )


def _reduction_below(edit: Edit, loop: For) -> Leaf:
    leaves = leaves_below(loop)
    name = loop.var.name
    if len(leaves) != 1:
        names = ", ".join(leaf.block.name for leaf in leaves)
        raise edit.error(f"loop {name!r} holds several blocks: {names}", "fission first")
    leaf = leaves[0]
    block = leaf.block
    if block.reducer is None:
        if any(it.kind is IterKind.ORDERED for it in block.iters):
            raise edit.error(f"{block.name!r} is not associative: its order is part of its meaning")
        raise edit.error(f"{block.name!r} is not a reduction", "give a loop of a reduction")
    reduced = reduction_vars(leaf)
    if not reduced & set(own_vars(loop)):
        own = [s.var.name for s in loop_path(edit.body, leaf) if reduced & set(own_vars(s))]
        raise edit.error(
            f"{name!r} is not a reduction loop of {block.name!r}",
            f"one of {', '.join(repr(n) for n in own)}",
        )
    return leaf


def _keeps_order(edit: Edit, leaf: Leaf, loop: For, path: tuple[For, ...]) -> None:
    """Results of one iteration each, combined in order, are as if the loop were the outermost.

    Raises:
        ScheduleError: a reducer whose operands may not swap would meet them in another order.
    """
    reduced = reduction_vars(leaf)
    loops = [s.var for s in path if reduced & set(own_vars(s))]
    if loops[0] is loop.var:
        return
    first = (loop.var, *(var for var in loops if var is not loop.var))
    try:
        edit.prove_way(reordered(edit, edit.body, first))
    except ScheduleError as error:
        block, outermost = leaf.block.name, loops[0].name
        error.hint = f"operands of {block!r} may not swap: factor {outermost!r}, its outermost loop"
        raise


def _factored_nest(edit: Edit, leaf: Leaf) -> Stmt:
    """The part of the tree that is factored: a reduction's own loops; all of an update's."""
    if leaf.block.kind is BlockKind.UPDATE:
        return nest_of(edit.body, leaf)
    reduced = reduction_vars(leaf)
    outermost = next(s for s in loop_path(edit.body, leaf) if reduced & set(own_vars(s)))
    others = [other.block.name for other in leaves_below(outermost) if other is not leaf]
    if others:
        raise edit.error(
            f"loop {outermost.var.name!r} holds other blocks too: {', '.join(others)}",
            "fission first",
        )
    return outermost


def _total_nest(edit: Edit, nest: Stmt, leaf: Leaf, total: Block, around: tuple[For, ...]) -> Stmt:
    """The nest that combines the partial results: data loops as before, then one over them."""
    if total.kind is BlockKind.UPDATE:
        return own_nest(total, around=around)
    path = edit.path(edit.blocks_below(nest)[0])
    made = data_nest(edit, path, nest, leaf, total)
    (inner,) = leaves_below(made)
    last = total.iters[-1]
    name = unique_name(last.var.name, loop_names((*around, *loop_path(made, inner))))
    var = Var(name, last.var.dtype)
    over = For(var, last.extent, inner, span=edit.core.span())
    bound = replace(inner, bindings=(*inner.bindings, over.var))
    return swap(made, inner, replace(over, body=bound))


def _steps(found: Factored, partial: Stmt, total: Stmt, around: tuple[For, ...] = ()) -> Stmt:
    fill = () if found.fill is None else (own_nest(found.fill, around=around),)
    return sequence(*fill, partial, total)


def _rewritten(body: Stmt, block: Block, found: Factored) -> Stmt:
    """The algorithm with canonical nests of the new blocks in the place of the old one's."""
    (leaf,) = [leaf for leaf in leaves_below(body) if leaf.block is block]
    nest = nest_of(body, leaf)
    outer = {s.var for s in loop_path(body, nest)}
    fixed = [
        (it.var, binding)
        for it, binding in zip(block.iters, leaf.bindings, strict=True)
        if it.kind is not IterKind.REDUCE
    ]
    new = _steps(
        found,
        own_nest(found.partial, _carried(found.partial, fixed, outer)),
        own_nest(found.total, _carried(found.total, fixed, outer)),
    )
    return allocated_around(swap(body, nest, new), found.buffers, Scope.GLOBAL)


def _carried(block: Block, fixed: list[tuple[Var, Expr]], outer: set[Var]) -> dict[Var, Expr]:
    """Bindings by the loops around (a scan's time), of the variables that lead *block*'s list."""
    pairs = zip(block.iters, fixed, strict=False)
    return {it.var: binding for it, (_, binding) in pairs if free_vars(binding) & outer}
