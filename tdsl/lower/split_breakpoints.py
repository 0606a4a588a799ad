"""Split loops where a minimum changes sides: ``min(i, 5)`` -> `i` in the first 5, `5` in the rest.

Balanced splits have parts of two sizes, written with minima of the outer variable; apart, each
range has a constant inner extent. Only minima in conditions count: in an index they cost nothing.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterator

from tdsl.ir.affine import linear
from tdsl.ir.build import add, lt, minimum, sub
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Node, Select
from tdsl.ir.stmt import For, If, LoopKind, Program, Seq, Stmt
from tdsl.ir.visit import map_children, substitute, walk
from tdsl.lower.bodies import with_body
from tdsl.lower.copies import fresh_copy
from tdsl.target import Target


def split_breakpoints(program: Program, target: Target) -> Program:
    """Give each side of the minima in conditions its own range, or its own branch."""
    del target
    return with_body(program, _visit(program.body))


def _visit(n: Node) -> Node:
    if not isinstance(n, Stmt):
        return n
    new = map_children(n, _visit)
    match new:
        case For(parts=()) if new.kind in (LoopKind.SERIAL, LoopKind.PARALLEL):
            point = _breakpoint(new)
            return new if point is None else _split(new, point)
        case _:
            return new


def _split(loop: For, point: int) -> Stmt:
    if loop.kind is LoopKind.PARALLEL:
        # One parallel region with a branch: two regions would wait for each other.
        both = If(lt(loop.var, point), loop.body, fresh_copy(loop.body))
        return dataclasses.replace(loop, body=both)
    end = minimum(loop.extent, point)
    first = dataclasses.replace(loop, extent=end)
    rest = fresh_copy(dataclasses.replace(loop, extent=sub(loop.extent, end)))
    assert isinstance(rest, For)
    shifted = _shifted(rest, point)
    return Seq((first, shifted))


def _shifted(loop: For, by: int) -> For:
    return dataclasses.replace(loop, body=substitute(loop.body, {loop.var: add(loop.var, by)}))


def _breakpoint(loop: For) -> int | None:
    """The value of the loop's variable that settles most minima in conditions below."""
    last = int(loop.extent.value) if isinstance(loop.extent, Const) else sys.maxsize
    found: Counter[int] = Counter()
    for cond in _conditions(loop.body):
        for n in walk(cond):
            if isinstance(n, Binary) and n.op in (BinaryOp.MIN, BinaryOp.MAX):
                found.update(p for p in _sides(n, loop) if 0 < p < last)
    if not found:
        return None
    most = max(found.values())
    return min(p for p, count in found.items() if count == most)


def _conditions(s: Stmt) -> Iterator[Expr]:
    for n in walk(s):
        if isinstance(n, If | Select):
            yield n.cond


def _sides(extremum: Binary, loop: For) -> tuple[int, ...]:
    """Where the loop may be split so that each range knows the lesser side.

    The sides are equal at one value of the variable: that may go with either range.
    """
    difference = linear(extremum.a) - linear(extremum.b)
    c = difference.coefficient(loop.var)
    if set(difference.terms) != {loop.var} or abs(c) != 1:
        return ()
    equal = -difference.const * c
    return equal, equal + 1
