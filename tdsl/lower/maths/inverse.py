"""Inverse trigonometric functions."""

from __future__ import annotations

import math

from tdsl.lower.maths import coefficients as c
from tdsl.lower.maths.formula import Formula, Num


def _arcsine(f: Formula, a: Num) -> tuple[Num, Num]:
    """`(a <= 1/2, p)` of a >= 0: p is asin(a), or acos(a) / 2 = asin(sqrt((1 - a) / 2)) beyond."""
    is_small = a <= 0.5
    half = f.fma(a, -0.5, 0.5)
    z = f.select(is_small, a * a, half)
    s = f.select(is_small, a, half.sqrt())
    return is_small, f.fma(z * s, f.polynomial(z, c.ASIN[f.dtype]), s)


def asin(f: Formula, x: Num) -> Num:
    """Inverse sine; NaN beyond 1."""
    is_small, p = _arcsine(f, abs(x))
    high, low, _ = c.HALF_PI[f.dtype]
    large = f.fma(p, -2.0, high) + low
    return f.with_sign(f.select(is_small, p, large), f.sign_of(x))


def acos(f: Formula, x: Num) -> Num:
    """Inverse cosine; NaN beyond 1."""
    is_small, p = _arcsine(f, abs(x))
    high, low, _ = c.HALF_PI[f.dtype]
    is_negative = x < 0.0
    signed = f.select(is_negative, -p, p)
    central = high - (signed - low)
    outer = f.select(is_negative, 2.0 * high, 0.0) + (
        signed * 2.0 + f.select(is_negative, 2.0 * low, 0.0)
    )
    return f.select(is_small, central, outer)


def _arctangent(f: Formula, t: Num) -> Num:
    """Of 0 <= t <= 1."""
    z = t * t
    return f.fma(z * t, f.polynomial(z, c.ATAN[f.dtype]), t)


def atan(f: Formula, x: Num) -> Num:
    """Inverse tangent."""
    a = abs(x)
    is_large = a > 1.0
    p = _arctangent(f, f.select(is_large, 1.0 / a, a))
    high, low, _ = c.HALF_PI[f.dtype]
    return f.with_sign(f.select(is_large, high - (p - low), p), f.sign_of(x))


def atan2(f: Formula, y: Num, x: Num) -> Num:
    """The angle of the point (x, y); C99's values at zeros and infinities."""
    a, b = abs(y), abs(x)
    is_steep = a > b
    small, large = f.select(is_steep, b, a), f.select(is_steep, a, b)
    divisor = f.select(large.equals(0.0), 1.0, large)
    t = f.select(small.equals(math.inf), 1.0, small / divisor)
    p = _arctangent(f, t)
    high, low, _ = c.HALF_PI[f.dtype]
    p = f.select(is_steep, high - (p - low), p)
    p = f.select(x.bits() < 0, 2.0 * high - (p - 2.0 * low), p)
    return f.with_sign(f.select((a + b).isnan(), a + b, p), f.sign_of(y))
