"""What maths functions give: in double for the narrower types, by mpmath for float64."""

import math

import ml_dtypes
import numpy as np
from mpmath import mp, mpf
from scipy import special

from tdsl.ir.expr import MathFn

# more precise than float32 by far; C99's values at special arguments
IN_DOUBLE = {
    MathFn.EXP: np.exp,
    MathFn.EXP2: np.exp2,
    MathFn.EXPM1: np.expm1,
    MathFn.LOG: np.log,
    MathFn.LOG2: np.log2,
    MathFn.LOG10: np.log10,
    MathFn.LOG1P: np.log1p,
    MathFn.SIN: np.sin,
    MathFn.COS: np.cos,
    MathFn.TAN: np.tan,
    MathFn.ASIN: np.arcsin,
    MathFn.ACOS: np.arccos,
    MathFn.ATAN: np.arctan,
    MathFn.ATAN2: np.arctan2,
    MathFn.SINH: np.sinh,
    MathFn.COSH: np.cosh,
    MathFn.TANH: np.tanh,
    MathFn.ERF: special.erf,
    MathFn.SIGMOID: special.expit,
    MathFn.RSQRT: lambda x: 1 / np.sqrt(x),
    MathFn.POW: np.power,
    MathFn.FMOD: np.fmod,
}


def _wide(f):
    """Angles of 1000 bits need as many bits of pi."""

    def g(x):
        with mp.workprec(1300):
            return f(x)

    return g


EXACTLY = {
    MathFn.EXP: mp.exp,
    MathFn.EXP2: lambda x: mpf(2) ** x,
    MathFn.EXPM1: mp.expm1,
    MathFn.LOG: mp.log,
    MathFn.LOG2: lambda x: mp.log(x) / mp.log(2),
    MathFn.LOG10: mp.log10,
    MathFn.LOG1P: mp.log1p,
    MathFn.SIN: _wide(mp.sin),
    MathFn.COS: _wide(mp.cos),
    MathFn.TAN: _wide(mp.tan),
    MathFn.ASIN: mp.asin,
    MathFn.ACOS: mp.acos,
    MathFn.ATAN: mp.atan,
    MathFn.ATAN2: mp.atan2,
    MathFn.SINH: mp.sinh,
    MathFn.COSH: mp.cosh,
    MathFn.TANH: mp.tanh,
    MathFn.ERF: mp.erf,
    MathFn.SIGMOID: lambda x: 1 / (1 + mp.exp(-x)),
    MathFn.RSQRT: lambda x: 1 / mp.sqrt(x),
    MathFn.POW: mp.power,
    MathFn.FMOD: lambda x, y: mpf(math.fmod(x, y)),
}


def exact(fn: MathFn, args: tuple[float, ...]) -> mpf | None:
    """The real value, or None where there is none."""
    with mp.workprec(160):
        try:
            value = EXACTLY[fn](*map(mpf, args))
        except (ValueError, ZeroDivisionError):
            return None
        return value if isinstance(value, mpf) and not mp.isnan(value) else None


def error_in_double_ulps(got: float, want: mpf) -> float:
    """Distance in units in the last place of the exact value; inf if one overflows alone."""
    rounded = float(want)
    if math.isnan(got) or math.isinf(got) != math.isinf(rounded):
        return math.inf
    if math.isinf(rounded):
        return 0.0 if got == rounded else math.inf
    return float(abs(mpf(got) - want) / mpf(math.ulp(rounded)))


def errors_in_ulps(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Distances of a narrow array from exact values in double, in units in the last place.

    inf where NaN, infinities or the signs of zeros differ.
    """
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        finite = np.isfinite(rounded) & np.isfinite(got)
        limits = ml_dtypes.finfo(got.dtype)
        exponents = np.frexp(rounded.astype(np.float64))[1] - 1
        unit = np.ldexp(1.0, np.maximum(exponents, limits.minexp) - limits.nmant)
        errors = np.abs(got.astype(np.float64) - want) / unit
        same = (got == rounded) & (np.signbit(got) == np.signbit(rounded))
        same |= np.isnan(got) & np.isnan(rounded)
        is_wrong_zero = (rounded == 0) & (got == 0) & ~same
        return np.where(finite & ~is_wrong_zero, errors, np.where(same, 0.0, np.inf))
