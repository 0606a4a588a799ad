"""The program that packs an argument: copies it from row-major order to the layout of a parameter.

for io, k, ii in vectors: P[io, k, ii] = A[16 io + ii, k]     zero where there is no such element

A layout of whole indices, their quotients and remainders is walked in the order of its storage,
in vectors. Any other is filled with zeros, and then A is copied element by element.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tdsl.errors import InternalError
from tdsl.ir.build import add, ceildiv, conjunction, const, index, lt, mul
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Const, Expr, Load, Var
from tdsl.ir.stmt import For, If, Layout, LoopKind, Param, Program, Role, Seq, Stmt, Store
from tdsl.ir.visit import free_vars, substitute
from tdsl.lower.apply_layouts import apply_layouts
from tdsl.target import Target

_Body: TypeAlias = Callable[[tuple[Expr, ...]], Stmt]
_TURN = 16  # side of the squares that are transposed in registers


def physical_params(program: Program, target: Target) -> tuple[Param, ...]:
    """The parameters as they are passed: those with a layout have the shape of their storage."""
    bare = Program(program.name, program.params, program.sizes, program.assume, Seq(()))
    return apply_layouts(bare, target).params


def packing_program(program: Program, param: Param, target: Target) -> Program:
    """A program of one input, the argument as declared, and one output, the argument packed."""
    assert param.layout is not None
    number = program.params.index(param)
    storage = physical_params(program, target)[number].buffer
    source = param.buffer
    packed = Buffer(f"{source.name}.packed", source.dtype, storage.shape)
    panels = _panels(param.layout)
    if panels is None:
        body = _element_by_element(param.layout, source, packed)
    else:
        lanes = target.lanes(source.dtype.bits)
        body = _walk(param.layout, panels, source, packed, lanes)
    params = (Param(source, Role.IN), Param(packed, Role.OUT))
    name = f"{program.name}_pack_{source.name}".replace(".", "_")
    named = {v for param in params for extent in param.buffer.shape for v in free_vars(extent)}
    return Program(name, params, tuple(v for v in program.sizes if v in named), (), body)


def _element_by_element(layout: Layout, source: Buffer, packed: Buffer) -> Stmt:
    zero = const(0, source.dtype)
    fill = _nest(packed.shape, lambda at: Store(packed, at, zero))

    def copy(at: tuple[Expr, ...]) -> Stmt:
        inside = dict(zip(layout.inputs, at, strict=True))
        where = tuple(substitute(output, inside) for output in layout.outputs)
        return Store(packed, where, Load(source, at))

    return Seq((fill, _nest(source.shape, copy)))


def _nest(shape: Sequence[Expr], body: _Body) -> Stmt:
    """Loops over a shape, the outermost parallel."""
    variables = tuple(Var(f"i{axis}") for axis in range(len(shape)))
    s = body(variables)
    for axis in range(len(shape) - 1, -1, -1):
        kind = LoopKind.SERIAL if axis else LoopKind.PARALLEL
        s = For(variables[axis], shape[axis], s, kind)
    return s


def _panels(layout: Layout) -> dict[Var, int] | None:
    """The width that each index is cut into, 1 for those that stay whole; None: another form."""
    if layout.shape is not None:
        return None
    seen: dict[Var, list[tuple[BinaryOp | None, int]]] = {v: [] for v in layout.inputs}
    for output in layout.outputs:
        match output:
            case Var() if output in seen:
                seen[output].append((None, 1))
            case Binary(op=op, a=Var() as v, b=Const(value=c)) if v in seen and op in _CUTS:
                seen[v].append((op, int(c)))
            case _:
                return None
    widths: dict[Var, int] = {}
    for v, parts in seen.items():
        width = parts[0][1] if parts else 0
        whole = parts == [(None, 1)]
        if not whole and (len(parts) != 2 or set(parts) != {(op, width) for op in _CUTS}):
            return None
        widths[v] = width
    return widths


_CUTS = (BinaryOp.FLOORDIV, BinaryOp.FLOORMOD)


def _walk(
    layout: Layout, panels: dict[Var, int], source: Buffer, packed: Buffer, lanes: int
) -> Stmt:
    """Loops over the storage, in its order but for the innermost, which go along vectors."""
    extents = dict(zip(layout.inputs, source.shape, strict=True))
    loops = [_loop(out, n) for out, n in zip(layout.outputs, packed.shape, strict=True)]
    stored: list[Expr] = [loop.var for loop in loops]
    there: list[Expr] = []  # where the loops stay inside the storage
    last, dense = len(loops) - 1, layout.inputs[-1]
    width = loops[last].extent
    if isinstance(width, Const) and width.value and width.value % lanes == 0:
        turned = [n for n, loop in enumerate(loops[:last]) if loop.of is dense and loop.inner]
        steps, lane = loops[last].cut(lanes, LoopKind.VECTORIZED)
        stored[last] = add(mul(steps.var, lanes), lane.var)
        loops[last:] = [steps, lane]
        if turned and loops[last + 1].of is not dense:
            (at,) = turned
            outer, inner = loops[at].cut(_TURN, LoopKind.UNROLLED)
            stored[at] = add(mul(outer.var, _TURN), inner.var)
            there.append(lt(stored[at], loops[at].extent))
            del loops[at]
            loops[-1:] = [outer, inner, loops[-1]]
    index_of: dict[Var, Expr] = {v: index(0) for v in layout.inputs}
    for output, place in zip(layout.outputs, stored, strict=True):
        loop = _loop(output, index(0))
        scale = panels[loop.of] if not loop.inner else 1
        index_of[loop.of] = add(index_of[loop.of], mul(place, scale))
    known = [lt(index_of[v], extents[v]) for v, c in panels.items() if c > 1]
    mask = conjunction(known) if known else None
    s: Stmt = Store(packed, tuple(stored), Load(source, tuple(index_of.values()), mask))
    s = If(conjunction(there), s) if there else s
    for number, loop in reversed(list(enumerate(loops))):
        outermost = not number and loop.kind is LoopKind.SERIAL
        s = For(loop.var, loop.extent, s, LoopKind.PARALLEL if outermost else loop.kind)
    return s


@dataclasses.dataclass(frozen=True, slots=True)
class _Loop:
    """A loop over an index, or over its quotients, or (`inner`, as whole indices) remainders."""

    var: Var
    extent: Expr
    of: Var
    inner: bool
    kind: LoopKind = LoopKind.SERIAL

    def cut(self, width: int, kind: LoopKind) -> tuple[_Loop, _Loop]:
        """A loop over pieces of a width, and one of that kind over a piece."""
        outer = _Loop(Var(f"{self.var.name}o"), ceildiv(self.extent, width), self.of, inner=True)
        return outer, _Loop(Var(f"{self.var.name}i"), index(width), self.of, True, kind)


def _loop(output: Expr, extent: Expr) -> _Loop:
    match output:
        case Binary(op=BinaryOp.FLOORDIV, a=Var() as v):
            return _Loop(Var(f"{v.name}_panel"), extent, v, inner=False)
        case Binary(a=Var() as v) | (Var() as v):
            return _Loop(Var(v.name), extent, v, inner=True)
        case _:
            raise InternalError(f"no loop over {output}")
