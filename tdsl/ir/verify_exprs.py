"""What makes an expression well formed: visible names, dtypes and lanes that agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import assert_never, cast

from tdsl import dtypes
from tdsl.ir import interp_values as values
from tdsl.ir.build import const
from tdsl.ir.expr import (
    AnyExpr,
    Binary,
    Bitcast,
    Broadcast,
    Buffer,
    Cast,
    Checked,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Math,
    Ramp,
    Select,
    Shuffle,
    Unary,
    Var,
)
from tdsl.ir.visit import children

Problems = Iterator[str]


class ExprVerifier:
    """Checks expressions once each: shared subtrees are entered once for each scope."""

    def __init__(
        self,
        visible: Callable[[Var], bool],
        declared: Callable[[Buffer], bool],
        flat: bool,
        vectors: bool,
    ) -> None:
        self.visible = visible
        self.declared = declared
        self.flat = flat
        self.vectors = vectors
        self.checked: dict[int, Expr] = {}

    def problems(self, e: Expr) -> Problems:
        """What is wrong with *e* and everything below it."""
        stack = [e]
        while stack:
            top = stack.pop()
            if id(top) in self.checked:
                continue
            self.checked[id(top)] = top
            yield from self._node(cast("AnyExpr", top))
            stack += [n for n in children(top) if isinstance(n, Expr)]

    def index(self, e: Expr, what: str) -> Problems:
        """Problems of a scalar index expression."""
        yield from self.problems(e)
        if e.dtype is not dtypes.INDEX or e.lanes != 1:
            yield f"{what} is {_type(e)}, not a scalar int64"

    def condition(self, e: Expr, what: str) -> Problems:
        """Problems of a scalar condition."""
        yield from self.problems(e)
        if not e.dtype.is_bool or e.lanes != 1:
            yield f"{what} is {_type(e)}, not a scalar bool"

    def access(
        self, buffer: Buffer, indices: Sequence[Expr], mask: Expr | None, lanes: int
    ) -> Problems:
        """Problems of an access (its expressions are checked elsewhere)."""
        if not self.declared(buffer):
            yield f"buffer {buffer.name!r} is not allocated here"
        flat = self.flat and len(indices) == 1
        if len(indices) != buffer.rank and not flat:
            yield f"{buffer.name} has rank {buffer.rank} and {len(indices)} indices"
        for e in indices:
            if e.dtype is not dtypes.INDEX or e.lanes not in (1, lanes):
                yield f"an index of {buffer.name} is {_type(e)} in an access of {lanes} lanes"
        if mask is not None and (not mask.dtype.is_bool or mask.lanes not in (1, lanes)):
            yield f"the mask of {buffer.name} is {_type(mask)} in an access of {lanes} lanes"
        if mask is not None and not self.vectors:
            yield f"an access of {buffer.name} has a mask before lowering"

    def _node(self, e: AnyExpr) -> Problems:
        match e:
            case Var():
                if not self.visible(e):
                    yield f"variable {e.name!r} is not bound here"
            case Const():
                yield from _constant(e)
            case Binary(op, a, b):
                yield from _alike(op.value, (a, b))
                if values.binary(op, a.dtype) is None:
                    yield f"{op.value} is not defined for {a.dtype}"
            case Unary(op, a):
                if values.unary(op, a.dtype) is None:
                    yield f"{op.value} is not defined for {a.dtype}"
            case Fma(a, b, c):
                yield from _alike("fma", (a, b, c))
                if not a.dtype.is_float:
                    yield f"fma is not defined for {a.dtype}"
            case Select(cond, a, b):
                yield from _alike("select", (a, b))
                if not cond.dtype.is_bool or cond.lanes not in (1, a.lanes):
                    yield f"the condition of a select of {_type(a)} is {_type(cond)}"
            case Bitcast(a, dtype):
                if a.dtype.bits != dtype.bits:
                    yield f"bitcast of {a.dtype} to {dtype}: the widths differ"
            case Math(fn, args):
                yield from _alike(fn.value, args)
                if not all(arg.dtype.is_float for arg in args):
                    yield f"{fn.value} is not defined for {args[0].dtype}"
            case Checked(index, extent):
                yield from _alike("checked", (index, extent), scalars=True)
            case Load(buffer, indices, mask):
                yield from self.access(buffer, indices, mask, e.lanes)
            case Ramp() | Broadcast() | Shuffle():
                yield from self._vector(e)
            case Cast() | Extern():
                pass
            case _:
                assert_never(e)

    def _vector(self, e: Ramp | Broadcast | Shuffle) -> Problems:
        if not self.vectors:
            yield f"{type(e).__name__.lower()} before lowering"
        match e:
            case Ramp(base, stride, count):
                yield from _alike("ramp", (base, stride))
                if base.lanes != 1 or not base.dtype.is_integer or count < 1:
                    yield f"ramp of {_type(base)} with {count} lanes"
            case Broadcast(a, count):
                if a.lanes != 1 or count < 1:
                    yield f"broadcast of {_type(a)} to {count} lanes"
            case Shuffle(vectors, picks):
                total = sum(v.lanes for v in vectors)
                if len({v.dtype for v in vectors}) != 1:
                    yield "shuffle of vectors of several dtypes"
                if not all(0 <= pick < total for pick in picks):
                    yield f"shuffle picks {max(picks)} out of {total} lanes"


def _type(e: Expr) -> str:
    return str(e.dtype) if e.lanes == 1 else f"{e.dtype} x {e.lanes}"


def _alike(what: str, operands: Sequence[Expr], *, scalars: bool = False) -> Problems:
    kinds = {(e.dtype, 1 if scalars and e.lanes == 1 else e.lanes) for e in operands}
    if scalars:
        kinds = {(dtype, 1) for dtype, _ in kinds}
    if len(kinds) > 1:
        yield f"{what} of {' and '.join(_type(e) for e in operands)}"


def _constant(e: Const) -> Problems:
    value, dtype = e.value, e.type
    if dtype.is_float:
        if const(float(value), dtype) != Const(float(value), dtype):
            yield f"literal {value!r} is not rounded to {dtype}"
    elif dtype.is_bool != isinstance(value, bool):
        yield f"literal {value!r} of {dtype}"
    elif not isinstance(value, int) or not dtype.min <= value <= dtype.max:
        yield f"literal {value!r} is no value of {dtype}"
