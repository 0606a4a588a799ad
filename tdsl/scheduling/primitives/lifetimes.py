"""store_at, hoist_storage, fold_storage: how long a tensor's elements are kept, and how many."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tdsl.analysis.regions import needed_box
from tdsl.errors import ScheduleError
from tdsl.ir.expr import Buffer, Const, Var
from tdsl.ir.stmt import Alloc, For, Stmt
from tdsl.ir.visit import accessed_buffers, free_vars, own_vars
from tdsl.scheduling.arguments import DimArg, LanesArg, MaybeLoopArg, StoredArg, TensorArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.index_map import IndexMap
from tdsl.scheduling.layouts import clash
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.rings import folded, is_ring, plain_layout
from tdsl.scheduling.tree import drop_alloc, leaves_below, statements, swap


@primitive
def store_at(edit: Edit, block: StoredArg, at: MaybeLoopArg = None, unsafe: bool = False) -> None:
    """Keep what a block writes for a whole iteration of a loop: its tensor is allocated there.

    compute_at gives every iteration a tensor of its own, so neighbours compute their overlap
    twice. Stored at a loop further out, the tensor outlives the iterations, and a row that the
    one before has computed is not computed again: a sliding window.

    Args:
        block: a block, or the name of its tensor.
        at: the loop; None: outside all loops.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((66,), "float32", name="A")
    >>> B = td.compute((66,), lambda i: A[i] * A[i], name="B")
    >>> C = td.compute((64,), lambda i: B[i] + B[i + 2], name="C")
    >>> s = td.Schedule(td.func("squares", [A], [C]))
    >>> _ = s.compute_at("B", at="C.i")
    >>> print(s.nest)
    for i in 64:
      alloc B: f32[66]
      for i_1 in 3:
        B[i + i_1] = A[i + i_1] * A[i + i_1]
      C[i] = B[i] + B[i + 2]
    >>> s.store_at("B")
    >>> print(s.nest)
    alloc B: f32[66]
    for i in 64:
      for i_1 in 3:
        B[i + i_1] = A[i + i_1] * A[i + i_1]
      C[i] = B[i] + B[i + 2]

    Two of the three are known from the iteration before; the kernel computes 66 squares, not 192.

    Raises:
        ScheduleError: the tensor is an argument or a result, is used outside the loop, or
            iterations that may run at once would share it.
    """
    loop = None if at is None else edit.loop(at)
    buffers = _allocated(edit, block)
    body = edit.body
    for buffer in buffers:
        _check_users(edit, buffer, loop)
        body = _stored(edit, body, buffer, None if loop is None else loop.var)
    edit.commit(body, unsafe=unsafe)


@primitive
def hoist_storage(edit: Edit, block: StoredArg, unsafe: bool = False) -> None:
    """Store a block's tensor outside the serial loops around it, as far out as is legal.

    Loops whose iterations may run at once are not left: each keeps a copy of its own.

    >>> import tdsl as td
    >>> A = td.placeholder((34, 64), "float32", name="A")
    >>> B = td.compute((34, 64), lambda i, j: A[i, j] * A[i, j], name="B")
    >>> C = td.compute((32, 64), lambda i, j: B[i, j] + B[i + 2, j], name="C")
    >>> s = td.Schedule(td.func("squares", [A], [C]))
    >>> io, ii = s.split("C.i", 8)
    >>> _ = s.compute_at("B", at=ii)
    >>> _ = s.parallel(io)
    >>> s.hoist_storage("B")
    >>> print(s.nest)
    for io in parallel(4):
      alloc B: f32[34, 64]
      for ii in 8:
        for i in 3:
          for j in 64:
            B[io * 8 + ii + i, j] = A[io * 8 + ii + i, j] * A[io * 8 + ii + i, j]
        for j in 64:
          C[io * 8 + ii, j] = B[io * 8 + ii, j] + B[io * 8 + ii + 2, j]

    Raises:
        ScheduleError: the tensor is an argument or a result, or no serial loop is around it.
    """
    buffers = _allocated(edit, block)
    around = _loops_around(edit, buffers[0])
    shared = max((n for n, loop in enumerate(around) if loop.kind.concurrent), default=-1)
    if shared + 1 == len(around):
        reason = f"{buffers[0].name!r} is not stored inside a serial loop"
        raise edit.error(reason, "store_at moves it to a loop of your choice")

    def attempt(at: Var | None) -> None:
        body = edit.body
        for buffer in buffers:
            body = _stored(edit, body, buffer, at)
        edit.commit(body, unsafe=unsafe)

    places = [None, *(loop.var for loop in around)][shared + 1 : -1]
    edit.first_accepted([partial(attempt, at) for at in places])


@primitive
def fold_storage(
    edit: Edit,
    tensor: TensorArg,
    factor: LanesArg = None,
    dim: DimArg = None,
    unsafe: bool = False,
) -> None:
    """Keep a few rows of a tensor only: element `i` of a dimension is stored at `i % factor`.

    Args:
        tensor: an intermediate tensor, mostly one that store_at keeps for several iterations.
        factor: how many are kept; None: as many as one iteration of the loop around its producer
            and its consumer uses.
        dim: the dimension, counted from 0; None: the one along which that loop moves.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((66,), "float32", name="A")
    >>> B = td.compute((66,), lambda i: A[i] * A[i], name="B")
    >>> C = td.compute((64,), lambda i: B[i] + B[i + 2], name="C")
    >>> s = td.Schedule(td.func("squares", [A], [C]))
    >>> _ = s.compute_at("B", at="C.i")
    >>> s.store_at("B")
    >>> s.fold_storage("B", 3)
    >>> print(s.nest)
    alloc B: f32[66] stored at [i % 3]
    for i in 64:
      for i_1 in 3:
        B[i + i_1] = A[i + i_1] * A[i + i_1]
      C[i] = B[i] + B[i + 2]

    Raises:
        ScheduleError: an element would be overwritten that is still to be read; the tensor is an
            argument or a result, or is folded already.
    """
    buffer = edit.core.buffer(tensor, edit.primitive)
    alloc = edit.index.allocs.get(buffer)
    if alloc is None:
        raise _not_allocated(edit, buffer)
    if dim is not None and not 0 <= dim < buffer.rank:
        reason = f"{buffer.name!r} has {buffer.rank} dimensions, there is no dimension {dim}"
        raise edit.error(reason, "dimensions count from 0")
    if alloc.layout is not None and _shares_places(edit, buffer, alloc):
        raise _folded_already(edit, buffer)
    if dim is None or factor is None:
        dim, factor = _window(edit, buffer, alloc, dim, factor)
    layout = alloc.layout or plain_layout(buffer)
    if is_ring(layout, dim):
        raise _folded_already(edit, buffer)
    layout = folded(layout, dim, factor)
    edit.commit(swap(edit.body, alloc, replace(alloc, layout=layout)), unsafe=unsafe)


def _allocated(edit: Edit, block: StoredArg) -> tuple[Buffer, ...]:
    buffers = edit.stored(block)
    for buffer in buffers:
        if buffer not in edit.index.allocs:
            raise _not_allocated(edit, buffer)
    return buffers


def _folded_already(edit: Edit, buffer: Buffer) -> ScheduleError:
    return edit.error(f"{buffer.name!r} is folded already", "fold it once, by the factor wanted")


def _not_allocated(edit: Edit, buffer: Buffer) -> ScheduleError:
    return edit.error(
        f"{buffer.name!r} is an argument or a result, and lives where the caller keeps it",
        "cache_read or cache_write makes a copy that can be stored elsewhere",
    )


def _check_users(edit: Edit, buffer: Buffer, loop: For | None) -> None:
    if loop is None:
        return
    inside = {id(leaf) for leaf in leaves_below(loop)}
    for name, leaf in edit.index.leaves.items():
        if buffer in accessed_buffers(leaf) and id(leaf) not in inside:
            raise edit.error(
                f"block {name!r} uses {buffer.name!r} outside loop {loop.var.name!r}",
                "store it at a loop around all of its users, or compute_at them there first",
            )


def _stored(edit: Edit, body: Stmt, buffer: Buffer, at: Var | None) -> Stmt:
    """*body* with the allocation of a buffer just inside the loop over *at*, or around it all."""
    alloc = edit.alloc_of(body, buffer)
    rest = drop_alloc(body, alloc)
    if at is None:
        return replace(alloc, body=rest)
    loop = edit.find(rest, at)
    return swap(rest, loop, replace(loop, body=replace(alloc, body=loop.body)))


def _loops_around(edit: Edit, buffer: Buffer) -> tuple[For, ...]:
    """The loops around the allocation of a buffer, outermost first."""
    alloc = edit.index.allocs[buffer]
    for path in edit.index.paths.values():
        for depth, stmt in enumerate(path):
            if stmt is alloc:
                return tuple(s for s in path[:depth] if isinstance(s, For))
    return ()


def _shares_places(edit: Edit, buffer: Buffer, alloc: Alloc) -> bool:
    """Whether a layout, of whatever form, has one place for two elements of those that are used."""
    assert alloc.layout is not None
    layout = IndexMap(alloc.layout.inputs, alloc.layout.outputs)
    boxes = (buffer.shape, needed_box(edit.program, buffer, alloc.body).extent)
    return all(clash(edit.program, layout, box) is not None for box in boxes)


def _window(
    edit: Edit, buffer: Buffer, alloc: Alloc, dim: int | None, factor: int | None
) -> tuple[int, int]:
    """The dimension along which the innermost loop around all users moves, and its window."""
    loop = _innermost_shared(alloc, buffer)
    if loop is None:
        raise edit.error(
            f"no loop stands between the storage of {buffer.name!r} and the blocks that use it",
            "place its producer with compute_at, then store_at a loop further out",
        )
    box = needed_box(edit.program, buffer, loop.body)
    if dim is None:
        moving = [d for d, o in enumerate(box.origin) if free_vars(o) & set(own_vars(loop))]
        if len(moving) != 1:
            reason = f"{buffer.name!r} moves along {len(moving)} dimensions with {loop.var.name!r}"
            raise edit.error(reason, "say which: dim=0 is the first dimension")
        dim = moving[0]
    if factor is None:
        extent = box.extent[dim]
        if not isinstance(extent, Const):
            raise edit.error(
                f"one iteration of {loop.var.name!r} uses no constant number of elements of "
                f"{buffer.name!r} along dimension {dim}",
                "give the factor",
            )
        factor = int(extent.value)
    return dim, factor


def _innermost_shared(alloc: Alloc, buffer: Buffer) -> For | None:
    """The innermost loop inside *alloc* that holds all that touches the buffer."""
    users = {id(leaf) for leaf in leaves_below(alloc) if buffer in accessed_buffers(leaf)}
    found = None
    for stmt in statements(alloc.body):
        if isinstance(stmt, For) and users <= {id(leaf) for leaf in leaves_below(stmt)}:
            found = stmt
    return found
