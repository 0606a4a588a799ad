"""Transpose in registers: n strided vectors side by side are n dense rows, transposed.

    x0 = A[ramp(b, S, 4)]          r0 = A[ramp(b, 1, 4)]   ...   r3 = A[ramp(b + 3 S, 1, 4)]
    ...                       ->   x0, x1, x2, x3 = transpose(r0, r1, r2, r3)
    x3 = A[ramp(b + 3, S, 4)]

The same for stores, also where each reads back what the one before it has stored. A strided vector
costs a cache line per lane; rows cost one each, and the transposition is shuffles in log2(n)
rounds. The elements touched are the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from tdsl.ir.affine import linear
from tdsl.ir.build import add, index, mul
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Buffer,
    Const,
    Expr,
    Load,
    Node,
    Ramp,
    Shuffle,
    Var,
)
from tdsl.ir.stmt import Let, Program, Seq, Stmt, Store
from tdsl.ir.visit import loads, map_children
from tdsl.lower.bodies import sequence, with_body
from tdsl.target import Target

_LEAST, _MOST = 4, 16  # lanes of a block; larger ones do not fit the registers
_NEAR = 4  # strides up to this are read as whole vectors anyway


def transpose_blocks(program: Program, target: Target) -> Program:
    """Turn blocks of strided accesses in straight-line code into rows and shuffles."""
    del target
    return with_body(program, _visit(program.body))


def _visit(n: Node) -> Node:
    if not isinstance(n, Stmt):
        return n
    new = map_children(n, _visit)
    return _blocks(new) if isinstance(new, Seq) else new


def _blocks(s: Seq) -> Stmt:
    """Rewrite each run of plain stores in a sequence."""
    parts: list[Stmt] = []
    run: list[Store] = []
    for child in s.body:
        if isinstance(child, Store) and not child.atomic:
            run.append(child)
        else:
            parts += [*_rewrite_run(run), child]
            run = []
    parts += _rewrite_run(run)
    if len(parts) == len(s.body):
        return s  # a run that is rewritten becomes one statement
    return sequence(parts)


@dataclasses.dataclass(frozen=True, slots=True)
class _Key:
    """What the vectors of one block share: all but the constant of their base."""

    buffer: Buffer
    base: Expr
    stride: Expr
    lanes: int


def _key(access: Load | Store) -> tuple[_Key, int] | None:
    """The block that a strided access may belong to, and its place in it."""
    match access.indices[0]:
        case Ramp(base, stride, lanes) if access.mask is None:
            small = isinstance(stride, Const) and abs(int(stride.value)) <= _NEAR
            power_of_two = lanes & (lanes - 1) == 0 and _LEAST <= lanes <= _MOST
            if small or not power_of_two:
                return None
            form = linear(base)
            return _Key(access.buffer, (form - form.const).expr(), stride, lanes), form.const
        case _:
            return None


def _whole_blocks(places: Iterable[tuple[_Key, int]]) -> list[tuple[_Key, int]]:
    """Blocks of `lanes` consecutive places: their keys and first places."""
    by_key: dict[_Key, set[int]] = {}
    for key, place in places:
        by_key.setdefault(key, set()).add(place)
    found = []
    for key, known in by_key.items():
        taken = -(1 << 62)
        for place in sorted(known):
            if place >= taken and all(place + k in known for k in range(key.lanes)):
                found.append((key, place))
                taken = place + key.lanes
    return found


def _rewrite_run(run: Sequence[Store]) -> list[Stmt]:
    if len(run) < _LEAST:
        return list(run)
    stored = {s.buffer for s in run}
    lets: list[tuple[Var, Expr]] = []
    vectors = _loaded_blocks(run, stored, lets)
    stores = [_with_vectors(s, vectors) for s in run] if vectors else list(run)
    named = list(lets)
    rows = _stored_blocks(_chained(stores, named), stored, named)
    if rows is not None:
        lets = named
    if not lets:
        return list(run)
    result: Stmt = sequence(rows or stores)
    for var, value in reversed(lets):
        result = Let(var, value, result)
    return [result]


def _loaded_blocks(
    run: Sequence[Store], stored: set[Buffer], lets: list[tuple[Var, Expr]]
) -> dict[tuple[_Key, int], Expr]:
    """Load the rows of each block that the run reads, and name their transposition."""
    places = [
        found
        for s in run
        for load in loads(s)
        if load.buffer not in stored and (found := _key(load)) is not None
    ]
    vectors: dict[tuple[_Key, int], Expr] = {}
    for key, first in _whole_blocks(places):
        name = _namer(f"{key.buffer.name}.row", lets)
        rows = [name(Load(key.buffer, (_row(key, first, lane),))) for lane in range(key.lanes)]
        for offset, vector in enumerate(_transpose(rows, name)):
            vectors[key, first + offset] = vector
    return vectors


def _row(key: _Key, first: int, lane: int) -> Expr:
    start = add(add(key.base, mul(key.stride, lane)), first)
    return Ramp(start, index(1), key.lanes)


def _with_vectors(s: Store, vectors: Mapping[tuple[_Key, int], Expr]) -> Store:
    def visit(n: Node) -> Node:
        new = map_children(n, visit)
        if isinstance(new, Load):
            found = _key(new)
            return vectors.get(found, new) if found is not None else new
        return new

    new = visit(s)
    assert isinstance(new, Store)
    return new


def _chained(run: Sequence[Store], lets: list[tuple[Var, Expr]]) -> list[Store]:
    """Name what a store reads back of the one before it, as the steps of a scan do."""
    made: list[Store] = []
    name = _namer("chained", lets)
    for s in run:
        before = made[-1] if made else None
        key = None if before is None else _key(before)
        if before is not None and key is not None and key in map(_key, loads(s)):
            value = name(before.value)
            made[-1] = dataclasses.replace(before, value=value)
            made.append(_with_vectors(s, {key: value}))
        else:
            made.append(s)
    return made


def _stored_blocks(
    run: Sequence[Store], stored: set[Buffer], lets: list[tuple[Var, Expr]]
) -> list[Stmt] | None:
    """Store rows in the place of each whole block of strided stores; None where there is none."""
    keys = [_key(s) for s in run]
    blocks = _whole_blocks(k for k in keys if k is not None)
    covered = {(key, first + k) for key, first in blocks for k in range(key.lanes)}
    at = {k: s for k, s in zip(keys, run, strict=True) if k in covered}
    others = [s.buffer for k, s in zip(keys, run, strict=True) if k is None or at.get(k) is not s]
    targets = [key.buffer for key, _ in {(key, None) for key, _ in blocks}]
    # all values are computed before the first is stored; the first may read what was there
    reads_own = any(load.buffer in stored for s in run[1:] for load in loads(s))
    if not blocks or reads_own or set(targets) & set(others) or len(set(targets)) < len(targets):
        return None  # elements may be stored twice: the order matters
    rows: list[Stmt] = []
    for key, first in blocks:
        columns = [at[key, first + k] for k in range(key.lanes)]
        order = _rows_in_order(key, [run.index(s) for s in columns])
        if order is None:
            return None
        name = _namer(f"{key.buffer.name}.column", lets)
        transposed = _transpose([name(s.value) for s in columns], name)
        rows += [
            dataclasses.replace(
                columns[0], indices=(_row(key, first, lane),), value=transposed[lane]
            )
            for lane in order
        ]
    return [*(s for k, s in zip(keys, run, strict=True) if k not in at), *rows]


def _rows_in_order(key: _Key, moments: Sequence[int]) -> Sequence[int] | None:
    """The rows of a block in an order that keeps what is stored last where columns overlap.

    `moments` tells when each column is stored. The element of a row in one column is that of a row
    behind it in an earlier column. None: no order of the rows keeps all of them.
    """
    rows = range(key.lanes)
    ascends = _ascends(key.stride)
    apart = isinstance(key.stride, Const) and abs(int(key.stride.value)) >= key.lanes
    first_to_last = apart or all(a < b for a, b in pairwise(moments))
    last_to_first = all(a > b for a, b in pairwise(moments))
    if ascends is None or not (first_to_last or last_to_first):
        return None
    return rows[::-1] if ascends is first_to_last else rows


def _ascends(stride: Expr) -> bool | None:
    """Whether a stride is positive, or None where that is not plain."""
    form = linear(stride)
    signs = {n > 0 for n in (*form.terms.values(), form.const) if n}
    if len(signs) != 1 or not all(_is_count(atom) for atom in form.terms):
        return None
    return signs.pop()


def _is_count(e: Expr) -> bool:
    """Whether a number is plainly not negative: sizes and loop variables never are."""
    match e:
        case Var():
            return True
        case Const(value=value):
            return value >= 0
        case Binary(op=BinaryOp.ADD | BinaryOp.MUL | BinaryOp.FLOORDIV, a=a, b=b):
            return _is_count(a) and _is_count(b)
        case _:
            return False


def _namer(stem: str, lets: list[tuple[Var, Expr]]) -> Callable[[Expr], Expr]:
    def name(e: Expr) -> Expr:
        var = Var(f"{stem}{len(lets)}", e.dtype, e.lanes)
        lets.append((var, e))
        return var

    return name


def _transpose(rows: list[Expr], name: Callable[[Expr], Expr]) -> list[Expr]:
    """Columns of a square block: rounds of exchanging halves between rows `half` apart."""
    n = len(rows)
    half = n // 2
    while half:
        low = tuple(k if k & half == 0 else n + (k - half) for k in range(n))
        high = tuple(k + half if k & half == 0 else n + k for k in range(n))
        new = list(rows)
        for k in range(n):
            if k & half == 0:
                pair = (rows[k], rows[k + half])
                new[k] = name(Shuffle(pair, low))
                new[k + half] = name(Shuffle(pair, high))
        rows = new
        half //= 2
    return rows
