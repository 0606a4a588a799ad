"""The exact remainder of a division, fmod."""

from __future__ import annotations

import math

from tdsl.lower.maths.formula import Formula, Num


def _normalised(f: Formula, a: Num) -> tuple[Num, Num]:
    """`(e, m)` with `a = m * 2**e`, 1 <= m < 2, of finite a > 0."""
    tiny = a < 2.0 ** (1 - f.bias)
    up = f.mantissa + 1
    bits = f.select(tiny, a * 2.0**up, a).bits()
    e = (bits >> f.mantissa) - f.select(tiny, f.const(f.bias + up, f.integer), f.bias)
    m = ((bits & ((1 << f.mantissa) - 1)) | (f.bias << f.mantissa)).as_float()
    return e, m


def _power_of_two(f: Formula, e: Num) -> Num:
    """2 ** e of an exponent of normal numbers."""
    return ((e + f.bias) << f.mantissa).as_float()


def fmod(f: Formula, x: Num, y: Num) -> Num:
    """`x - y * trunc(x / y)` with no rounding at all; the sign of x.

    The exponents differ by d. The mantissa of x is multiplied by 2**d in chunks, each followed by
    an exact reduction by the mantissa of y: a chunk is so small that the rounded quotient is off by
    less than one half, thus the remainder fits the type.
    """
    a, b = abs(x), abs(y)
    x_exponent, r = _normalised(f, a)
    y_exponent, m = _normalised(f, b)
    d = x_exponent - y_exponent
    chunk = f.mantissa - 2
    steps = -(-(2 * f.bias + f.mantissa) // chunk)  # d is less, of the largest and the least number
    inverse = 1.0 / m
    left = d.at_least(0)
    for _ in range(steps):
        now = left.at_most(chunk)
        left = left - now
        r = r * _power_of_two(f, now)
        r = f.fma((r * inverse).round(), -m, r)
    r = f.select(r < 0.0, r + m, r)
    # the remainder may be denormal: scale in two steps, of which the first is exact
    half = y_exponent >> 1
    result = r * _power_of_two(f, half) * _power_of_two(f, y_exponent - half)
    result = f.select(a < b, a, result)
    defined = (a < math.inf) & (b > 0.0)
    result = f.select(defined, f.with_sign(result, f.sign_of(x)), math.nan)
    return f.select(b.isnan(), y, result)
