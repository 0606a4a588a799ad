"""Sine, cosine and tangent: reduce to a quarter turn, polynomials of both kinds, pick and sign."""

from __future__ import annotations

from tdsl.lower.maths import coefficients as c
from tdsl.lower.maths.formula import Formula, Num
from tdsl.lower.maths.reduction import reduce_angle


def _sine_and_cosine(f: Formula, r: Num) -> tuple[Num, Num]:
    """Of |r| <= pi/4."""
    z = r * r
    sine = f.fma(z * r, f.polynomial(z, c.SIN[f.dtype]), r)
    cosine = f.fma(z, f.fma(z, f.polynomial(z, c.COS[f.dtype]), -0.5), 1.0)
    return sine, cosine


def _sign(f: Formula, quadrant: Num) -> Num:
    """The sign bit that quadrants 2 and 3 bring."""
    return (quadrant & 2) << (f.dtype.bits - 2)


def _flip(value: Num, sign: Num) -> Num:
    return (value.bits() ^ sign).as_float()


def sin(f: Formula, x: Num) -> Num:
    """Sine."""
    quadrant, r = reduce_angle(f, abs(x))
    sine, cosine = _sine_and_cosine(f, r)
    value = f.select((quadrant & 1).equals(0), sine, cosine)
    return _flip(value, _sign(f, quadrant) ^ f.sign_of(x))


def cos(f: Formula, x: Num) -> Num:
    """Cosine."""
    quadrant, r = reduce_angle(f, abs(x))
    sine, cosine = _sine_and_cosine(f, r)
    value = f.select((quadrant & 1).equals(0), cosine, sine)
    return _flip(value, _sign(f, quadrant + 1))


def tan(f: Formula, x: Num) -> Num:
    """Tangent."""
    quadrant, r = reduce_angle(f, abs(x))
    sine, cosine = _sine_and_cosine(f, r)
    is_even = (quadrant & 1).equals(0)
    value = f.select(is_even, sine, -cosine) / f.select(is_even, cosine, sine)
    return _flip(value, f.sign_of(x))
