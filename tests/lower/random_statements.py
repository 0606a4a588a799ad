"""Random lowered statements: loops, conditions, masked stores, accumulators, temporaries."""

from __future__ import annotations

import random

import numpy as np

from tdsl.dtypes import as_dtype
from tdsl.ir.build import (
    add,
    compare,
    const,
    floordiv,
    floormod,
    index,
    logical_and,
    lt,
    maximum,
    minimum,
    mul,
    sub,
)
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Expr, Load, Select, Unary, UnaryOp, Var
from tdsl.ir.stmt import Alloc, For, If, LoopKind, Param, Program, Role, Scope, Seq, Stmt, Store

INT = as_dtype("int64")
ROOM = 40  # elements of the result: no index below reaches further
COMPARISONS = (BinaryOp.LT, BinaryOp.LE, BinaryOp.GT, BinaryOp.GE, BinaryOp.EQ, BinaryOp.NE)


class Statements:
    """Draws programs over a size N: x is read below N only, y takes results."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.N = Var("N")
        self.x = Buffer("x", INT, (self.N,))
        self.y = Buffer("y", INT, (index(ROOM),))
        self.count = 0

    def program(self) -> Program:
        """A program of a few nests."""
        body = Seq(tuple(self.nest() for _ in range(self.rng.randint(1, 2))))
        params = (Param(self.x, Role.IN), Param(self.y, Role.INOUT))
        return Program("f", params, (self.N,), (), body)

    def nest(self) -> Stmt:
        """Two or three loops; the outer one walks N or a few tiles of it."""
        outer = self.var("i")
        extent = self.rng.choice(
            [self.N, self.N, index(5), sub(self.N, 1), floordiv(add(self.N, 2), 3)]
        )
        return For(outer, extent, self.body([outer], 2))

    def var(self, name: str) -> Var:
        self.count += 1
        return Var(f"{name}{self.count}")

    def body(self, loops: list[Var], depth: int) -> Stmt:
        rng = self.rng
        match (
            rng.choice(["for", "for", "if", "if else", "two", "alloc", "sum", "store"])
            if depth
            else "store"
        ):
            case "for":
                inner = self.var("j")
                kind = rng.choice([LoopKind.SERIAL, LoopKind.SERIAL, LoopKind.UNROLLED])
                extents = [index(rng.randint(1, 4))]
                if kind is LoopKind.SERIAL:
                    extents += [minimum(3, sub(self.N, loops[0])), maximum(sub(loops[0], 2), 0)]
                    extents += [add(loops[0], 1)] if len(loops) == 1 else []
                extent = rng.choice(extents)
                return For(inner, extent, self.body([*loops, inner], depth - 1), kind)
            case "if":
                return If(self.cond(loops), self.body(loops, depth - 1))
            case "if else":
                return If(
                    self.cond(loops), self.body(loops, depth - 1), self.body(loops, depth - 1)
                )
            case "two":
                return Seq((self.body(loops, depth - 1), self.body(loops, depth - 1)))
            case "alloc":
                return self.temporary(loops, depth)
            case "sum":
                return self.sum(loops)
            case _:
                return self.store(self.y, self.place(loops), loops)

    def sum(self, loops: list[Var]) -> Stmt:
        """An element that a loop adds to, or takes the greatest of, now and then only."""
        rng, k = self.rng, self.var("k")
        place = (self.place(loops),)
        op = rng.choice([BinaryOp.ADD, BinaryOp.MAX])
        update: Stmt = Store(
            self.y, place, Binary(op, Load(self.y, place), self.value([*loops, k]))
        )
        if rng.random() < 0.4:
            update = If(self.cond([*loops, k]), update)
        loop = For(k, rng.choice([self.N, index(3), sub(self.N, loops[0])]), update)
        return Seq((Store(self.y, place, const(1, INT)), loop)) if rng.random() < 0.5 else loop

    def temporary(self, loops: list[Var], depth: int) -> Stmt:
        """A private row that is written as a whole, then read."""
        t = Buffer(f"t{self.count}", INT, (index(4),))
        k = self.var("k")
        fill = For(k, index(4), Store(t, (k,), self.value([*loops, k])))
        use = Store(self.y, (self.place(loops),), Load(t, (floormod(loops[-1], 4),)))
        return Alloc(t, Seq((fill, use, self.body(loops, depth - 1))), Scope.STACK)

    def store(self, buffer: Buffer, place: Expr, loops: list[Var]) -> Stmt:
        mask = self.cond(loops) if self.rng.random() < 0.25 else None
        value = self.value(loops)
        if self.rng.random() < 0.4:
            value = Binary(BinaryOp.ADD, Load(buffer, (place,)), value)
        return Store(buffer, (place,), value, mask)

    def place(self, loops: list[Var]) -> Expr:
        """An element of the result; often one that an inner loop does not change."""
        rng = self.rng
        form: Expr = mul(loops[0], rng.choice([1, 3]))
        for v in loops[1:]:
            if rng.random() < 0.6:
                form = add(form, v)
        return minimum(add(form, rng.randint(0, 3)), ROOM - 1) if rng.random() < 0.2 else form

    def cond(self, loops: list[Var]) -> Expr:
        rng = self.rng
        roll = rng.random()
        if roll < 0.12:
            return logical_and(self.cond(loops), self.cond(loops))
        if roll < 0.2:
            return Binary(BinaryOp.OR, self.cond(loops), self.cond(loops))
        if roll < 0.28:
            return Unary(UnaryOp.NOT, self.cond(loops))
        left = rng.choice(
            [*loops, add(loops[0], loops[-1]), mul(loops[-1], 2), floormod(loops[0], 3)]
        )
        right = rng.choice([self.N, sub(self.N, 1), index(rng.randint(-1, 6)), floordiv(self.N, 2)])
        return Binary(rng.choice(COMPARISONS), left, right)

    def value(self, loops: list[Var]) -> Expr:
        rng = self.rng
        match rng.choice(["load", "load", "number", "select", "extremum", "index"]):
            case "load":
                return self.load(loops)
            case "select":
                return Select(self.cond(loops), self.value(loops), self.value(loops))
            case "extremum":
                pick = rng.choice([minimum, maximum])
                return pick(
                    add(loops[-1], rng.randint(-2, 2)), rng.choice([loops[0], sub(self.N, 2)])
                )
            case "index":
                return add(mul(loops[0], 2), loops[-1])
            case _:
                return const(rng.randint(-5, 5), INT)

    def load(self, loops: list[Var]) -> Expr:
        """An element of x, where there is one."""
        at = add(self.rng.choice(loops), self.rng.randint(-1, 1))
        inside = logical_and(compare(BinaryOp.GE, at, 0), lt(at, self.N))
        if self.rng.random() < 0.5:
            return Load(self.x, (at,), inside)
        return Select(inside, Load(self.x, (at,)), const(7, INT))


def arguments(n: int) -> dict[str, np.ndarray]:
    """Different numbers everywhere."""
    return {"x": np.arange(n, dtype=np.int64) * 5 + 11, "y": np.arange(ROOM, dtype=np.int64) * 100}
