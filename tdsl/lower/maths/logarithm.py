"""Logarithms: exponent and mantissa apart, polynomial in the mantissa, compensated sum."""

from __future__ import annotations

import math

from tdsl.lower.maths import coefficients as c
from tdsl.lower.maths.formula import Formula, Num


def split(f: Formula, x: Num) -> tuple[Num, Num]:
    """`(e, m)` with `x = m * 2**e`, `sqrt(1/2) <= m < sqrt(2)`, of finite x > 0. `e` is an integer.

    Denormals are scaled first.
    """
    tiny = x < 2.0 ** (1 - f.bias)
    bits = f.select(tiny, x * 2.0 ** (f.mantissa + 1), x).bits()
    start = int(f.dtype.numpy.type(math.sqrt(0.5)).view(f.integer.numpy))
    e = (bits - start) >> f.mantissa
    m = (bits - (e << f.mantissa)).as_float()
    return e - f.select(tiny, f.const(f.mantissa + 1, f.integer), 0), m


def _specials(f: Formula, x: Num, result: Num, at_zero: float) -> Num:
    """The result where 0 < x < inf; `at_zero` at 0, inf at inf, NaN elsewhere."""
    rare = f.select(x.equals(0.0), f.const(at_zero), math.nan)
    return f.select(x > 0.0, f.select(x < math.inf, result, x), rare)


def _sum(big: Num, f1: Num, small: Num) -> Num:
    """`big + f1 + small`, losing nothing of the first sum; |big| >= |f1| or big = 0."""
    total = big + f1
    return total + (((big - total) + f1) + small)


def log(f: Formula, x: Num) -> Num:
    """Natural logarithm."""
    e, m = split(f, x)
    return _specials(f, x, _log_of_parts(f, e.to(f.dtype), m - 1.0), -math.inf)


def _log_of_parts(f: Formula, e: Num, m1: Num, rest: Num | None = None) -> Num:
    """`e * log(2) + log1p(m1 + rest)`."""
    high, low = c.LN2[f.dtype]
    small = (m1 * m1) * f.polynomial(m1, c.LOG[f.dtype])
    if rest is not None:
        small = small + rest
    return _sum(e * high, m1, f.fma(e, low, small))


def _log_to_base(f: Formula, x: Num, unit: tuple[float, ...], exponent: tuple[float, ...]) -> Num:
    """`(e * log(2) + log1p(m1)) / log(base)`: `unit` is 1 / log(base), `exponent` log(2) times it.

    The leading terms m1 - m1**2 / 2 and their product with `unit` are held in two numbers each.
    """
    e, m = split(f, x)
    e, m1 = e.to(f.dtype), m - 1.0
    square = m1 * m1
    lead = f.fma(square, -0.5, m1)
    lost = f.fma(square, -0.5, m1 - lead)
    square_lost = f.fma(m1, m1, -square)
    tail = (square * m1) * f.polynomial(m1, c.LOG[f.dtype][1:])
    rest = lost + f.fma(square_lost, -0.5, tail)
    product = lead * unit[0]
    small = f.fma(lead, unit[1], f.fma(lead, unit[0], -product))
    small = f.fma(e, exponent[1], f.fma(rest, unit[0], small))
    return _specials(f, x, _sum(e * exponent[0], product, small), -math.inf)


def log2(f: Formula, x: Num) -> Num:
    """Logarithm to base 2."""
    return _log_to_base(f, x, c.LOG2_E[f.dtype], (1.0, 0.0))


def log10(f: Formula, x: Num) -> Num:
    """Logarithm to base 10."""
    return _log_to_base(f, x, c.LOG10_E[f.dtype], c.LOG10_2[f.dtype])


def log1p(f: Formula, x: Num) -> Num:
    """log(1 + x): what rounding 1 + x loses is added to the mantissa's polynomial."""
    u = x + 1.0
    back = u - x
    lost = (x - (u - back)) + (1.0 - back)
    e, m = split(f, u)
    scale = ((f.bias - e.at_most(f.bias - 1)) << f.mantissa).as_float()
    e = e.to(f.dtype)
    m1 = f.select(e.equals(0.0), x, m - 1.0)
    lost = f.select(e.equals(0.0), 0.0, lost * scale)
    rest = f.fma(lost * -m1, 1.0 - m1, lost)  # lost / (1 + m1), as far as it matters
    result = _log_of_parts(f, e, m1, rest)
    result = f.select(abs(x) < f.pick(2.0**-30, 2.0**-60), x, result)  # keeps -0 and denormals
    return _specials(f, u, result, -math.inf)
