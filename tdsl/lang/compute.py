"""`td.compute`: one expression per element, or one reduction per element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeAlias, overload

from tdsl.errors import DeclarationError, TypeMismatch, caller_span
from tdsl.ir.expr import Buffer, Expr, Load, Node, Var
from tdsl.ir.stmt import Block, BlockKind, For, IterKind, IterVar, Leaf, Reducer, Seq, Stmt, Write
from tdsl.ir.visit import substitute, transform, walk
from tdsl.lang.bounds import check_declaration
from tdsl.lang.reduce import ReduceCall, Reduction
from tdsl.lang.tensor import ScanAxis, Stage, Tensor, as_shape, fresh_name, parameter_names
from tdsl.lang.value import SizeVar, Value, as_expr


@dataclass(slots=True)
class Group:
    """The scan being declared: computes made inside its step join its ordered loop."""

    axis: ScanAxis
    loop: Var
    stage: Stage
    nests: list[Stmt] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)


Element: TypeAlias = Value | Tensor | float
GROUP: ContextVar[Group | None] = ContextVar("tdsl_scan_group", default=None)


@overload
def compute(shape: object, fn: Callable[..., Element], name: str | None = None) -> Tensor: ...


@overload
def compute(
    shape: object, fn: Callable[..., tuple[Element, ...]], name: str | None = None
) -> tuple[Tensor, ...]: ...


def compute(
    shape: object, fn: Callable[..., object], name: str | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Declare a tensor by its element at each index.

    `fn` gets one index value per dimension and returns an expression, a reduction, or a tuple of
    either (several tensors `name.0`, `name.1` of one shape, and one block `name`). A reduction
    inside a larger expression becomes a tensor of its own, `name.sum` say.

    >>> from tdsl.lang.tensor import placeholder
    >>> A = placeholder((4,), "float32", name="A")
    >>> compute((4,), lambda i: A[i] * 2.0, name="B")
    <tensor B: float32[4]>

    Raises:
        DeclarationError: a bad shape, an index that always leaves its tensor, a stray axis.
        TypeMismatch: dtypes that do not fit.
    """
    if not callable(fn):
        raise TypeMismatch(
            f"td.compute takes a function of the indices, got {fn!r}",
            hint="td.compute((M, N), lambda i, j: A[i, j] + 1.0, name='B')",
        )
    label = fresh_name(name)
    extents = as_shape(shape)
    group = GROUP.get()
    iters = [
        IterVar(Var(n), e) for n, e in zip(parameter_names(fn, len(extents)), extents, strict=True)
    ]
    result = fn(*(Value(it.var) for it in iters))
    several = isinstance(result, (tuple, list))
    parts = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    exprs = [_element(part) for part in parts]
    if not exprs:
        raise DeclarationError(f"compute {label} returned an empty tuple")
    stage = group.stage if group else Stage(label, caller_span())
    tensors = declare(label, iters, exprs, stage, several=several)
    return tensors if several else tensors[0]


def _element(result: object) -> Expr:
    if isinstance(result, Tensor) and result.ndim:
        raise DeclarationError(
            f"the function returned the whole tensor {result.name}",
            hint=f"return one element of it: {result.name}[...]",
        )
    if result is None:
        raise DeclarationError("the function returned None", hint="return an expression")
    return as_expr(result)


