"""Finds the polynomials of tdsl/lower/maths/coefficients.py and prints that file.

Each polynomial is the minimax one (Remez exchange, in 200-bit arithmetic) for the relative error
of the function it serves. Its coefficients are rounded to the element type one after another,
lowest power first, refitting the others after each rounding, so that the rounded polynomial stays
close to the best one (refitting is by least squares: exchange needs all low powers).

    python tests/lower/maths_fit.py > tdsl/lower/maths/coefficients.py
"""

import sys
from collections.abc import Callable

import numpy as np
from mpmath import mp, mpf

mp.prec = 200
GRID = 400
Function = Callable[[mpf], mpf]


def chebyshev(lo: mpf, hi: mpf, n: int) -> list[mpf]:
    """n points that lie dense at both ends of [lo, hi]."""
    middle, half = (lo + hi) / 2, (hi - lo) / 2
    return [middle - half * mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]


def extrema(errors: list[mpf]) -> list[int]:
    """Where each run of errors of one sign is largest."""
    found: list[int] = []
    for k, error in enumerate(errors):
        if found and (errors[found[-1]] < 0) == (error < 0):
            if abs(error) > abs(errors[found[-1]]):
                found[-1] = k
        else:
            found.append(k)
    return found


class Problem:
    """`f(x) ~ x**shift * sum c[k] * x**k`, errors weighted by `weight`, on a grid of [lo, hi]."""

    def __init__(self, f: Function, weight: Function, lo: mpf, hi: mpf) -> None:
        self.points = chebyshev(mpf(lo), mpf(hi), GRID)
        self.values = [f(x) for x in self.points]
        self.weights = [weight(x) for x in self.points]
        self.moments: list[mpf] = []
        self.projections: list[mpf] = []

    def solve(self, rows: list[int], powers: list[int], fixed: dict[int, mpf]) -> list[mpf]:
        """Coefficients of the powers whose weighted errors at the rows alternate."""
        matrix = mp.matrix(len(rows), len(rows))
        right = mp.matrix(len(rows), 1)
        for i, row in enumerate(rows):
            x, w = self.points[row], self.weights[row]
            for j, power in enumerate(powers):
                matrix[i, j] = x**power
            matrix[i, len(powers)] = (-1) ** i / w
            right[i] = self.values[row] - sum(c * x**k for k, c in fixed.items())
        return list(mp.lu_solve(matrix, right))[:-1]

    def errors(self, coefficients: dict[int, mpf]) -> list[mpf]:
        """Weighted errors on the whole grid."""
        top = max(coefficients)
        dense = [coefficients.get(k, mpf(0)) for k in range(top, -1, -1)]
        return [
            (mp.polyval(dense, x) - v) * w
            for x, v, w in zip(self.points, self.values, self.weights, strict=True)
        ]

    def remez(self, powers: list[int], fixed: dict[int, mpf]) -> dict[int, mpf]:
        """The minimax coefficients of `powers`, given those that are fixed."""
        n = len(powers) + 1
        rows = [round(k * (GRID - 1) / (n - 1)) for k in range(n)]
        best: dict[int, mpf] = {}
        for _ in range(12):
            found = self.solve(rows, powers, fixed)
            best = fixed | dict(zip(powers, found, strict=True))
            errors = self.errors(best)
            peaks = extrema(errors)
            if len(peaks) < n:
                break
            while len(peaks) > n:
                drop = 0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1
                peaks.pop(drop)
            if peaks == rows:
                break
            rows = peaks
        return best

    def least_squares(self, powers: list[int], fixed: dict[int, mpf]) -> dict[int, mpf]:
        """The best coefficients of `powers` by squares: any set of powers will do."""
        matrix = mp.matrix(len(powers), len(powers))
        right = mp.matrix(len(powers), 1)
        for i, a in enumerate(powers):
            for j, b in enumerate(powers):
                matrix[i, j] = self.moments[a + b]
            right[i] = self.projections[a] - sum(c * self.moments[a + k] for k, c in fixed.items())
        return dict(zip(powers, mp.lu_solve(matrix, right), strict=True))

    def rounded(self, degree: int, dtype: type, exact: dict[int, mpf]) -> list[float]:
        """Coefficients in `dtype`; `exact` ones are given and kept."""
        self.measure(degree)
        free = [k for k in range(degree + 1) if k not in exact]
        best = self.remez(free, exact)
        fixed = dict(exact)
        for k, power in enumerate(free):
            fixed[power] = mpf(float(dtype(float(best[power]))))
            best = self.least_squares(free[k + 1 :], fixed) if free[k + 1 :] else {}
        worst = max(abs(e) for e in self.errors(fixed))
        print(f"# degree {degree}: error 2**{float(mp.log(worst, 2)):.1f}", file=sys.stderr)
        return [float(fixed[k]) for k in range(degree + 1)]

    def measure(self, degree: int) -> None:
        """Sums of powers over the grid, for `least_squares`."""
        squares = [w * w for w in self.weights]
        powers = [mpf(1)] * GRID
        self.moments, self.projections = [], []
        for _ in range(2 * degree + 1):
            weighted = [w * p for w, p in zip(squares, powers, strict=True)]
            self.moments.append(mp.fsum(weighted))
            self.projections.append(mp.fdot(weighted, self.values))
            powers = [p * x for p, x in zip(powers, self.points, strict=True)]


