"""align: rows of a tensor start at multiples of some number of elements."""

from __future__ import annotations

from dataclasses import replace

from tdsl.analysis.regions import needed_box
from tdsl.ir.build import ceildiv, mul
from tdsl.ir.expr import Expr
from tdsl.scheduling.arguments import DimArg, FactorArg, TensorArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.index_map import IndexMap
from tdsl.scheduling.layouts import image
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.rings import plain_layout
from tdsl.scheduling.tree import swap


@primitive
def align(
    edit: Edit, tensor: TensorArg, multiple: FactorArg, dim: DimArg = None, unsafe: bool = False
) -> None:
    """Round a dimension of a tensor's storage up to a multiple, so that what follows is aligned.

    Rows whose length is no multiple of a vector start anywhere in a cache line; padded ones do
    not. A few elements more than a power of two keep columns out of one set of the cache.

    Args:
        tensor: one that the kernel makes.
        multiple: of elements.
        dim: the dimension of the storage; None: the last. Negative ones count from the end.
        unsafe: skip the proof.

    >>> import tdsl as td
    >>> A = td.placeholder((50, 30), "float32", name="A")
    >>> B = td.compute((50, 30), lambda i, j: A[i, j] + 1.0, name="B")
    >>> C = td.compute((30, 50), lambda i, j: B[j, i] * 2.0, name="C")
    >>> s = td.Schedule(td.func("turn", [A], [C]))
    >>> s.align("B", 16)
    >>> print(s.trace)
    s = td.Schedule(turn)
    s.align("B", 16)

    Raises:
        ScheduleError: the tensor is an argument or a result, or has no such dimension.
    """
    buffer = edit.core.buffer(tensor, edit.primitive)
    alloc = edit.index.allocs.get(buffer)
    if alloc is None:
        raise edit.error(
            f"{buffer.name!r} is an argument or a result, row-major by contract",
            "cache_read or cache_write makes a copy that can be aligned",
        )
    layout = alloc.layout or plain_layout(buffer)
    shape = layout.shape or image(
        IndexMap(layout.inputs, layout.outputs), needed_box(edit.program, buffer, alloc.body).extent
    )
    if not shape:
        what = "is a single element" if shape == () else "has storage of no known size"
        raise edit.error(f"{buffer.name!r} {what}", "align a tensor with dimensions")
    place = len(shape) - 1 if dim is None else dim + len(shape) if dim < 0 else dim
    if not 0 <= place < len(shape):
        raise edit.error(
            f"dimension {dim} of storage with {len(shape)} dimensions", f"0 to {len(shape) - 1}"
        )
    rounded: Expr = mul(ceildiv(shape[place], multiple), multiple)
    new = (*shape[:place], rounded, *shape[place + 1 :])
    changed = replace(alloc, layout=replace(layout, shape=new))
    edit.commit(swap(edit.body, alloc, changed), unsafe=unsafe)
