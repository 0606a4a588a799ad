"""How reducers of the user's own are sampled: operations, points, and when two values agree."""

import math
import operator

import pytest

import tdsl as td
from tdsl.analysis.commute import _apply, _close, _points, _value, _values, commutes
from tdsl.dtypes import as_dtype
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Cast,
    Const,
    Fma,
    Math,
    MathFn,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tests.analysis.test_values import OPERATIONS, reducer

F32 = as_dtype("float32")
a, b = Var("a", F32), Var("b", F32)
SOME = (-2.5, -1.0, 0.0, 0.75, 1.0, 3.0)


def same(one, two):
    return one == two or (math.isnan(one) and math.isnan(two))


BINARY = {
    **OPERATIONS,
    BinaryOp.TRUEDIV: lambda x, y: x / y if y else math.nan,
    BinaryOp.AND: lambda x, y: int(x) & int(y),
    BinaryOp.OR: lambda x, y: int(x) | int(y),
    BinaryOp.XOR: lambda x, y: int(x) ^ int(y),
}
UNARY = {
    UnaryOp.NEG: operator.neg,
    UnaryOp.NOT: operator.not_,
    UnaryOp.ABS: abs,
    UnaryOp.SQRT: lambda x: math.sqrt(x) if x >= 0 else math.nan,
    UnaryOp.ISNAN: math.isnan,
}
FUNCTIONS = {
    MathFn.EXP: math.exp,
    MathFn.EXP2: lambda x: 2.0**x,
    MathFn.LOG: lambda x: math.log(x) if x > 0 else math.nan,
    MathFn.TANH: math.tanh,
}


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.name)
def test_binary_operations_of_samples(op):
    for x in SOME:
        for y in SOME:
            assert same(_value(Binary(op, a, b), {a: x, b: y}), BINARY[op](x, y))


@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
def test_unary_operations_of_samples(op):
    for x in (*SOME, math.nan):
        if op is not UnaryOp.SQRT or not math.isnan(x):
            assert same(_value(Unary(op, a), {a: x}), UNARY[op](x))


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: fn.name)
def test_functions_of_samples(fn):
    for x in SOME:
        assert same(_value(Math(fn, (a,)), {a: x}), FUNCTIONS[fn](x))


def test_other_nodes_of_samples():
    at = {a: 3.5, b: -2.0}
    assert _value(Fma(a, b, a), at) == -3.5
    assert _value(Select(Binary(BinaryOp.LT, a, b), a, b), at) == -2.0
    assert _value(Select(Binary(BinaryOp.GT, a, b), a, b), at) == 3.5
    assert _value(Cast(a, as_dtype("int32")), at) == 3
    assert _value(Cast(a, as_dtype("float64")), at) == 3.5
    assert _value(Const(7.0, F32), {}) == 7.0
    with pytest.raises(KeyError):
        _value(Math(MathFn.ERF, (a,)), at)
    with pytest.raises(KeyError, match="NoneType"):
        _value(None, at)


def test_what_cannot_be_sampled_is_not_said_to_commute():
    assert not commutes(reducer(lambda x, y: td.erf(x) + td.erf(y)))
    # as a number it commutes, but it is too large to be tried
    assert not commutes(reducer(lambda x, y: td.exp(td.exp(x + y + 6.0))))


@pytest.mark.parametrize(
    ("one", "two", "agree"),
    [
        ([1.0], [1.0], True),
        ([1.0], [1.0 + 1e-7], True),
        ([1.0], [1.001], False),
        ([math.nan], [math.nan], True),
        ([math.nan], [1.0], False),
        ([1.0], [math.nan], False),
        ([1.0, 2.0], [1.0, 3.0], False),
        ([1.0, 2.0], [3.0, 2.0], False),
        ([1.0, math.nan], [1.0, math.nan], True),
    ],
)
def test_values_agree_in_every_component(one, two, agree):
    assert _close(one, two) is agree


def test_both_operands_are_given():
    assert _apply(reducer(lambda x, y: x - y), (5.0,), (3.0,)) == [2.0]


PLAIN = [-2.5, -1.0, 0.0, 0.75, 3.0]


def test_constants_are_sampled_around_both_signs():
    assert _values(reducer(lambda x, y: x + y)) == PLAIN
    around = [98.0, 99.0, 100.0, 101.0, 102.0, -102.0, -101.0, -100.0, -99.0, -98.0]
    assert _values(reducer(lambda x, y: td.select(x > 100, x, y))) == PLAIN + around
    assert _values(reducer(lambda x, y: td.maximum(td.maximum(x, y), -math.inf))) == PLAIN
    many = reducer(lambda x, y: sum(td.select(x > 10 * n, x, y) for n in range(1, 9)))
    assert len(_values(many)) == 32


def test_points_are_samples_and_mixtures_of_them():
    assert _points(reducer(lambda x, y: x + y)) == [(v,) for v in PLAIN]
    assert _points(reducer(lambda x, y: x + y, 0, "int32")) == [(-2,), (-1,), (0,), (0,), (3,)]
    two = _points(reducer(lambda x, y: (x[0] + y[0], x[1] + y[1]), (0, 0)))
    assert two[:5] == [(v, PLAIN[(n + 1) % 5]) for n, v in enumerate(PLAIN)]
    assert len(two) == 5 + 24
    quadratic = [(PLAIN[m * m % 5], PLAIN[(2 * m * m + m) % 5]) for m in range(1, 25)]
    assert two[5:] == quadratic
