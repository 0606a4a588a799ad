import pytest
from hypothesis import given, settings, strategies as st

from tdsl import dtypes
from tdsl.ir import build
from tdsl.ir.affine import affine, difference, equal, linear, stride_of, tidy
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Select, Unary, UnaryOp, Var
from tdsl.ir.interp_values import binary
from tdsl.ir.interval import Interval, bounds, constant_bounds
from tdsl.ir.visit import free_vars

VARS = [Var("i"), Var("j"), Var("k")]
i, j, k = VARS
N = Var("N")


def evaluate(e: Expr, env):
    match e:
        case Const(value=v):
            return v
        case Var():
            return env[e]
        case Select(c, a, b):
            return evaluate(a if evaluate(c, env) else b, env)
        case Unary(UnaryOp.NEG, a):
            return -evaluate(a, env)
        case Unary(UnaryOp.ABS, a):
            return abs(evaluate(a, env))
        case Binary(op, a, b):
            x, y = evaluate(a, env), evaluate(b, env)
            return {
                BinaryOp.ADD: lambda: x + y,
                BinaryOp.SUB: lambda: x - y,
                BinaryOp.MUL: lambda: x * y,
                BinaryOp.FLOORDIV: lambda: x // y if y else 0,
                BinaryOp.FLOORMOD: lambda: x % y if y else 0,
                BinaryOp.MIN: lambda: min(x, y),
                BinaryOp.MAX: lambda: max(x, y),
                BinaryOp.LT: lambda: x < y,
            }[op]()
    raise AssertionError(e)


def combined(children):
    return st.one_of(
        st.builds(
            Binary,
            st.sampled_from(
                [BinaryOp.ADD, BinaryOp.SUB, BinaryOp.MUL, BinaryOp.MIN, BinaryOp.MAX]
            ),
            children,
            children,
        ),
        st.builds(
            Binary,
            st.sampled_from([BinaryOp.FLOORDIV, BinaryOp.FLOORMOD]),
            children,
            st.integers(-6, 6).map(build.index),
        ),
        st.builds(
            lambda x, y, a, b: Select(Binary(BinaryOp.LT, x, y), a, b),
            children, children, children, children,
        ),
        st.builds(Unary, st.sampled_from([UnaryOp.NEG, UnaryOp.ABS]), children),
    )  # fmt: skip


EXPRS = st.recursive(
    st.one_of(st.sampled_from(VARS), st.integers(-9, 9).map(build.index)), combined, max_leaves=9
)
POINTS = st.fixed_dictionaries({v: st.integers(0, 7) for v in VARS})


@settings(deadline=None)
@given(EXPRS, POINTS)
def test_the_linear_form_has_the_value_of_its_expression(e, env):
    assert evaluate(tidy(e), env) == evaluate(e, env)


@settings(deadline=None)
@given(EXPRS, POINTS)
def test_constant_bounds_contain_every_value(e, env):
    ranges = {v: Interval.of_extent(8) for v in VARS}
    low, high = constant_bounds(e, ranges)
    value = evaluate(e, env)
    assert low is None or low <= value
    assert high is None or value <= high


@settings(deadline=None)
@given(EXPRS, POINTS)
def test_symbolic_bounds_contain_every_value(e, env):
    # k is outside: the bounds may mention it
    lo, hi = bounds(e, {i: Interval.of_extent(8), j: Interval.of_extent(8)})
    value = evaluate(e, env)
    assert lo is None or evaluate(lo, env) <= value
    assert hi is None or value <= evaluate(hi, env)


def test_differences_cancel():
    inside = build.floordiv(build.add(build.mul(i, 4), j), 4)
    assert equal(build.sub(inside, i), build.floordiv(j, 4))
    assert difference(build.add(i, 7), build.sub(i, 1)) == 8
    assert difference(i, j) is None


def test_nested_divisions_merge():
    assert equal(build.floordiv(build.floordiv(i, 3), 5), build.floordiv(i, 15))
    assert equal(build.floormod(build.floormod(i, 12), 4), build.floormod(i, 4))


def test_products_of_variables_are_not_affine():
    assert affine(build.mul(i, N)) is None
    assert linear(build.mul(i, N)).terms


def hashed(e, steps=5):
    for _ in range(steps):
        e = build.mul(e, 65599)
    return e


def mixed(e):
    x = build.mul(e, 1540483477)
    return build.mul(Binary(BinaryOp.XOR, x, Binary(BinaryOp.SHR, x, build.index(15))), 1540483477)


def wrapped(e: Expr, value):
    """The value of *e* as a machine computes it, of variables that are all `value`."""
    match e:
        case Const(value=v):
            return v
        case Binary(op, a, b):
            return binary(op, dtypes.INDEX)(wrapped(a, value), wrapped(b, value))
    return value


@pytest.mark.parametrize("value", [3, 77, 12_345])
@pytest.mark.parametrize(
    "e",
    [
        build.floormod(hashed(i), 1000),
        build.floormod(build.add(build.mul(hashed(i), 13), 7), 10),
        build.floordiv(build.mul(i, 1 << 62), 1 << 62),
        build.floormod(build.mul(i, 6364136223846793005), 10),
        build.floormod(mixed(i), 1000),
        build.floormod(Binary(BinaryOp.SHL, i, build.index(60)), 7),
    ],
)
def test_divisions_of_products_that_wrap_are_of_what_is_left_of_them(e, value):
    assert wrapped(tidy(e), value) == wrapped(e, value)
    assert affine(e) is None


def test_products_that_may_wrap_have_no_bounds():
    few, many = ({i: Interval.of_extent(n)} for n in (2, 3))
    e = build.mul(i, 1 << 62)
    assert constant_bounds(e, few) == (0, 1 << 62)
    assert constant_bounds(e, many) == (None, None)
    assert constant_bounds(build.floormod(e, 10), many) == (0, 9)


def test_strides():
    e = build.add(build.mul(i, 8), build.floordiv(j, 2))
    assert stride_of(e, i) == 8
    assert stride_of(e, j) is None
    assert stride_of(e, k) == 0


def test_bounds_keep_sizes():
    lo, hi = bounds(build.sub(build.mul(i, 2), j), {i: Interval.of_extent(N), j: Interval.at(3)})
    assert equal(lo, build.index(-3))
    assert equal(hi, build.sub(build.mul(N, 2), 5))


def test_remainders_within_one_period_stay_tight():
    assert constant_bounds(build.floormod(build.add(i, 8), 16), {i: Interval.of_extent(8)}) == (
        8,
        15,
    )


def test_bounds_of_a_single_value_do_not_mention_its_variable():
    env = {i: Interval.of_extent(1)}
    for e in (build.floormod(build.add(i, N), 3), build.mul(build.add(i, N), build.add(i, j))):
        lo, hi = bounds(e, env)
        assert i not in free_vars(lo) | free_vars(hi)
        assert equal(lo, hi)
