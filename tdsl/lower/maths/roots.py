"""The reciprocal square root."""

from __future__ import annotations

from tdsl.lower.maths.formula import Formula, Num


def rsqrt(f: Formula, x: Num) -> Num:
    """`1 / sqrt(x)`, corrected by the residual `1 - x * y * y`; inf at 0."""
    y = 1.0 / x.sqrt()
    product = x * y
    lost = f.fma(x, y, -product)
    residual = f.fma(-lost, y, f.fma(-product, y, 1.0))
    better = f.fma(y * 0.5, residual, y)
    return f.select(better.isnan(), y, better)  # 0, inf and NaN have no residual
