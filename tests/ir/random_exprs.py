"""Random well-typed expressions, for round trips and simplification."""

import random

from tdsl import dtypes
from tdsl.dtypes import ALL, DType
from tdsl.ir import build, interp_values as values
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Bitcast,
    Buffer,
    Cast,
    Checked,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Math,
    MathFn,
    Select,
    Unary,
    UnaryOp,
    Var,
)

ARITHMETIC = [op for op in BinaryOp if not op.compares]
COMPARISONS = [op for op in BinaryOp if op.compares]


class Exprs:
    """Draws expressions over variables and buffers."""

    def __init__(self, rng: random.Random, variables: list[Var], buffers: list[Buffer]) -> None:
        self.rng = rng
        self.variables = variables
        self.buffers = buffers

    def literal(self, dtype: DType) -> Const:
        if dtype.is_float:
            value = self.rng.choice([0.0, -0.0, 1.0, 0.1, -2.5, 1e30, float("inf"), float("nan")])
            return build.const(value, dtype)
        if dtype.is_bool:
            return Const(self.rng.random() < 0.5, dtype)
        picks = [0, 1, 2, 3, 7, -1, -4, dtype.max, dtype.min]
        return build.const(int(self.rng.choice(picks)), dtype)

    def expr(self, dtype: DType, depth: int = 4) -> Expr:
        rng = self.rng
        leaves = [self.literal(dtype)]
        leaves += [v for v in self.variables if v.type is dtype] * 2
        loads = [b for b in self.buffers if b.type is dtype]
        if depth <= 0 or rng.random() < 0.15:
            return rng.choice(leaves)
        kind = rng.randrange(9)
        if kind == 0 and loads:
            return self.load(rng.choice(loads), depth)
        if kind == 1:
            return Cast(self.expr(rng.choice(ALL), depth - 1), dtype)
        if kind == 2:
            return Select(
                self.expr(dtypes.bool_, depth - 1),
                self.expr(dtype, depth - 1),
                self.expr(dtype, depth - 1),
            )
        if kind == 3:
            ops = [op for op in UnaryOp if values.unary(op, dtype) is not None]
            ops = [op for op in ops if op not in (UnaryOp.ISNAN, UnaryOp.ISINF)]
            if ops:
                return Unary(rng.choice(ops), self.expr(dtype, depth - 1))
        if kind == 4:
            return self.rare(dtype, depth)
        if dtype.is_bool and rng.random() < 0.6:
            other = rng.choice(ALL)
            a, b = self.expr(other, depth - 1), self.expr(other, depth - 1)
            return Binary(rng.choice(COMPARISONS), a, b)
        ops = [op for op in ARITHMETIC if values.binary(op, dtype) is not None]
        return Binary(rng.choice(ops), self.expr(dtype, depth - 1), self.expr(dtype, depth - 1))

    def rare(self, dtype: DType, depth: int) -> Expr:
        rng = self.rng
        if dtype.is_float:
            if rng.random() < 0.5:
                parts = [self.expr(dtype, depth - 1) for _ in range(3)]
                return Fma(*parts)
            fn = rng.choice([MathFn.EXP, MathFn.TANH, MathFn.POW])
            count = 2 if fn is MathFn.POW else 1
            return Math(fn, tuple(self.expr(dtype, depth - 1) for _ in range(count)))
        if dtype.is_bool:
            return Unary(rng.choice([UnaryOp.ISNAN, UnaryOp.ISINF]), self.expr(dtypes.float32))
        if dtype is dtypes.INDEX and rng.random() < 0.5:
            return Checked(self.expr(dtype, depth - 1), build.index(5), rng.randrange(3))
        if rng.random() < 0.3:
            return Extern("weird name", (self.expr(dtypes.float32, depth - 1),), dtype)
        same = [t for t in ALL if t.bits == dtype.bits]
        return Bitcast(self.expr(rng.choice(same), depth - 1), dtype)

    def load(self, buffer: Buffer, depth: int) -> Load:
        return Load(buffer, tuple(self.expr(dtypes.INDEX, min(2, depth - 1)) for _ in buffer.shape))

    def index(self, depth: int = 4) -> Expr:
        """Index arithmetic as schedules make it: no loads, small literals."""
        rng = self.rng
        if depth <= 0 or rng.random() < 0.1:
            return rng.choice([build.index(rng.randint(-5, 20)), *self.variables * 2])
        op = rng.choice(
            [BinaryOp.ADD, BinaryOp.ADD, BinaryOp.MUL, BinaryOp.SUB, BinaryOp.FLOORDIV,
             BinaryOp.FLOORMOD, BinaryOp.MIN, BinaryOp.MAX]
        )  # fmt: skip
        a = self.index(depth - 1)
        if op in (BinaryOp.MUL, BinaryOp.FLOORDIV, BinaryOp.FLOORMOD):
            return Binary(op, a, build.index(rng.choice([1, 2, 3, 4, 8])))
        if rng.random() < 0.1:
            return Select(self.condition(depth - 1), a, self.index(depth - 1))
        return Binary(op, a, self.index(depth - 1))

    def condition(self, depth: int = 3) -> Expr:
        rng = self.rng
        if depth > 0 and rng.random() < 0.4:
            if rng.random() < 0.3:
                return Unary(UnaryOp.NOT, self.condition(depth - 1))
            op = rng.choice([BinaryOp.AND, BinaryOp.OR])
            return Binary(op, self.condition(depth - 1), self.condition(depth - 1))
        op = rng.choice(COMPARISONS)
        return Binary(op, self.index(depth), self.index(depth))
