"""Whether a reducer may take its operands in any order: decided by trying values.

Named reducers are known. A reducer of the user's own is evaluated on samples: fixed ones, and what
lies around the constants that it compares with. Only one that agrees with itself on all of them,
up to rounding, may be reordered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Cast,
    Const,
    Expr,
    Fma,
    Math,
    MathFn,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.stmt import Reducer
from tdsl.ir.visit import walk

_KNOWN = ("sum", "prod", "min", "max", "any", "all", "argmax", "argmin")
_SAMPLES = (-2.5, -1.0, 0.0, 0.75, 3.0)
_AROUND = (-2.0, -1.0, 0.0, 1.0, 2.0)  # two on each side, which differ
_MANY = 32  # values of a component
_MIXED = 24  # points of several components, beyond one for each value
_TOLERANCE = 1e-6

_BINARY: dict[BinaryOp, Callable[[float, float], float]] = {
    BinaryOp.ADD: lambda a, b: a + b,
    BinaryOp.SUB: lambda a, b: a - b,
    BinaryOp.MUL: lambda a, b: a * b,
    BinaryOp.TRUEDIV: lambda a, b: a / b if b else math.nan,
    BinaryOp.FLOORDIV: lambda a, b: a // b if b else 0,
    BinaryOp.FLOORMOD: lambda a, b: a % b if b else 0,
    BinaryOp.MIN: min,
    BinaryOp.MAX: max,
    BinaryOp.AND: lambda a, b: int(a) & int(b),
    BinaryOp.OR: lambda a, b: int(a) | int(b),
    BinaryOp.XOR: lambda a, b: int(a) ^ int(b),
    BinaryOp.LT: lambda a, b: a < b,
    BinaryOp.LE: lambda a, b: a <= b,
    BinaryOp.GT: lambda a, b: a > b,
    BinaryOp.GE: lambda a, b: a >= b,
    BinaryOp.EQ: lambda a, b: a == b,
    BinaryOp.NE: lambda a, b: a != b,
}
_UNARY: dict[UnaryOp, Callable[[float], float]] = {
    UnaryOp.NEG: lambda a: -a,
    UnaryOp.NOT: lambda a: not a,
    UnaryOp.ABS: abs,
    UnaryOp.SQRT: lambda a: math.sqrt(a) if a >= 0 else math.nan,
    UnaryOp.ISNAN: math.isnan,
}
_MATH: dict[MathFn, Callable[[float], float]] = {
    MathFn.EXP: math.exp,
    MathFn.EXP2: lambda a: 2.0**a,
    MathFn.LOG: lambda a: math.log(a) if a > 0 else math.nan,
    MathFn.TANH: math.tanh,
}


@lru_cache(maxsize=64)
def commutes(reducer: Reducer) -> bool:
    """Whether swapping operands is harmless up to rounding (False: it is not, or unknown)."""
    if reducer.name in _KNOWN:
        return True
    points = _points(reducer)
    try:
        return all(
            _close(_apply(reducer, one, two), _apply(reducer, two, one))
            for one, two in product(points, points)
        )
    except (KeyError, OverflowError):
        return False


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A partial result that is `made` into another one by the identity; `itself`: by itself."""

    part: tuple[float, ...]
    made: tuple[float, ...]
    itself: bool


@lru_cache(maxsize=64)
def disturbed_by_identity(reducer: Reducer) -> Disturbed | None:
    """A partial result, the identity first, that changes when the identity is combined to it.

    None: there is none among those that were tried, or an operation is not sampled.
    """
    try:
        identity = tuple(_value(e, {}) for e in reducer.identity)
        parts = (tuple(_apply(reducer, identity, point)) for point in _points(reducer))
        for part in (identity, *parts):
            made = tuple(_apply(reducer, part, identity))
            if not _close(made, part):
                return Disturbed(part, made, part is identity)
    except (KeyError, OverflowError):
        pass
    return None


def _points(reducer: Reducer) -> list[tuple[float, ...]]:
    """Operands to try: every sample in every component, and mixtures of them."""
    values = _values(reducer)
    parts = [values if v.dtype.is_float else sorted(map(int, values)) for v in reducer.left]
    found = [
        tuple(part[(s + n) % len(part)] for n, part in enumerate(parts)) for s in range(len(values))
    ]
    if len(parts) > 1:
        found += [
            tuple(part[(m * m * (n + 1) + m * n) % len(part)] for n, part in enumerate(parts))
            for m in range(1, _MIXED + 1)
        ]
    return found


def _values(reducer: Reducer) -> list[float]:
    constants = [
        float(n.value)
        for e in reducer.combine
        for n in walk(e)
        if isinstance(n, Const) and math.isfinite(n.value)
    ]
    around = [sign * c + d for c in constants for sign in (1, -1) for d in _AROUND]
    return list(dict.fromkeys((*_SAMPLES, *around)))[:_MANY]


def _apply(reducer: Reducer, left: tuple[float, ...], right: tuple[float, ...]) -> list[float]:
    env = dict(zip(reducer.left, left, strict=True)) | dict(zip(reducer.right, right, strict=True))
    return [_value(e, env) for e in reducer.combine]


def _close(one: Sequence[float], two: Sequence[float]) -> bool:
    return all(
        (math.isnan(a) and math.isnan(b))
        or math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        for a, b in zip(one, two, strict=True)
    )


def _value(e: Expr, env: Mapping[Var, float]) -> float:
    """The value of a combination; KeyError for an operation that is not sampled."""
    match e:
        case Const(value=value):
            return value
        case Var():
            return env[e]
        case Binary(op, a, b):
            return _BINARY[op](_value(a, env), _value(b, env))
        case Unary(op, a):
            return _UNARY[op](_value(a, env))
        case Fma(a, b, c):
            return _value(a, env) * _value(b, env) + _value(c, env)
        case Select(cond, a, b):
            return _value(a if _value(cond, env) else b, env)
        case Cast(a, dtype):
            value = _value(a, env)
            return value if dtype.is_float else int(value)
        case Math(fn, (a,)):
            return _MATH[fn](_value(a, env))
        case _:
            raise KeyError(type(e).__name__)
