"""The program that packs an argument: copies it from row-major order to the layout of a parameter.

for i, k: P[layout(i, k)] = A[i, k]        after P was set to zero where the layout pads
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tdsl.ir.build import const
from tdsl.ir.expr import Buffer, Expr, Load, Var
from tdsl.ir.stmt import For, LoopKind, Param, Program, Role, Seq, Stmt, Store
from tdsl.ir.visit import substitute
from tdsl.lower.apply_layouts import apply_layouts
from tdsl.target import Target

_Body: TypeAlias = Callable[[tuple[Expr, ...]], Stmt]


def physical_params(program: Program, target: Target) -> tuple[Param, ...]:
    """The parameters as they are passed: those with a layout have the shape of their storage."""
    bare = Program(program.name, program.params, program.sizes, program.assume, Seq(()))
    return apply_layouts(bare, target).params


def packing_program(program: Program, param: Param, target: Target) -> Program:
    """A program of one input, the argument as declared, and one output, the argument packed."""
    assert param.layout is not None
    number = program.params.index(param)
    storage = physical_params(program, target)[number].buffer
    source = dataclasses.replace(param.buffer, strided=False)
    packed = Buffer(f"{source.name}.packed", source.dtype, storage.shape)
    zero = const(0, source.dtype)
    fill = _nest(packed.shape, lambda at: Store(packed, at, zero))

    def copy(at: tuple[Expr, ...]) -> Stmt:
        assert param.layout is not None
        inside = dict(zip(param.layout.inputs, at, strict=True))
        where = tuple(substitute(output, inside) for output in param.layout.outputs)
        return Store(packed, where, Load(source, at))

    params = (Param(source, Role.IN), Param(packed, Role.OUT))
    name = f"{program.name}_pack_{source.name}".replace(".", "_")
    body = Seq((fill, _nest(source.shape, copy)))
    return Program(name, params, program.sizes, (), body)


def _nest(shape: Sequence[Expr], body: _Body) -> Stmt:
    """Loops over a shape, the outermost parallel."""
    variables = tuple(Var(f"i{axis}") for axis in range(len(shape)))
    s = body(variables)
    for axis in range(len(shape) - 1, -1, -1):
        kind = LoopKind.SERIAL if axis else LoopKind.PARALLEL
        s = For(variables[axis], shape[axis], s, kind)
    return s