def declare(
    label: str, iters: list[IterVar], exprs: list[Expr], stage: Stage, *, several: bool,
    buffers: Sequence[Buffer] | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Add the block(s) for `exprs` over `iters` to the stage (or to the open scan group).

    `buffers`, where given, are what the expressions are written to (scan states).
    """
    group = GROUP.get()
    lead = [IterVar(group.axis.var, group.axis.extent, IterKind.ORDERED)] if group else []
    lead_loops = (group.loop,) if group else ()
    prefix = tuple(it.var for it in lead)
    nests: list[Stmt] = []
    made: list[Buffer] = []
    lifted = _lift_reductions(label, iters, lead, exprs, stage, nests, made)
    call = lifted[0].call if isinstance(lifted[0], Reduction) else None
    names = [f"{label}.{n}" for n in range(len(exprs))] if several else [label]
    shape = tuple(it.extent for it in (*lead, *iters))
    if buffers is None:
        buffers = [
            Buffer(n, e.dtype, shape, False, stage) for n, e in zip(names, lifted, strict=True)
        ]
    block, hidden = make_block(label, [*lead, *iters], list(buffers), lifted, call, stage)
    made += [*buffers, *hidden]
    nests.append(nest_of(block, lead_loops))
    check_declaration(block)
    if group:
        group.nests += nests
        group.buffers += made
    else:
        stage.nest = nests[0] if len(nests) == 1 else Seq(tuple(nests))
        stage.buffers = tuple(made)
    return tuple(Tensor(b, prefix) for b in buffers)


def _lift_reductions(
    label: str, iters: list[IterVar], lead: list[IterVar], exprs: list[Expr], stage: Stage,
    nests: list[Stmt], made: list[Buffer],
) -> list[Expr]:  # fmt: skip
    """Leave a block of pure reductions alone; else give each reduction inside its own block."""
    tops = [e.call for e in exprs if isinstance(e, Reduction)]
    if len(tops) == len(exprs) and all(call is tops[0] for call in tops):
        return exprs
    group = GROUP.get()
    lead_loops = (group.loop,) if group else ()
    outer = [*lead, *iters]
    shape = tuple(it.extent for it in outer)
    at = tuple(it.var for it in outer)
    seen: dict[int, list[Buffer]] = {}

    def lift(n: Node) -> Node:
        if not isinstance(n, Reduction):
            return n
        key = id(n.call)
        if key not in seen:
            inner = f"{label}.{n.call.reducer.name}" + (f".{len(seen)}" if seen else "")
            count = len(n.call.sources)
            seen[key] = [
                Buffer(inner if count == 1 else f"{inner}.{c}", v.dtype, shape, False, stage)
                for c, v in enumerate(n.call.reducer.left)
            ]
            parts: list[Expr] = [Reduction(n.call, c) for c in range(count)]
            block, _ = make_block(inner, outer, seen[key], parts, n.call, stage)
            check_declaration(block)
            nests.append(nest_of(block, lead_loops))
            made.extend(seen[key])
        return Load(seen[key][n.component], at)

    return [_as_expr_node(transform(e, lift)) for e in exprs]


def _as_expr_node(n: Node) -> Expr:
    assert isinstance(n, Expr)
    return n


def make_block(
    name: str, iters: list[IterVar], buffers: list[Buffer], exprs: list[Expr],
    call: ReduceCall | None, stage: Stage,
) -> tuple[Block, list[Buffer]]:  # fmt: skip
    """One block with fresh iteration variables; the hidden buffers a reduction needs besides."""
    axes = list(call.axes) if call else []
    old = [it.var for it in iters] + [a.var for a in axes]
    check_axes(name, exprs, call, set(old))
    fresh = [IterVar(Var(it.var.name), it.extent, it.kind) for it in iters]
    fresh += [IterVar(Var(a.name), a.extent, IterKind.REDUCE) for a in axes]
    renaming = {v: it.var for v, it in zip(old, fresh, strict=True)}
    data = tuple(it.var for it in fresh[: len(iters)])
    if call is None:
        writes = tuple(
            Write(b, data, substitute(e, renaming)) for b, e in zip(buffers, exprs, strict=True)
        )
        return Block(name, tuple(fresh), writes, span=stage.span), []
    targets, hidden = _component_buffers(buffers, exprs, call, stage)
    sources = tuple(substitute(s, renaming) for s in call.sources)
    current = tuple(Load(b, data) for b in targets)
    values = combined(call.reducer, current, sources)
    writes = tuple(Write(b, data, v) for b, v in zip(targets, values, strict=True))
    where = None if call.where is None else substitute(call.where, renaming)
    init = init_block(name, fresh[: len(iters)], targets, call.reducer, stage)
    block = Block(
        name, tuple(fresh), writes, BlockKind.REDUCE, where, init, call.reducer, sources, stage.span
    )
    return block, hidden


def _component_buffers(
    buffers: list[Buffer], exprs: list[Expr], call: ReduceCall, stage: Stage
) -> tuple[list[Buffer], list[Buffer]]:
    """The buffer of each component; components that nobody asked for get a hidden one."""
    targets: list[Buffer | None] = [None] * len(call.sources)
    for buffer, e in zip(buffers, exprs, strict=True):
        assert isinstance(e, Reduction)
        if targets[e.component] is not None:
            raise DeclarationError(f"{buffer.name} returns one value of its reduction twice")
        targets[e.component] = buffer
    hidden = []
    for n, target in enumerate(targets):
        if target is None:
            name = f"{buffers[0].name}.value{n}"
            targets[n] = Buffer(name, call.sources[n].dtype, buffers[0].shape, False, stage)
            hidden.append(targets[n])
    return [t for t in targets if t is not None], [h for h in hidden if h is not None]


def combined(
    reducer: Reducer, current: Sequence[Expr], sources: Sequence[Expr]
) -> tuple[Expr, ...]:
    """What the reducer makes of the accumulators and the new values."""
    values = dict(zip(reducer.left, current, strict=True))
    values.update(zip(reducer.right, sources, strict=True))
    return tuple(substitute(e, values) for e in reducer.combine)


def init_block(
    name: str, iters: Sequence[IterVar], targets: Sequence[Buffer], reducer: Reducer, stage: Stage
) -> Block:
    """The block that sets reduced elements to the identity, with variables of its own."""
    fresh = tuple(IterVar(Var(it.var.name), it.extent, it.kind) for it in iters)
    at = tuple(it.var for it in fresh)
    writes = tuple(Write(b, at, e) for b, e in zip(targets, reducer.identity, strict=True))
    return Block(f"{name}.init", fresh, writes, BlockKind.INIT, span=stage.span)


def check_axes(name: str, exprs: Sequence[Expr], call: ReduceCall | None, known: set[Var]) -> None:
    """Refuse variables that no iteration variable of the block stands for."""
    used: list[Expr] = list(exprs)
    if call:
        used += [*call.sources, *([call.where] if call.where is not None else [])]
    for e in used:
        for n in walk(e):
            if isinstance(n, Var) and n not in known and not isinstance(n, SizeVar):
                raise DeclarationError(
                    f"{name} uses the axis {n.name!r} outside of its reduction or scan",
                    hint="reduce over it with td.sum(..., axis=...), or index with another value",
                )


def nest_of(block: Block, lead: Sequence[Var] = ()) -> Stmt:
    """Serial loops over the block's iteration variables; `lead` are loops that stand outside."""
    loops = [*lead, *(Var(it.var.name) for it in block.iters[len(lead) :])]
    body: Stmt = Leaf(block, tuple(loops))
    inner = list(zip(loops, block.iters, strict=True))[len(lead) :]
    for var, it in reversed(inner):
        body = For(var, it.extent, body, span=block.span)
    return body
