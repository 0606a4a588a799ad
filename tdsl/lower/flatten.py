"""Flatten storage: ``A[i, j]`` -> ``A[i * N + j]``, one element index into row-major memory.

Parameters declared with strides="any" use variables for their strides, which code generation reads
from the arguments: ``A[i, j]`` -> ``A[i * A.stride0 + j * A.stride1]``. Where a vector runs along
the innermost stride, there are two versions: one for arguments that are dense there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias, cast

from tdsl.ir.build import compare, conjunction, index, product
from tdsl.ir.expr import BinaryOp, Buffer, Expr, Load, Node, Ramp, Var
from tdsl.ir.stmt import If, Param, Prefetch, Program, Stmt, Store
from tdsl.ir.visit import free_vars, map_children, walk
from tdsl.lower.bodies import with_indices
from tdsl.lower.copies import fresh_copy
from tdsl.lower.lanes import binary, widen
from tdsl.target import Target

_Strides: TypeAlias = dict[Buffer, tuple[Expr, ...]]


def flatten_storage(program: Program, target: Target) -> Program:
    """Give every access one index; from here on a buffer is a run of elements."""
    del target
    params = tuple(_with_strides(param) for param in program.params)
    strides: _Strides = {param.buffer: param.strides for param in params if param.strides}
    body = _flatten(program.body, strides)
    inner = {steps[-1] for steps in strides.values()}
    if inner and any(isinstance(n, Ramp) and free_vars(n.stride) & inner for n in walk(body)):
        body = _with_dense_version(program.body, body, strides)
    return Program(program.name, params, program.sizes, program.assume, body)


def _with_dense_version(nested: Stmt, body: Stmt, strides: _Strides) -> Stmt:
    """Arguments whose innermost stride is 1 are the rule: their vectors are dense, not gathered."""
    inner = sorted({cast("Var", steps[-1]) for steps in strides.values()}, key=lambda v: v.name)
    cond = conjunction([compare(BinaryOp.EQ, var, 1) for var in inner])
    dense: _Strides = {buffer: (*steps[:-1], index(1)) for buffer, steps in strides.items()}
    return If(cond, _flatten(fresh_copy(nested), dense), body)


def _flatten(body: Stmt, strides: _Strides) -> Stmt:
    flat: dict[int, Node] = {}
    steps = dict(strides)

    def visit(n: Node) -> Node:
        found = flat.get(id(n))
        if found is not None:
            return found
        new = map_children(n, visit)
        if isinstance(new, Load | Store | Prefetch):
            flat_index = _flat(new, steps)
            new = with_indices(new, (widen(flat_index, _lanes(new, flat_index)),))
        flat[id(n)] = new
        return new

    return cast("Stmt", visit(body))


def _lanes(access: Load | Store | Prefetch, flat_index: Expr) -> int:
    """The lanes of an access, which may all be at one element, each under a mask of its own."""
    match access:
        case Load(mask=Expr() as mask):
            return max(flat_index.lanes, mask.lanes)
        case Store(value=value, mask=mask):
            return max(flat_index.lanes, value.lanes, 1 if mask is None else mask.lanes)
        case _:
            return flat_index.lanes


def _with_strides(param: Param) -> Param:
    buffer = param.buffer
    if not buffer.strided:
        return param
    variables = tuple(Var(f"{buffer.name}.stride{axis}") for axis in range(buffer.rank))
    return replace(param, strides=variables)


def row_major(shape: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """The strides of contiguous storage, in elements."""
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def _flat(access: Load | Store | Prefetch, strides: _Strides) -> Expr:
    buffer = access.buffer
    if len(access.indices) != buffer.rank:
        return access.indices[0]  # flat already
    steps = strides.get(buffer)
    if steps is None:
        steps = strides[buffer] = row_major(buffer.shape)
    total: Expr = index(0)
    for position, step in zip(access.indices, steps, strict=True):
        total = binary(BinaryOp.ADD, total, binary(BinaryOp.MUL, position, step))
    return total