def one_over(f: Function) -> Function:
    return lambda x: 1 / f(x)


def sine(z: mpf) -> mpf:
    return mp.sin(mp.sqrt(z)) / mp.sqrt(z)


def sinh(z: mpf) -> mpf:
    return mp.sinh(mp.sqrt(z)) / mp.sqrt(z)


def tanh(z: mpf) -> mpf:
    return mp.tanh(mp.sqrt(z)) / mp.sqrt(z)


def cosine(z: mpf) -> mpf:
    return mp.cos(mp.sqrt(z))


def arcsine(z: mpf) -> mpf:
    return mp.asin(mp.sqrt(z)) / mp.sqrt(z)


def arctangent(z: mpf) -> mpf:
    return mp.atan(mp.sqrt(z)) / mp.sqrt(z)


def area_tangent(z: mpf) -> mpf:
    return mp.atanh(mp.sqrt(z)) / mp.sqrt(z)


def error_function(z: mpf) -> mpf:
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z)


HALF_LN2 = mp.log(2) / 2 * mpf("1.001")
QUARTER_PI = mp.pi / 4 * mpf("1.001")
TANH_SQUARED = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2

# name: what it is, function, weight, (lo, hi), (degree f32, f64), exact coefficients
FITS: dict[str, tuple] = {
    "EXP": (
        "exp(r), |r| <= log(2)/2",
        mp.exp, one_over(mp.exp), (-HALF_LN2, HALF_LN2), (6, 11), {0: 1, 1: 1},
    ),
    "EXP2": (
        "2**r, |r| <= 1/2",
        lambda r: 2**r, lambda r: 2**-r, (-mpf("0.5005"), mpf("0.5005")), (6, 11), {0: 1},
    ),
    "EXPM1": (
        "(expm1(r) - r) / r**2, |r| <= log(2)/2",
        lambda r: (mp.expm1(r) - r) / r**2, lambda r: r**2 / mp.expm1(r),
        (-HALF_LN2, HALF_LN2), (5, 10), {0: 0.5},
    ),
    "SINH": (
        "(sinh(r) - r) / r**3 in r**2, |r| <= log(2)/2",
        lambda z: (sinh(z) - 1) / z, lambda z: z / sinh(z),
        (0, HALF_LN2**2), (2, 4), {},
    ),
    "COSH": (
        "(cosh(r) - 1) / r**2 in r**2, |r| <= log(2)/2",
        lambda z: (mp.cosh(mp.sqrt(z)) - 1) / z, lambda z: z, (0, HALF_LN2**2), (2, 4), {0: 0.5},
    ),
    "TANH": (
        "(tanh(a) - a) / a**3 in a**2, |a| <= 0.625",
        lambda z: (tanh(z) - 1) / z, lambda z: z / tanh(z), (0, mpf("0.625") ** 2), (4, 10), {},
    ),
    "LOG": (
        "(log1p(f) - f) / f**2, sqrt(1/2) <= 1 + f <= sqrt(2)",
        lambda f: (mp.log1p(f) - f) / f**2, lambda f: f**2 / mp.log1p(f),
        (mp.sqrt(0.5) - 1, mp.sqrt(2) - 1), (8, 20), {0: -0.5},
    ),
    "ATANH": (
        "(atanh(s)/s - 1 - s**2/3) / s**4 in s**2, |s| <= 0.1716",
        lambda z: (area_tangent(z) - 1 - z / 3) / z**2, lambda z: z**2,
        (0, TANH_SQUARED), (2, 7), {},
    ),
    "SIN": (
        "(sin(r) - r) / r**3 in r**2, |r| <= pi/4",
        lambda z: (sine(z) - 1) / z, lambda z: z / sine(z), (0, QUARTER_PI**2), (2, 5), {},
    ),
    "COS": (
        "(cos(r) - 1 + r**2/2) / r**4 in r**2, |r| <= pi/4",
        lambda z: (cosine(z) - 1 + z / 2) / z**2, lambda z: z**2 / cosine(z),
        (0, QUARTER_PI**2), (2, 5), {},
    ),
    "ASIN": (
        "(asin(s) - s) / s**3 in s**2, |s| <= 1/2",
        lambda z: (arcsine(z) - 1) / z, lambda z: z / arcsine(z), (0, mpf("0.25")), (4, 11), {},
    ),
    "ATAN": (
        "(atan(t) - t) / t**3 in t**2, |t| <= 1",
        lambda z: (arctangent(z) - 1) / z, lambda z: z / arctangent(z), (0, 1), (9, 20), {},
    ),
    "ERF_NEAR": (
        "(erf(a) - a) / a in a**2, |a| <= 1",
        lambda z: error_function(z) - 1, one_over(error_function), (0, 1), (6, 12), {},
    ),
}  # fmt: skip


