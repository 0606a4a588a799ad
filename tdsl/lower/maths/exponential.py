"""Exponentials: reduce by powers of two, polynomial, scale by bits of the exponent."""

from __future__ import annotations

from tdsl.lower.maths import coefficients as c
from tdsl.lower.maths.formula import Formula, Num


def magic(f: Formula) -> float:
    """Adding it rounds to an integer, found in the low bits of the sum."""
    return 1.5 * 2.0**f.mantissa


def power_of_two(f: Formula, shifted: Num, offset: int = 0) -> Num:
    """`2 ** (n + offset)` where `shifted` is `n + magic`."""
    one = (f.bias + offset) << f.mantissa
    return ((shifted.bits() << f.mantissa) + one).as_float()


def reduce_by_ln2(f: Formula, x: Num) -> tuple[Num, Num]:
    """`(n + magic, r)` such that `x = n * log(2) + r`, |r| <= log(2) / 2."""
    shifted = f.fma(x, c.LOG2_E[f.dtype][0], magic(f))
    n = shifted - magic(f)
    r = x
    for part in c.LN2_FULL[f.dtype]:
        r = f.fma(n, -part, r)
    return shifted, r


def _scaled(f: Formula, p: Num, shifted: Num, x: Num, low: float) -> Num:
    """`p * 2**n` over the whole range; below `low` results come near the denormals.

    One factor of two (or many) is held back and multiplied last, so that the largest results do not
    overflow on the way and denormal ones are rounded once. Products, unlike sums of bits, keep NaN.
    """
    if f.scales:
        return p << (shifted - magic(f))
    is_low = x < low
    one = f.bias << f.mantissa
    kept = f.bias // 2
    bits = f.select(
        is_low,
        f.const(one + (kept << f.mantissa), f.integer),
        f.const(one - (1 << f.mantissa), f.integer),
    )
    scale = ((shifted.bits() << f.mantissa) + bits).as_float()
    return p * scale * f.select(is_low, 2.0**-kept, 2.0)


def exp(f: Formula, x: Num) -> Num:
    """e ** x."""
    x = x.at_least(f.pick(-104.5, -746.0)).at_most(f.pick(89.0, 710.0))
    shifted, r = reduce_by_ln2(f, x)
    return _scaled(f, f.polynomial(r, c.EXP[f.dtype]), shifted, x, f.pick(-64.0, -512.0))


def exp2(f: Formula, x: Num) -> Num:
    """2 ** x."""
    return scaled_exp2(f, x, None)


def scaled_exp2(f: Formula, x: Num, rest: Num | None) -> Num:
    """`2 ** (x + rest)`, `rest` far below the last place of 1."""
    x = x.at_least(f.pick(-151.0, -1076.0)).at_most(f.pick(128.5, 1024.5))
    shifted = x + magic(f)
    r = x - (shifted - magic(f))
    if rest is not None:
        r = r + rest
    return _scaled(f, f.polynomial(r, c.EXP2[f.dtype]), shifted, x, f.pick(-92.0, -768.0))


def expm1_of_rest(f: Formula, r: Num) -> Num:
    """e ** r - 1 of |r| <= log(2) / 2."""
    return f.fma(r * r, f.polynomial(r, c.EXPM1[f.dtype]), r)


def expm1(f: Formula, x: Num) -> Num:
    """e ** x - 1, exact to the last place near 0 too."""
    bounded = x.at_least(f.pick(-20.0, -40.0)).at_most(f.pick(89.0, 710.0))
    shifted, r = reduce_by_ln2(f, bounded)
    half = power_of_two(f, shifted, -1)  # 2**n may overflow where the result does not
    curve = (r * r) * f.polynomial(r, c.EXPM1[f.dtype])
    result = f.fma(curve, half, f.fma(r, half, half - 0.5)) * 2.0
    return f.select(abs(x) < f.pick(2.0**-30, 2.0**-60), x, result)  # keeps -0 and denormals


def sigmoid(f: Formula, x: Num) -> Num:
    """`1 / (1 + e**-x)`, both sides scaled down where e**-x is huge."""
    negative = -(x.at_least(f.pick(-105.0, -746.0)).at_most(f.pick(86.0, 706.0)))
    shifted, r = reduce_by_ln2(f, negative)
    kept = f.bias // 2
    is_huge = negative > f.pick(44.0, 354.0)
    one = f.select(is_huge, 2.0**-kept, 1.0)
    one_bits = f.select(
        is_huge,
        f.const((f.bias - kept) << f.mantissa, f.integer),
        f.const(f.bias << f.mantissa, f.integer),
    )
    scale = ((shifted.bits() << f.mantissa) + one_bits).as_float()
    total = scale + one
    lost = (scale - total) + one
    return one / (total + f.fma(expm1_of_rest(f, r), scale, lost))
