"""Angles: `|x| = n * pi/2 + r` with |r| <= pi/4, for every finite x, r right to the last place.

Up to a limit n is found by rounding, and n * pi/2 is taken away in three parts by fma. Beyond it
(Payne and Hanek) the integer mantissa is multiplied by those bits of 2/pi that matter: bits whose
product is a multiple of 4 change nothing, and those behind the window are too small to be seen.
"""

from __future__ import annotations

import math

from tdsl import dtypes
from tdsl.lower.maths import coefficients as c
from tdsl.lower.maths.exponential import magic
from tdsl.lower.maths.formula import Formula, Num

_WORD = 64


def reduce_angle(f: Formula, a: Num) -> tuple[Num, Num]:
    """`(n mod 4 in the low bits of an integer, r)` of a >= 0."""
    shifted = f.fma(a, 2.0 / math.pi, magic(f))
    n = shifted - magic(f)
    near = a
    for part in c.HALF_PI[f.dtype]:
        near = f.fma(n, -part, near)
    quadrant, far = _reduce_large(f, a)
    is_large = a > f.pick(2.0**17, 2.0**30)
    return f.select(is_large, quadrant, shifted.bits()), f.select(is_large, far, near)


def _reduce_large(f: Formula, a: Num) -> tuple[Num, Num]:
    """The same of a >= 2**17 (float32) or 2**30 (float64)."""
    bits = a.bits()
    mantissa = (bits & ((1 << f.mantissa) - 1)) | (1 << f.mantissa)
    # a = mantissa * 2**e; the window starts at the bit of weight 2**(1-e), one word is zeros
    start = (bits >> f.mantissa) + (_WORD - f.bias - f.mantissa - 2)
    words = _window(f, start, 2 if f.single else 3)
    top, rest = _product(f, mantissa.to(dtypes.uint64), words)
    quadrant = (top + (1 << 61)) >> 62
    fraction = (top - (quadrant << 62)) << 1  # signed, one quarter turn is 2**63
    if rest is None:
        high, low = (fraction >> 32).to(f.integer), fraction.to(dtypes.uint32)
    else:
        high, low = (fraction | (rest >> 63)).as_type(f.integer), rest << 1
    return quadrant.to(f.integer), _scaled_fraction(f, high, low, a - a)


def _scaled_fraction(f: Formula, high: Num, low: Num, nothing: Num) -> Num:
    """`high:low` of two words, in units of a quarter turn / 2**(2 * bits - 1), in radians.

    The digits are dealt out again so that the upper number is exact and the lower one signed: a
    difference of two numbers would cancel. `nothing` is 0, or NaN if the angle was infinite.
    """
    word = f.dtype.bits
    extra = word - 1 - f.mantissa
    leading = (high + (1 << (extra - 1))) >> extra
    trailing = (high << (word - extra)) + (low >> extra).as_type(f.integer)
    unit = [part * 2.0 ** (extra + 1 - word) for part in c.HALF_PI[f.dtype]]
    x, y = leading.to(f.dtype), f.fma(trailing.to(f.dtype), 2.0**-word, nothing)
    return f.fma(x, unit[0], f.fma(x, unit[1], y * unit[0]))


def _window(f: Formula, start: Num, count: int) -> list[Num]:
    """`count` words of the bits of 2/pi from bit `start` on: a shifter of constants."""
    reach = 2 if f.single else 16  # the last word that a window starts in
    taken = c.TWO_OVER_PI[: reach + count + 1]
    words = [f.const(word, dtypes.uint64) for word in taken]
    step = reach
    while step:
        skip = (start & (_WORD * step)).differs(0)
        kept = min(step + count, len(words))
        words = [
            f.select(skip, words[k + step], words[k]) if k + step < len(words) else words[k]
            for k in range(kept)
        ]
        step //= 2
    shift = (start & (_WORD - 1)).to(dtypes.uint64)
    back = shift ^ (_WORD - 1)
    return [(words[k] << shift) | ((words[k + 1] >> 1) >> back) for k in range(count)]


def _product(f: Formula, mantissa: Num, words: list[Num]) -> tuple[Num, Num | None]:
    """The leading words of `mantissa * words`, without what overflows the first."""
    if f.single:
        return mantissa * words[0] + ((mantissa * (words[1] >> 32)) >> 32), None
    low = mantissa * words[1]
    rest = low + _high_product(mantissa, words[2])
    carry = f.select(rest < low, f.const(1, dtypes.uint64), 0)
    return mantissa * words[0] + _high_product(mantissa, words[1]) + carry, rest


def _high_product(mantissa: Num, word: Num) -> Num:
    """The upper word of the product of a 53-bit and a 64-bit number."""
    mask = (1 << 32) - 1
    m1, m0, w1, w0 = mantissa >> 32, mantissa & mask, word >> 32, word & mask
    outer = m0 * w1
    middle = ((m0 * w0) >> 32) + (outer & mask) + m1 * w0
    return m1 * w1 + (outer >> 32) + (middle >> 32)
