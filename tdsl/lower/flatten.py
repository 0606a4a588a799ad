"""Flatten storage: ``A[i, j]`` -> ``A[i * N + j]``, one element index into row-major memory.

Parameters declared with strides="any" use variables for their strides, which code generation reads
from the arguments: ``A[i, j]`` -> ``A[i * A.stride0 + j * A.stride1]``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from tdsl.ir.build import index, product
from tdsl.ir.expr import BinaryOp, Buffer, Expr, Load, Node, Var
from tdsl.ir.stmt import Param, Prefetch, Program, Stmt, Store
from tdsl.ir.visit import map_children
from tdsl.lower.lanes import binary, widen
from tdsl.target import Target


def flatten_storage(program: Program, target: Target) -> Program:
    """Give every access one index; from here on a buffer is a run of elements."""
    del target
    params = tuple(_with_strides(param) for param in program.params)
    strides: dict[Buffer, tuple[Expr, ...]] = {
        param.buffer: param.strides for param in params if param.strides
    }
    flat: dict[int, Node] = {}

    def visit(n: Node) -> Node:
        found = flat.get(id(n))
        if found is not None:
            return found
        new = map_children(n, visit)
        if isinstance(new, Load | Store | Prefetch):
            flat_index = _flat(new, strides)
            if isinstance(new, Load) and new.mask is not None:
                flat_index = widen(flat_index, max(flat_index.lanes, new.mask.lanes))
            new = replace(new, indices=(flat_index,))
        flat[id(n)] = new
        return new

    body = cast("Stmt", visit(program.body))
    return Program(program.name, params, program.sizes, program.assume, body)


def _with_strides(param: Param) -> Param:
    buffer = param.buffer
    if not buffer.strided:
        return param
    variables = tuple(Var(f"{buffer.name}.stride{axis}") for axis in range(buffer.rank))
    return replace(param, strides=variables)


def row_major(shape: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """The strides of contiguous storage, in elements."""
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def _flat(access: Load | Store | Prefetch, strides: dict[Buffer, tuple[Expr, ...]]) -> Expr:
    buffer = access.buffer
    if len(access.indices) != buffer.rank:
        return access.indices[0]  # flat already
    steps = strides.get(buffer)
    if steps is None:
        steps = row_major(buffer.shape)
    total: Expr = index(0)
    for position, step in zip(access.indices, steps, strict=True):
        total = binary(BinaryOp.ADD, total, binary(BinaryOp.MUL, position, step))
    return total
