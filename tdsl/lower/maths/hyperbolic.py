"""Hyperbolic functions, from the parts of e ** x so that nothing cancels near 0."""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.lower.maths import coefficients as c
from tdsl.lower.maths.exponential import magic, power_of_two, reduce_by_ln2
from tdsl.lower.maths.formula import Formula, Num


def tanh(f: Formula, x: Num) -> Num:
    """`1 - 2 / (e**2a + 1)` of a = |x|, a polynomial near 0, given the sign of x."""
    a = abs(x)
    z = a * a
    near = f.fma(z * a, f.polynomial(z, c.TANH[f.dtype]), a)
    far = a.at_most(f.pick(9.1, 19.2))  # tanh rounds to 1 from there on
    shifted, r = reduce_by_ln2(f, far + far)
    power = f.polynomial(r, c.EXP[f.dtype])
    far = 1.0 - 2.0 / f.fma(power, power_of_two(f, shifted), 1.0)
    return f.with_sign(f.select(a < 0.625, near, far), f.sign_of(x))


@dataclass(frozen=True, slots=True)
class _Parts:
    """a = n * log(2) + r, both sides of e**a and e**-a at a quarter of their size.

    `even + even_lost` is cosh(n * log(2)) / 2, `odd + odd_lost` the sinh; then sinh and cosh - 1
    of r.
    """

    even: Num
    even_lost: Num
    odd: Num
    odd_lost: Num
    sinh: Num
    cosh_less_one: Num


def _parts(f: Formula, a: Num) -> _Parts:
    shifted, r = reduce_by_ln2(f, a.at_most(f.pick(89.5, 710.5)))  # both overflow there
    up = power_of_two(f, shifted, -2)
    # 2 ** (-n - 2), or 0 where that would be no normal number and is lost in the sum anyway
    exponent = (f.bias - 2) - (shifted.bits() - f.const(magic(f)).bits())
    down = (exponent.at_least(0) << f.mantissa).as_float()
    even, odd = up + down, up - down
    z = r * r
    return _Parts(
        even=even,
        even_lost=(up - even) + down,
        odd=odd,
        odd_lost=(up - odd) - down,
        sinh=f.fma(z * r, f.polynomial(z, c.SINH[f.dtype]), r),
        cosh_less_one=z * f.polynomial(z, c.COSH[f.dtype]),
    )


def sinh(f: Formula, x: Num) -> Num:
    """Hyperbolic sine."""
    a = abs(x)
    p = _parts(f, a)
    rest = f.fma(p.even, p.sinh, f.fma(p.odd, p.cosh_less_one, p.odd_lost))
    small = a < f.pick(2.0**-13, 2.0**-28)  # keeps denormals
    return f.with_sign(f.select(small, a, (p.odd + rest) * 2.0), f.sign_of(x))


def cosh(f: Formula, x: Num) -> Num:
    """Hyperbolic cosine."""
    p = _parts(f, abs(x))
    rest = f.fma(p.odd, p.sinh, f.fma(p.even, p.cosh_less_one, p.even_lost))
    return (p.even + rest) * 2.0