def log_tail(centre: float) -> tuple[Function, Function]:
    """-log(1 - erf(a)) in a - centre, and the weight of its errors in erf(a)."""

    def f(t: mpf) -> mpf:
        return -mp.log(mp.erfc(t + centre))

    return f, lambda t: mp.erfc(t + centre) / mp.erf(t + centre)


def parts(value: mpf, dtype: type, bits: tuple[int, ...]) -> list[float]:
    """`value` as a sum of numbers of so many bits each."""
    found = []
    for count in bits:
        with mp.workprec(count):
            part = +value
        found.append(float(dtype(float(part))))
        value -= mpf(found[-1])
    return found


def two_over_pi(bits: int) -> list[int]:
    """A word of zeros and the leading bits of 2/pi, in 64-bit words."""
    with mp.workprec(bits + 100):
        scaled = int(mp.floor(2 / mp.pi * mpf(2) ** bits))
    return [0] + [(scaled >> (bits - 64 * (k + 1))) & (2**64 - 1) for k in range(bits // 64)]


# name: what it is, value, bits of the parts for f32 and f64
SPLITS: dict[str, tuple] = {
    "LN2": ("log(2); the product of the first part and an exponent is exact",
            mp.log(2), (15, 24), (41, 53)),
    "LOG10_2": ("log10(2), split likewise", mp.log10(2), (15, 24), (41, 53)),
    "LOG2_E": ("log2(e)", 1 / mp.log(2), (24, 24), (53, 53)),
    "LOG10_E": ("log10(e)", mp.log10(mp.e), (24, 24), (53, 53)),
    "LN2_FULL": ("log(2) for reduction with fma", mp.log(2), (24, 24), (53, 53)),
    "HALF_PI": ("pi/2", mp.pi / 2, (24, 24, 24), (53, 53, 53)),
    "THIRD": ("1/3", mpf(1) / 3, (24, 24), (53, 53)),
}  # fmt: skip


def show(name: str, what: str, single: list[float], double: list[float]) -> None:
    print(f"\n# {what}\n{name}: Table = {{")
    for dtype, values in (("float32", single), ("float64", double)):
        print(f"    {dtype}: (")
        for value in values:
            print(f"        {value!r},")
        print("    ),")
    print("}")


HEAD = '''"""Polynomials and constants of the maths functions, for float32 and float64.

Written by tests/lower/maths_fit.py: minimax polynomials for the relative error of the function
served (Remez exchange in 200-bit arithmetic), lowest power first, each coefficient rounded in turn
and the others refitted. Constants are sums of parts, largest first.
"""

from typing import Final, TypeAlias

from tdsl.dtypes import DType, float32, float64

Table: TypeAlias = dict[DType, tuple[float, ...]]
'''


def main() -> None:
    print(HEAD, end="")
    for name, (what, f, weight, (lo, hi), degrees, exact) in FITS.items():
        problem = Problem(f, weight, lo, hi)
        given = {k: mpf(v) for k, v in exact.items()}
        print(name, file=sys.stderr)
        tables = [
            problem.rounded(degree, dtype, given)
            for degree, dtype in zip(degrees, (np.float32, np.float64), strict=True)
        ]
        show(name, what, *tables)
    f, weight = log_tail(2.5)
    tables = [
        Problem(f, weight, mpf("-1.5"), mpf(hi)).rounded(degree, dtype, {})
        for hi, degree, dtype in (("1.5", 7, np.float32), ("3.5", 19, np.float64))
    ]
    show("ERF_FAR", "-log(1 - erf(a)) in a - 2.5, 1 <= a <= 4 (f32) or 6 (f64)", *tables)
    for name, (what, value, single, double) in SPLITS.items():
        show(name, what, parts(value, np.float32, single), parts(value, np.float64, double))
    print("\n# a word of zeros, then the bits of 2/pi behind its point\nTWO_OVER_PI: Final = (")
    for word in two_over_pi(64 * 19):
        print(f"    0x{word:016X},")
    print(")")


if __name__ == "__main__":
    main()
