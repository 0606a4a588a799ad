"""`td.update`: scatter, histogram and in-place steps, as a new tensor."""

from __future__ import annotations

from typing import Literal

from tdsl.errors import DeclarationError, TypeMismatch, caller_span
from tdsl.ir.build import const
from tdsl.ir.expr import BinaryOp, Buffer, Expr, Load, Var
from tdsl.ir.stmt import Block, BlockKind, IterKind, IterVar, Reducer, Seq, Write
from tdsl.ir.visit import loads, substitute
from tdsl.lang.bounds import check_declaration
from tdsl.lang.compute import GROUP, check_axes, combined, nest_of
from tdsl.lang.in_place import InPlace, change_in_place, check_old_values
from tdsl.lang.reduce import Reduction
from tdsl.lang.tensor import Axis, Stage, Tensor, as_index, fresh_name
from tdsl.lang.value import Value, as_expr, binary

Op = Literal["add", "mul", "min", "max", "set"]
_OPS = {"add": BinaryOp.ADD, "mul": BinaryOp.MUL, "min": BinaryOp.MIN, "max": BinaryOp.MAX}


def update(
    base: Tensor,
    over: Axis | tuple[Axis, ...],
    at: object,
    value: object,
    op: Op = "add",
    name: str | None = None,
) -> Tensor:
    """A copy of `base` changed at `at`, once for each point of the axes `over`, in their order.

    Args:
        base: the tensor that is changed; of an `inout` placeholder, or an update of one, the
            caller's own array is.
        over: reduction axes; updates run in lexicographic order.
        at: index (or tuple of indices) written; may depend on data, then it is checked.
        value: an expression, or a function of `cur`, where `cur[...]` reads what is written so far
            (`base[...]` is the old value; in place, only of the element that is written).
        op: how the value meets the element; add, mul, min and max may be reordered by schedules.

    >>> from tdsl.lang.tensor import placeholder, reduce_axis
    >>> X = placeholder((100,), "int32", name="X")
    >>> bins = placeholder((8,), "int32", name="bins")
    >>> r = reduce_axis(100, name="r")
    >>> update(bins, over=r, at=X[r], value=1, op="add", name="hist")
    <tensor hist: int32[8]>

    Raises:
        DeclarationError: wrong number of indices, an unknown op, a scan that is open, an old value
            that an update in place may have overwritten.
        TypeMismatch: a value of another dtype.
    """
    if GROUP.get() is not None:
        raise DeclarationError("td.update inside a scan's step is not supported", hint="use states")
    if op != "set" and op not in _OPS:
        raise DeclarationError(f"unknown op {op!r}", hint="one of add, mul, min, max, set")
    axes = over if isinstance(over, tuple) else (over,)
    if not axes or not all(isinstance(a, Axis) for a in axes):
        raise TypeMismatch(
            f"over= takes one reduction axis or a tuple of them, got {over!r}",
            hint="r = td.reduce_axis(N, name='r')",
        )
    stage = Stage(fresh_name(name), caller_span())
    in_place = base.stage.inout
    target = Buffer(
        base.name if in_place else stage.name, base.dtype, base.buffer.shape, False, stage
    )
    indices = _indices(base, at)
    source = _value(value, Tensor(target), base)
    if in_place:
        check_old_values(
            base, stage.name, indices, (source, *indices), frozenset(a.var for a in axes)
        )
    itself = {target, base.version} if in_place else {target}
    block = _block(stage, target, itself, axes, indices, source, op)
    check_declaration(block)
    nests = [nest_of(block)]
    if not in_place:
        nests.insert(0, nest_of(_base_copy(stage, base.version, target)))
    stage.nest = nests[0] if len(nests) == 1 else Seq(tuple(nests))
    if in_place:
        change_in_place(base, stage)
        return InPlace(base.buffer, target, stage)
    stage.buffers = (target,)
    return Tensor(target)


def _indices(base: Tensor, at: object) -> tuple[Expr, ...]:
    given = at if isinstance(at, tuple) else (at,)
    if len(given) != base.ndim:
        raise DeclarationError(
            f"at= has {len(given)} indices but {base.name} has {base.ndim} dimensions"
        )
    shape = base.buffer.shape
    return tuple(as_index(i, n, base.name) for i, n in zip(given, shape, strict=True))


def _value(value: object, current: Tensor, base: Tensor) -> Expr:
    result = value(current) if callable(value) else value
    e = as_expr(result, None if isinstance(result, Value) else base.dtype)
    if isinstance(e, Reduction):
        raise DeclarationError("the value of an update is a reduction", hint="td.compute it first")
    if e.dtype is not base.dtype:
        raise TypeMismatch(
            f"update of {base.name} ({base.dtype}) with a {e.dtype}",
            hint=f"td.cast(value, {base.dtype.name!r})",
        )
    return e


def _block(
    stage: Stage, target: Buffer, itself: set[Buffer], axes: tuple[Axis, ...],
    indices: tuple[Expr, ...], source: Expr, op: Op,
) -> Block:  # fmt: skip
    check_axes(stage.name, [*indices, source], None, {a.var for a in axes})
    reads_itself = any(load.buffer in itself for e in (source, *indices) for load in loads(e))
    free = op != "set" and not reads_itself
    kind = IterKind.REDUCE if free else IterKind.ORDERED
    iters = tuple(IterVar(Var(a.name), a.extent, kind) for a in axes)
    renaming = {a.var: it.var for a, it in zip(axes, iters, strict=True)}
    at = tuple(substitute(i, renaming) for i in indices)
    value = substitute(source, renaming)
    reducer = None if op == "set" else _reducer(op, target)
    if reducer is None:
        return Block(
            stage.name, iters, (Write(target, at, value),), BlockKind.UPDATE, span=stage.span
        )
    (result,) = combined(reducer, [Load(target, at)], [value])
    writes = (Write(target, at, result),)
    return Block(
        stage.name, iters, writes, BlockKind.UPDATE, None, None, reducer if free else None,
        (value,) if free else (), stage.span,
    )  # fmt: skip


def _reducer(op: Op, target: Buffer) -> Reducer:
    dtype = target.dtype
    left, right = Var("left0", dtype), Var("right0", dtype)
    names = {"add": "sum", "mul": "prod", "min": "min", "max": "max"}
    identity = {"add": 0, "mul": 1, "min": dtype.max, "max": dtype.min}[op]
    combine = binary(_OPS[op], Value(left), Value(right)).expr
    return Reducer(names[op], (const(identity, dtype),), (left,), (right,), (combine,))


def _base_copy(stage: Stage, source: Buffer, target: Buffer) -> Block:
    iters = tuple(IterVar(Var(f"b{n}"), e) for n, e in enumerate(target.shape))
    at = tuple(it.var for it in iters)
    write = Write(target, at, Load(source, at))
    return Block(f"{stage.name}.base", iters, (write,), BlockKind.COPY, span=stage.span)
