"""x ** y as `2 ** (y * log2(x))`, the logarithm held in two numbers."""

from __future__ import annotations

import math

from tdsl.lower.maths import coefficients as c
from tdsl.lower.maths.exponential import scaled_exp2
from tdsl.lower.maths.formula import Formula, Num
from tdsl.lower.maths.logarithm import split


def _quick_two_sum(a: Num, b: Num) -> tuple[Num, Num]:
    """`a + b` as a rounded sum and what it lost, |a| >= |b| or a = 0."""
    total = a + b
    return total, b - (total - a)


def _times(f: Formula, a: Num, a_low: Num, b: Num, b_low: Num | float) -> tuple[Num, Num]:
    """`(a + a_low) * (b + b_low)` as a rounded product and the rest."""
    product = a * b
    lost = f.fma(a_low, b, f.fma(a, b, -product))
    return product, lost if b_low == 0.0 else f.fma(a, b_low, lost)


def log2_pair(f: Formula, a: Num) -> tuple[Num, Num]:
    """log2 of finite a > 0 as two numbers: e + 2 * atanh(s) / log(2), s = (m - 1) / (m + 1).

    atanh(s) = s + s**3 * (1/3 + s**2 * q(s**2)); all but q is computed in pairs.
    """
    e, m = split(f, a)
    numerator, denominator = m - 1.0, m + 1.0
    lost = m - (denominator - 1.0)  # the exact denominator is denominator + lost
    s = numerator / denominator
    s_low = f.fma(-s, lost, f.fma(-s, denominator, numerator)) / denominator
    z, z_low = _times(f, s, s_low, s, s_low)
    one_third, one_third_low = c.THIRD[f.dtype]
    inner, inner_low = _times(f, z, z_low, f.polynomial(z, c.ATANH[f.dtype]), 0.0)
    inner, lost = _quick_two_sum(f.const(one_third), inner)
    inner, inner_low = _times(f, z, z_low, inner, lost + (inner_low + one_third_low))
    cubic, cubic_low = _times(f, s, s_low, inner, inner_low)
    high, lost = _quick_two_sum(s, cubic)
    unit, unit_low = (2.0 * part for part in c.LOG2_E[f.dtype])
    product, low = _times(f, high, lost + (cubic_low + s_low), f.const(unit), unit_low)
    total, rest = _quick_two_sum(e.to(f.dtype), product)
    return _quick_two_sum(total, rest + low)


def pow(f: Formula, x: Num, y: Num) -> Num:  # noqa: A001 - the function's name
    """x ** y; C99's values at zeros, ones, infinities and NaN."""
    a = abs(x)
    high, low = log2_pair(f, a)
    is_edge = a.equals(0.0) | a.equals(math.inf)
    high = f.select(is_edge, f.select(a.equals(0.0), f.const(-math.inf), math.inf), high)
    low = f.select(is_edge, 0.0, low)
    # 1 ** inf is 1
    product = f.select(high.equals(0.0), 0.0, y * high)
    rest = f.fma(y, low, f.fma(y, high, -product))
    rest = f.select(abs(rest) < 2.0**-12, rest, 0.0)  # NaN, or of a product beyond all powers
    magnitude = scaled_exp2(f, product, rest)
    return _specials(f, x, y, magnitude)


def _specials(f: Formula, x: Num, y: Num, magnitude: Num) -> Num:
    """Give |x| ** y the sign of an odd power, and NaN where there is no real value."""
    is_integer = y.trunc().equals(y)
    half = y * 0.5
    is_odd = is_integer & half.trunc().differs(half)
    signed = (magnitude.bits() ^ (f.select(is_odd, f.sign_of(x), 0))).as_float()
    has_none = ((x < 0.0) & (x > -math.inf)) & ~is_integer
    result = f.select(has_none, math.nan, signed)
    result = f.select(x.isnan() | y.isnan(), x + y, result)
    return f.select(x.equals(1.0) | y.equals(0.0), 1.0, result)
