"""set_scope and transform_layout: where a tensor lives, and in which order."""

from __future__ import annotations

from dataclasses import replace

from tdsl.analysis.regions import needed_box
from tdsl.ir.build import add
from tdsl.ir.expr import Buffer, Expr
from tdsl.ir.stmt import Layout, Program, Role, Scope
from tdsl.scheduling.arguments import IndexMapArg, PadArg, ScopeArg, StoredArg, TensorArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.index_map import IndexMap
from tdsl.scheduling.layouts import clash, image
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.tree import swap


@primitive
def set_scope(edit: Edit, block: StoredArg, scope: ScopeArg, unsafe: bool = False) -> None:
    """Say where the tensor that a block writes lives: global, stack, register, shared, constant.

    `register` asks that every loop that indexes the tensor inside its allocation be constant, and
    unrolled or vectorized, when the kernel is built.

    >>> import tdsl as td
    >>> A = td.placeholder((64,), "float32", name="A")
    >>> B = td.compute((64,), lambda i: A[i] + 1.0, name="B")
    >>> C = td.compute((64,), lambda i: B[i] * 2.0, name="C")
    >>> s = td.Schedule(td.func("twice", [A], [C]))
    >>> io, ii = s.split("C.i", 8)
    >>> _ = s.compute_at("B", io)
    >>> s.set_scope("B", "stack")
    >>> print(s.nest)
    for io in 8:
      alloc B: f32[64] in stack
      for i in 8:
        B[io * 8 + i] = A[io * 8 + i] + 1
      for ii in 8:
        C[io * 8 + ii] = B[io * 8 + ii] * 2

    Raises:
        ScheduleError: the tensor is an argument or a result.
    """
    body = edit.body
    for buffer in edit.stored(block):
        alloc = edit.index.allocs.get(buffer)
        if alloc is None:
            raise edit.error(
                f"{buffer.name!r} is an argument or a result, and lives where the caller keeps it",
                "cache_read or cache_write makes a copy whose scope can be set",
            )
        held = edit.alloc_of(body, buffer)
        body = swap(body, held, replace(held, scope=Scope(scope)))
    edit.commit(body, unsafe=unsafe)


@primitive
def transform_layout(
    edit: Edit,
    tensor: TensorArg,
    index_map: IndexMapArg,
    pad: PadArg = None,
    prepacked: bool = False,
    unsafe: bool = False,
) -> None:
    """Store a tensor in another order: element `[i, ...]` goes where the index map says.

    Args:
        tensor: an intermediate tensor; with `prepacked`, an argument.
        index_map: text such as `"i, k -> i // 6, k, i % 6"`, or a function of the indices. Where
            the tensor is private to a loop, its indices count from the corner of what is used.
        pad: extra elements at the end of each storage dimension, or one number for the last.
        prepacked: the caller passes the tensor in this layout (`kernel.pack` makes it).
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((64, 64), "float32", name="A")
    >>> B = td.compute((64, 64), lambda i, j: A[i, j] + 1.0, name="B")
    >>> C = td.compute((64, 64), lambda i, j: B[j, i] * 2.0, name="C")
    >>> s = td.Schedule(td.func("turn", [A], [C]))
    >>> s.transform_layout("B", lambda i, j: (j // 8, i, j % 8))
    >>> print(s.trace)
    s = td.Schedule(turn)
    s.transform_layout("B", "i, j -> j // 8, i, j % 8")

    Raises:
        ScheduleError: two elements would share a place, or the tensor is an argument and not
            prepacked.
    """
    assert isinstance(index_map, IndexMap)
    buffer = edit.core.buffer(tensor, edit.primitive)
    if len(index_map.inputs) != buffer.rank:
        raise edit.error(
            f"{buffer.name!r} has {buffer.rank} dimensions, the map takes {len(index_map.inputs)}"
        )
    alloc = edit.index.allocs.get(buffer)
    if alloc is None:
        program = _packed_argument(edit, buffer, index_map, pad, prepacked=prepacked)
        edit.commit(edit.body, program=program, unsafe=unsafe)
        return
    if prepacked:
        hint = "leave prepacked= out"
        raise edit.error(f"{buffer.name!r} is made by the kernel, not passed to it", hint)
    box = needed_box(edit.program, buffer, alloc.body).extent
    layout = _layout(edit, buffer, index_map, pad, (buffer.shape, box), unsafe=unsafe)
    edit.commit(swap(edit.body, alloc, replace(alloc, layout=layout)), unsafe=unsafe)


def _packed_argument(
    edit: Edit, buffer: Buffer, index_map: IndexMap, pad: PadArg, *, prepacked: bool
) -> Program:
    (param,) = [param for param in edit.program.params if param.buffer is buffer]
    if param.role is not Role.IN:
        hint = "cache_write makes a copy whose layout is free"
        raise edit.error(f"{buffer.name!r} is a result of the kernel, row-major by contract", hint)
    if not prepacked:
        raise edit.error(
            f"{buffer.name!r} is an argument, row-major by contract",
            "pass prepacked=True, or cache_read it and transform the copy",
        )
    layout = _layout(edit, buffer, index_map, pad, (buffer.shape,), unsafe=False)
    params = tuple(replace(p, layout=layout) if p is param else p for p in edit.program.params)
    return replace(edit.program, params=params)


def _layout(
    edit: Edit,
    buffer: Buffer,
    index_map: IndexMap,
    pad: PadArg,
    boxes: tuple[tuple[Expr, ...], ...],
    *,
    unsafe: bool,
) -> Layout:
    """The layout, after checking that it keeps the elements of one of *boxes* apart."""
    if not index_map.outputs:
        raise edit.error("the index map has no outputs", "write 'i, k -> i // 6, k, i % 6'")
    found: tuple[Expr, ...] | None = None
    answer: str | None = None
    for box in boxes:
        answer = clash(edit.program, index_map, box)
        if answer is None:
            found = box
            break
    if found is None and not unsafe:
        raise edit.error(f"{answer} under '{index_map}'", "an index map must be one-to-one")
    shape = image(index_map, found or boxes[-1])
    if shape is None:
        raise edit.error(
            f"the storage of {buffer.name!r} under '{index_map}' has no known size",
            "use sums, and divisions and remainders by constants, of the indices",
        )
    if pad is None:
        return Layout(index_map.inputs, index_map.outputs)
    amounts = pad if isinstance(pad, tuple) else (*(0,) * (len(shape) - 1), pad)
    if len(amounts) != len(shape):
        raise edit.error(f"pad has {len(amounts)} numbers for {len(shape)} storage dimensions")
    padded = tuple(add(extent, more) for extent, more in zip(shape, amounts, strict=True))
    return Layout(index_map.inputs, index_map.outputs, padded)
