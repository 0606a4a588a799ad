"""Expansions of maths functions: errors within the stated bounds, C99's special values, sharing."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tdsl as td
from tdsl import dtypes
from tdsl.errors import InternalError
from tdsl.ir.expr import Bitcast, Broadcast, Const, Expr, Load, Math, MathFn, Var
from tdsl.ir.visit import children, walk
from tdsl.lower.maths import bound, coefficients, expand
from tdsl.target import target
from tests.lower.evaluate import evaluate
from tests.lower.maths_references import (
    IN_DOUBLE,
    error_in_double_ulps,
    errors_in_ulps,
    exact,
)

OF_TWO = {MathFn.ATAN2, MathFn.POW, MathFn.FMOD}
FUNCTIONS = pytest.mark.parametrize("fn", list(MathFn), ids=lambda fn: fn.value)
SPECIAL = [
    0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1.5, -7.25, 1e-30, -1e-30, 150.0, -150.0,
    800.0, -800.0, 5e-324, -5e-324, 1e-45, -1e-45, 1e-39, 3e38, -3e38, 1.7e308, -1.7e308,
    math.inf, -math.inf, math.nan,
]  # fmt: skip
# the doubles and floats nearest to multiples of pi/2, and other angles far out
HARD_ANGLES = [6381956970095103.0 * 2.0**797, 16367173.0 * 2.0**72, 1.0e22, 2.0**1023, 3.4e38]


def variables(fn, dtype, lanes=1):
    return tuple(Var(f"x{k}", dtype, lanes) for k in range(2 if fn in OF_TWO else 1))


def apply(fn, dtype, *arrays, lanes=1):
    """Evaluate an expansion on arrays of arguments."""
    args = variables(fn, dtype, lanes)
    return evaluate(expand(fn, args), dict(zip(args, arrays, strict=True)))


def arguments(rng, count):
    """Numbers of every size, and many where the functions turn and change formula."""
    parts = [
        rng.integers(0, 1 << 64, count, dtype=np.uint64).view(np.float64),
        2.0 ** rng.uniform(-150, 128, count) * rng.choice([-1, 1], count),
        rng.uniform(-750, 720, count),
        rng.uniform(-110, 95, count),
        rng.uniform(-10, 10, count),
        rng.uniform(-1.5, 1.5, 2 * count),
        rng.uniform(0.5, 1.5, 2 * count),
        rng.uniform(-1e9, 1e9, count),
        rng.normal(0, 1, count) * 10.0 ** rng.uniform(-18, 0, count),
    ]
    return np.concatenate([*parts, SPECIAL, HARD_ANGLES])


def argument_arrays(fn, count, seed):
    rng = np.random.default_rng(seed)
    first = arguments(rng, count)
    if fn not in OF_TWO:
        return (first,)
    second = rng.permutation(first)
    near = first * (1 + rng.normal(0, 1, first.size) * 2.0 ** rng.uniform(-40, 0, first.size))
    with np.errstate(all="ignore"):  # exponents that keep powers in range
        tame = rng.uniform(-1, 1, first.size) * 700 / np.log(np.abs(first))
    grid = np.array(list(itertools.product(SPECIAL, SPECIAL)))
    return (
        np.concatenate([first, first, np.abs(first), grid[:, 0]]),
        np.concatenate([second, near, tame, grid[:, 1]]),
    )


@FUNCTIONS
def test_float32_is_within_its_bound(fn):
    with np.errstate(all="ignore"):
        arrays = [a.astype(np.float32) for a in argument_arrays(fn, 30_000, 1)]
        want = IN_DOUBLE[fn](*(a.astype(np.float64) for a in arrays))
    errors = errors_in_ulps(apply(fn, dtypes.float32, *arrays), want)
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound(fn, dtypes.float32), [a[worst] for a in arrays]


def is_tame(fn, args):
    """Whether mpmath gives an answer soon: results neither overflow by far nor are special."""
    x = args[0]
    if not all(map(math.isfinite, args)) or (fn in OF_TWO and 0.0 in args):
        return False
    match fn:
        case MathFn.POW:
            return x > 0 and abs(args[1] * math.log(x)) < 800
        case MathFn.TANH | MathFn.ERF:
            return abs(x) < 40
        case MathFn.EXP | MathFn.EXP2 | MathFn.EXPM1 | MathFn.SINH | MathFn.COSH | MathFn.SIGMOID:
            return abs(x) < 1200
        case _:
            return True


@FUNCTIONS
def test_float64_is_within_its_bound(fn):
    arrays = argument_arrays(fn, 120 if fn not in OF_TWO else 60, 2)
    got = apply(fn, dtypes.float64, *arrays)
    checked = 0
    for *args, result in zip(*(a.tolist() for a in arrays), got.tolist(), strict=True):
        want = exact(fn, tuple(args)) if is_tame(fn, args) else None
        if want is not None and math.isfinite(want):
            error = error_in_double_ulps(result, want)
            assert error <= bound(fn, dtypes.float64), (args, result, want)
            checked += 1
    assert checked > 100


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
@FUNCTIONS
def test_special_arguments_give_what_c_gives(fn, dtype):
    with np.errstate(all="ignore"):
        values = np.array(SPECIAL).astype(dtype.numpy)
    grid = list(itertools.product(values, values)) if fn in OF_TWO else [(x,) for x in values]
    arrays = [np.array(column, dtype.numpy) for column in zip(*grid, strict=True)]
    got = apply(fn, dtype, *arrays).astype(np.float64)
    with np.errstate(all="ignore"):
        want = IN_DOUBLE[fn](*(a.astype(np.float64) for a in arrays))
        want = want.astype(dtype.numpy).astype(np.float64)
    for args, a, b in zip(grid, got, want, strict=True):
        if math.isfinite(b) and b != 0:
            assert a == pytest.approx(b, rel=1e-6, abs=3e-45), args
        else:
            assert repr(float(a)) == repr(float(b)), args


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
@FUNCTIONS
def test_nan_of_any_payload_stays_nan(fn, dtype):
    quiet = int(np.array(math.inf, dtype.numpy).view(f"u{dtype.bytes}"))
    payloads = [quiet | 1 << k for k in range(dtype.bits - 12)] + [quiet | 0x12345]
    x = np.array(payloads, f"u{dtype.bytes}").view(dtype.numpy)
    others = np.full_like(x, 2.5)
    arguments = [(x, others), (others, x), (x, x)] if fn in OF_TWO else [(x,)]
    assert all(np.isnan(apply(fn, dtype, *arrays)).all() for arrays in arguments)


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=str)
@FUNCTIONS
def test_every_small_float_is_rounded_once(fn, dtype):
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype.numpy)
    if fn in OF_TWO:
        rng = np.random.default_rng(3)
        arrays = (rng.permutation(every), rng.permutation(every))
    else:
        arrays = (every,)
    got = apply(fn, dtype, *arrays)
    assert got.dtype == dtype.numpy
    with np.errstate(all="ignore"):
        want = IN_DOUBLE[fn](*(a.astype(np.float64) for a in arrays))
    errors = errors_in_ulps(got, want)
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound(fn, dtype), [a[worst] for a in arrays]


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.float32, dtypes.float64], ids=str)
@FUNCTIONS
def test_vectors_are_the_same_formula(fn, dtype):
    args = variables(fn, dtype, lanes=8)
    expansion = expand(fn, args)
    for e in (*(value for _, value in expansion.lets), expansion.result):
        assert e.lanes == 8
        for n in walk(e):
            below = [child.lanes for child in children(n) if isinstance(child, Expr)]
            assert isinstance(n, Broadcast) or all(lanes == n.lanes for lanes in below)
    assert all(var.lanes == 8 and var.dtype is value.dtype for var, value in expansion.lets)
    with np.errstate(all="ignore"):
        arrays = [a.astype(dtype.numpy) for a in argument_arrays(fn, 20, 4)]
    scalar = apply(fn, dtype, *arrays)
    vector = evaluate(expansion, dict(zip(args, arrays, strict=True)))
    assert (scalar.view(f"u{dtype.bytes}") == vector.view(f"u{dtype.bytes}")).all()


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.float32, dtypes.float64], ids=str)
@FUNCTIONS
def test_scaling_in_one_instruction_gives_the_same_bits(fn, dtype):
    wide = max(dtype.bits, 32)
    args = variables(fn, dtype, lanes=512 // wide)
    expansion = expand(fn, args, target("llvm -mcpu=znver4"))
    with np.errstate(all="ignore"):
        arrays = [a.astype(dtype.numpy) for a in argument_arrays(fn, 200, 5)]
        got = evaluate(expansion, dict(zip(args, arrays, strict=True)))
        want = apply(fn, dtype, *arrays)
    assert (got.view(f"u{dtype.bytes}") == want.view(f"u{dtype.bytes}")).all()
    shorter = len(operations(expansion)) < len(operations(expand(fn, args)))
    assert shorter or fn not in (MathFn.EXP, MathFn.EXP2)


def operations(expansion):
    trees = [value for _, value in expansion.lets] + [expansion.result]
    free = Var | Const | Broadcast | Bitcast
    return [n for tree in trees for n in walk(tree) if not isinstance(n, free)]


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
@FUNCTIONS
def test_nothing_is_computed_twice_or_fetched(fn, dtype):
    expansion = expand(fn, variables(fn, dtype))
    done = operations(expansion)
    assert len(set(done)) == len(done)
    assert not any(isinstance(n, Math | Load) for n in done)
    defined = set(variables_of(expansion.result)) - {v for v, _ in expansion.lets}
    assert all(var.name.startswith("x") for var in defined)


def variables_of(e):
    return [n for n in walk(e) if isinstance(n, Var)]


def test_lets_come_before_their_uses():
    x = Var("x", dtypes.float64)
    known = {x}
    expansion = expand(MathFn.TAN, (x,))
    for var, value in expansion.lets:
        assert set(variables_of(value)) <= known
        known.add(var)
    assert set(variables_of(expansion.result)) <= known


def test_exp_of_float32_is_short():
    assert len(operations(expand(MathFn.EXP, variables(MathFn.EXP, dtypes.float32)))) <= 20


def test_argument_expression_is_mentioned_once():
    x = Var("x", dtypes.float32)
    inner = Math(MathFn.EXP, (x,))  # stands for anything costly
    expansion = expand(MathFn.SIGMOID, (inner,))
    assert sum(isinstance(n, Math) for n in operations(expansion)) == 1


@pytest.mark.parametrize(
    "args",
    [
        (Var("i", dtypes.int32),),
        (Var("x", dtypes.float32), Var("y", dtypes.float64)),
        (Var("x", dtypes.float32), Var("y", dtypes.float32, 4)),
    ],
)
def test_arguments_that_no_formula_fits_are_named(args):
    with pytest.raises(InternalError, match="floats of one dtype and lane count"):
        expand(MathFn.POW, args)


def test_every_function_of_every_float_type_has_a_bound():
    floats = [dtype for dtype in dtypes.ALL if dtype.is_float]
    for fn, dtype in itertools.product(MathFn, floats):
        # what is rounded to half a unit is exact for the remainder alone
        assert (bound(fn, dtype) == 0) if fn is MathFn.FMOD else (0.5 < bound(fn, dtype) < 4)
    assert bound(MathFn.ERF, dtypes.float16) == bound(MathFn.ERF, dtypes.bfloat16) == 0.501


@pytest.mark.slow
def test_coefficients_are_what_the_fit_finds():
    script = Path(__file__).with_name("maths_fit.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == Path(coefficients.__file__).read_text()


def test_scalars_in_arms_of_vector_selects_are_loaded_as_they_are():
    x, y = td.placeholder((5,), name="x"), td.placeholder((), name="y")

    def element(i):
        return td.select(x[i] > 0.0, td.exp(x[i] * y[()]), td.log(y[()] - x[i]))

    s = td.Schedule(td.func("arms", [x, y], [td.compute((5,), element, name="z")]))
    s.vectorize("i")
    at = np.float32([-2, -1, 0, 1, 2])
    want = np.where(at > 0, np.exp(at * 3), np.log(np.maximum(3 - at, 1e-9)))
    np.testing.assert_allclose(td.build(s)(at, np.float32(3)), want, rtol=1e-5)
