"""Associative recurrences: `S[t] = S[t - 1] op x[t]`, cut into blocks that do not wait.

::

    S.sum[b]   = x[b * B] op ... op x[b * B + B - 1]
    S.carry[b] = init if b == 0 else S.carry[b - 1] op S.sum[b - 1]
    S[t]       = (S.carry[t // B] if t % B == 0 else S[t - 1]) op x[t]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tdsl.dtypes import DType
from tdsl.ir.build import add, ceildiv, compare, const, floordiv, floormod, index, mul
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Expr, Fma, Load, Select, Var
from tdsl.ir.stmt import Block, BlockKind, IterKind, IterVar, Reducer, Write
from tdsl.ir.visit import loads, substitute
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.rewriting import fresh_name

_OPS: dict[BinaryOp, tuple[str, Callable[[DType], float]]] = {
    BinaryOp.ADD: ("sum", lambda _: 0),
    BinaryOp.MUL: ("prod", lambda _: 1),
    BinaryOp.MIN: ("min", lambda dtype: dtype.max),
    BinaryOp.MAX: ("max", lambda dtype: dtype.min),
    BinaryOp.AND: ("all", lambda _: True),
    BinaryOp.OR: ("any", lambda _: False),
}


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a scan's block computes.

    Attributes:
        block: the block; `time` is its ordered iteration variable, `data` are the others.
        op: how the step before and `source` combine.
        before: the step before, as the block says it: `init` at time 0, else a load of itself.
        source: what each step adds; it does not read the scan.
    """

    block: Block
    time: IterVar
    data: tuple[IterVar, ...]
    op: BinaryOp
    before: Select
    source: Expr

    def combine(self, left: Expr, source: Expr) -> Expr:
        """`left op source`, rounded once where the block's own step is."""
        if isinstance(source, Binary) and isinstance(self.block.writes[0].value, Fma):
            return Fma(source.a, source.b, left)
        return Binary(self.op, left, source)

    @property
    def buffer(self) -> Buffer:
        """The tensor of the states after each step."""
        return self.block.writes[0].buffer


def recurrence_of(edit: Edit, block: Block) -> Recurrence:
    """The recurrence that a scan's block is.

    Raises:
        ScheduleError: no scan, several states that wait for each other, or not associative.
    """
    ordered = [it for it in block.iters if it.kind is IterKind.ORDERED]
    if len(ordered) != 1 or len(block.writes) != 1 or block.kind is not BlockKind.COMPUTE:
        raise edit.error(f"{block.name!r} is no scan", "give the loop of a td.scan")
    time, buffer = ordered[0], block.writes[0].buffer
    for op, before, source in _steps(block.writes[0].value):
        plain = op not in (BinaryOp.AND, BinaryOp.OR) or buffer.dtype.is_bool
        added = all(load.buffer is not buffer for load in loads(source))
        if plain and added and isinstance(before, Select) and _is_before(before, time.var, block):
            data = tuple(it for it in block.iters if it is not time)
            return Recurrence(block, time, data, op, before, source)
    raise edit.error(
        f"{block.name!r} is not a sum, product, min, max, all or any of the steps so far",
        "only h[t] = h[t - 1] op x[t] with an associative op falls into blocks",
    )


def _steps(value: Expr) -> tuple[tuple[BinaryOp, Expr, Expr], ...]:
    """What may be an operation, the state before it, and what it adds."""
    match value:
        case Binary(op=op, a=a, b=b) if op in _OPS:
            return (op, a, b), (op, b, a)
        case Fma(a=a, b=b, c=c):
            return ((BinaryOp.ADD, c, Binary(BinaryOp.MUL, a, b)),)
        case _:
            return ()


