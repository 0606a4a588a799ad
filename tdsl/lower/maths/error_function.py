"""The error function: a polynomial near 0, one minus an exponential of a polynomial beyond."""

from __future__ import annotations

from tdsl.lower.maths import coefficients as c
from tdsl.lower.maths.exponential import power_of_two, reduce_by_ln2
from tdsl.lower.maths.formula import Formula, Num


def erf(f: Formula, x: Num) -> Num:
    """Gauss error function."""
    a = abs(x)
    near = f.fma(a, f.polynomial(a * a, c.ERF_NEAR[f.dtype]), a)
    far = a.at_most(f.pick(4.0, 6.0))  # erf rounds to 1 from there on
    shifted, r = reduce_by_ln2(f, -f.polynomial(far - 2.5, c.ERF_FAR[f.dtype]))
    tail = f.polynomial(r, c.EXP[f.dtype])
    far = f.fma(-tail, power_of_two(f, shifted), 1.0)
    return f.with_sign(f.select(a < 1.0, near, far), f.sign_of(x))
