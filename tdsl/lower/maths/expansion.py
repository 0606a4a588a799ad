"""Expanding a call of a maths function: one formula for every lane count and target."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tdsl import dtypes
from tdsl.errors import InternalError
from tdsl.ir.expr import Expr, MathFn
from tdsl.lower.maths import (
    error_function,
    exponential,
    hyperbolic,
    inverse,
    logarithm,
    power,
    remainder,
    roots,
    trigonometric,
)
from tdsl.lower.maths.formula import Expansion, Formula, Num
from tdsl.target import Target

_Writer: TypeAlias = Callable[..., Num]

_WRITERS: dict[MathFn, _Writer] = {
    MathFn.EXP: exponential.exp,
    MathFn.EXP2: exponential.exp2,
    MathFn.EXPM1: exponential.expm1,
    MathFn.LOG: logarithm.log,
    MathFn.LOG2: logarithm.log2,
    MathFn.LOG10: logarithm.log10,
    MathFn.LOG1P: logarithm.log1p,
    MathFn.SIN: trigonometric.sin,
    MathFn.COS: trigonometric.cos,
    MathFn.TAN: trigonometric.tan,
    MathFn.ASIN: inverse.asin,
    MathFn.ACOS: inverse.acos,
    MathFn.ATAN: inverse.atan,
    MathFn.ATAN2: inverse.atan2,
    MathFn.SINH: hyperbolic.sinh,
    MathFn.COSH: hyperbolic.cosh,
    MathFn.TANH: hyperbolic.tanh,
    MathFn.ERF: error_function.erf,
    MathFn.SIGMOID: exponential.sigmoid,
    MathFn.RSQRT: roots.rsqrt,
    MathFn.POW: power.pow,
    MathFn.FMOD: remainder.fmod,
}


def expand(fn: MathFn, args: tuple[Expr, ...], target: Target | None = None) -> Expansion:
    """Write `fn(*args)` as arithmetic, comparisons, selects and bits; no memory, no calls.

    The arguments are floats of one dtype and one lane count, and are mentioned once each if they
    are not variables. float16 and bfloat16 are computed in float32 and rounded once. Errors stay
    within `bound`; zeros, infinities, NaN and denormals give what C99 says. Instructions that
    only `target` has are used where they give the very same bits.

    >>> from tdsl.ir.expr import Var
    >>> expansion = expand(MathFn.SIGMOID, (Var("x", dtypes.float32, 16),))
    >>> expansion.result.dtype, expansion.result.lanes
    (DType(name='float32', ...), 16)

    Raises:
        InternalError: the arguments are no floats.
    """
    dtype = args[0].dtype
    if not dtype.is_float or any(
        arg.dtype is not dtype or arg.lanes != args[0].lanes for arg in args
    ):
        shapes = ", ".join(f"{arg.dtype} x {arg.lanes}" for arg in args)
        raise InternalError(f"{fn.value}({shapes}): floats of one dtype and lane count wanted")
    wide = dtypes.float64 if dtype is dtypes.float64 else dtypes.float32
    scales = target is not None and target.scales(wide.bits, args[0].lanes)
    formula = Formula(fn.value, wide, args[0].lanes, scales=scales)
    operands = [formula.name(arg).to(wide) for arg in args]
    return formula.finish(_WRITERS[fn](formula, *operands).to(dtype))