def _is_before(before: Expr, time: Var, block: Block) -> bool:
    """Whether an expression is the state of the step before: `init if t == 0 else S[t - 1]`."""
    (write,) = block.writes
    match before:
        case Select(cond=cond, a=init, b=Load(buffer=buffer, indices=at)):
            last = tuple(add(i, index(-1)) if i is time else i for i in write.indices)
            first = Binary(BinaryOp.EQ, time, index(0))
            reads = {load.buffer for load in loads(init)}
            return (cond, buffer, at) == (first, write.buffer, last) and buffer not in reads
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Blocks:
    """A scan in blocks: the block totals, what each block starts from, and the scan itself."""

    total: Block
    carry: Block
    scan: Block


def in_blocks(edit: Edit, found: Recurrence, size: int) -> Blocks:
    """The blocks that a recurrence becomes when every *size* steps start afresh."""
    total = _total(edit, found, size)
    carry = _carry(edit, found, total, size)
    return Blocks(total, carry, _scan(found, carry, size))


def _copies(its: tuple[IterVar, ...]) -> tuple[tuple[IterVar, ...], dict[Var, Expr]]:
    fresh = tuple(IterVar(Var(it.var.name), it.extent) for it in its)
    return fresh, {old.var: new.var for old, new in zip(its, fresh, strict=True)}


def _total(edit: Edit, found: Recurrence, size: int) -> Block:
    """The total of each block that is whole."""
    name = fresh_name(edit, f"{found.block.name}.sum")
    dtype = found.buffer.dtype
    label, identity = _OPS[found.op]
    start = const(identity(dtype), dtype)
    left, right = Var("left0", dtype), Var("right0", dtype)
    reducer = Reducer(label, (start,), (left,), (right,), (Binary(found.op, left, right),))
    count = floordiv(found.time.extent, size)
    block_no = IterVar(Var("b"), count)
    step = IterVar(Var("r"), index(size), IterKind.REDUCE)
    data, renamed = _copies(found.data)
    renamed[found.time.var] = add(mul(block_no.var, size), step.var)
    source = substitute(found.source, renamed)
    buffer = Buffer(name, dtype, (count, *(it.extent for it in data)))
    at = (block_no.var, *(it.var for it in data))
    write = Write(buffer, at, found.combine(Load(buffer, at), source))
    fresh, values = _copies((block_no, *data))
    cleared = Write(buffer, tuple(values[v] for v in at), start)
    init = Block(f"{name}.init", fresh, (cleared,), BlockKind.INIT)
    return Block(
        name, (block_no, *data, step), (write,), BlockKind.REDUCE, None, init, reducer, (source,),
        found.block.span,
    )  # fmt: skip


def _carry(edit: Edit, found: Recurrence, total: Block, size: int) -> Block:
    """What each block starts from: everything before it."""
    name = fresh_name(edit, f"{found.block.name}.carry")
    count = ceildiv(found.time.extent, size)
    block_no = IterVar(Var("b"), count, IterKind.ORDERED)
    data, renamed = _copies(found.data)
    buffer = Buffer(name, found.buffer.dtype, (count, *(it.extent for it in data)))
    rest = tuple(it.var for it in data)
    last = add(block_no.var, index(-1))
    whole = Binary(
        found.op, Load(buffer, (last, *rest)), Load(total.writes[0].buffer, (last, *rest))
    )
    first = compare(BinaryOp.EQ, block_no.var, 0)
    value = Select(first, substitute(found.before.a, renamed), whole)
    write = Write(buffer, (block_no.var, *rest), value)
    return Block(name, (block_no, *data), (write,), BlockKind.COMPUTE, span=found.block.span)


def _scan(found: Recurrence, carry: Block, size: int) -> Block:
    """The scan, which takes what its block starts from at the block's first step."""
    time = found.time.var
    block = found.block
    (write,) = block.writes
    at = tuple(floordiv(i, size) if i is time else i for i in write.indices)
    first = compare(BinaryOp.EQ, floormod(time, size), 0)
    before = Select(first, Load(carry.writes[0].buffer, at), found.before.b)
    value = found.combine(before, found.source)
    return replace(block, writes=(Write(write.buffer, write.indices, value),))
