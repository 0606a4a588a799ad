"""How far results may lie from the exact value, in units in the last place of the result."""

from __future__ import annotations

from typing import Final

from tdsl.dtypes import DType, bfloat16, float16, float32, float64
from tdsl.ir.expr import MathFn

# measured: every float32 (functions of one argument), dense samples otherwise; rounded up
_MEASURED: dict[MathFn, tuple[float, float]] = {
    MathFn.EXP: (1.0, 1.0),
    MathFn.EXP2: (1.0, 1.0),
    MathFn.EXPM1: (1.5, 1.5),
    MathFn.LOG: (1.0, 1.0),
    MathFn.LOG2: (1.2, 1.2),
    MathFn.LOG10: (1.0, 1.0),
    MathFn.LOG1P: (1.5, 1.5),
    MathFn.SIN: (1.5, 1.5),
    MathFn.COS: (1.5, 1.5),
    MathFn.TAN: (4.0, 4.0),
    MathFn.ASIN: (4.0, 4.0),
    MathFn.ACOS: (2.0, 2.0),
    MathFn.ATAN: (2.0, 2.0),
    MathFn.ATAN2: (2.0, 2.0),
    MathFn.SINH: (2.0, 2.0),
    MathFn.COSH: (2.0, 2.0),
    MathFn.TANH: (2.0, 2.0),
    MathFn.ERF: (2.0, 2.0),
    MathFn.SIGMOID: (2.0, 2.0),
    MathFn.RSQRT: (0.6, 0.6),
    MathFn.POW: (2.0, 2.0),
    MathFn.FMOD: (0.0, 0.0),
}

# a float32 result within one unit is rounded once more to a far coarser type
_ROUNDED_AGAIN = {float16: 0.501, bfloat16: 0.501}


def _bounds() -> dict[tuple[MathFn, DType], float]:
    table: dict[tuple[MathFn, DType], float] = {}
    for fn, (single, double) in _MEASURED.items():
        table[fn, float32], table[fn, float64] = single, double
        for dtype, bound in _ROUNDED_AGAIN.items():
            table[fn, dtype] = bound if single else 0.0
    return table


BOUNDS: Final = _bounds()
