"""How far results may lie from the exact value, in units in the last place of the result."""

from __future__ import annotations

from typing import Final

from tdsl.dtypes import DType, float32, float64
from tdsl.ir.expr import MathFn

# (float32, float64), measured and rounded up. float32 functions of one argument: at every number
# where they vary; float64 and two arguments: at random ones, so the bound has not been proven
# (tests/lower/test_maths_exhaustive.py, test_maths.py)
_MEASURED: dict[MathFn, tuple[float, float]] = {
    MathFn.EXP: (0.9, 0.9),
    MathFn.EXP2: (0.9, 0.9),
    MathFn.EXPM1: (1.3, 1.6),
    MathFn.LOG: (0.95, 0.9),
    MathFn.LOG2: (0.8, 0.8),
    MathFn.LOG10: (0.7, 0.7),
    MathFn.LOG1P: (1.0, 1.0),
    MathFn.SIN: (1.6, 1.6),
    MathFn.COS: (1.6, 1.6),
    MathFn.TAN: (3.7, 3.7),
    MathFn.ASIN: (2.2, 2.3),
    MathFn.ACOS: (1.3, 1.3),
    MathFn.ATAN: (1.5, 1.6),
    MathFn.ATAN2: (1.7, 1.7),
    MathFn.SINH: (1.5, 1.9),
    MathFn.COSH: (1.3, 1.3),
    MathFn.TANH: (1.4, 1.5),
    MathFn.ERF: (1.8, 1.8),
    MathFn.SIGMOID: (1.7, 1.8),
    MathFn.RSQRT: (0.51, 0.51),
    MathFn.POW: (1.0, 1.0),
    MathFn.FMOD: (0.0, 0.0),
}

# a float32 result within one unit is rounded once more to a far coarser type
_ROUNDED_AGAIN: Final = 0.501


def bound(fn: MathFn, dtype: DType) -> float:
    """The largest error of a function of a float type.

    >>> bound(MathFn.EXP, float32)
    0.9
    """
    single, double = _MEASURED[fn]
    if dtype is float64:
        return double
    if dtype is float32 or not single:
        return single
    return _ROUNDED_AGAIN
