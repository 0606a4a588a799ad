"""Values at a point, for witnesses; values of samples, for reducers of the user's own."""

import operator

import pytest

import tdsl as td
from tdsl.analysis.commute import commutes
from tdsl.analysis.witness import value_at
from tdsl.dtypes import as_dtype
from tdsl.ir import build
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Buffer,
    Cast,
    Checked,
    Const,
    Load,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.visit import leaves

i, j = Var("i"), Var("j")
OPERATIONS = {
    BinaryOp.ADD: operator.add,
    BinaryOp.SUB: operator.sub,
    BinaryOp.MUL: operator.mul,
    BinaryOp.FLOORDIV: lambda a, b: a // b if b else 0,
    BinaryOp.FLOORMOD: lambda a, b: a % b if b else 0,
    BinaryOp.MIN: min,
    BinaryOp.MAX: max,
    BinaryOp.LT: operator.lt,
    BinaryOp.LE: operator.le,
    BinaryOp.GT: operator.gt,
    BinaryOp.GE: operator.ge,
    BinaryOp.EQ: operator.eq,
    BinaryOp.NE: operator.ne,
    BinaryOp.AND: operator.and_,
    BinaryOp.OR: operator.or_,
    BinaryOp.XOR: operator.xor,
}


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
def test_operations_at_a_point(op):
    for a in range(-3, 4):
        for b in range(-3, 4):
            found = value_at(Binary(op, i, j), {i: a, j: b})
            assert found == OPERATIONS[op](a, b)


def test_what_depends_on_data_has_no_value():
    data = Load(Buffer("A", as_dtype("int64"), (build.index(4),)), (i,))
    for e in (data, build.add(data, i), build.add(i, data), Unary(UnaryOp.NEG, data), j):
        assert value_at(e, {i: 1}) is None
    for e in (Unary(UnaryOp.ABS, data), Unary(UnaryOp.NOT, data), Select(data, i, i)):
        assert value_at(e, {i: 1}) is None
    assert value_at(Checked(data, build.index(4)), {i: 1}) is None
    assert value_at(Checked(i, data), {i: 1}) is None


def test_other_nodes_at_a_point():
    env = {i: 5, j: -2}
    assert value_at(Unary(UnaryOp.NEG, i), env) == -5
    assert value_at(Unary(UnaryOp.ABS, j), env) == 2
    assert value_at(Unary(UnaryOp.NOT, build.lt(i, 3)), env) == 1
    assert value_at(Unary(UnaryOp.NOT, build.lt(j, 3)), env) == 0
    assert value_at(Select(build.lt(i, 3), i, j), env) == -2
    assert value_at(Select(build.lt(j, 3), i, j), env) == 5
    assert value_at(Cast(i, as_dtype("int32")), env) == 5
    assert value_at(Cast(i, as_dtype("float32")), env) is None
    assert value_at(Const(7, as_dtype("int64")), {}) == 7


def test_a_checked_index_stays_inside_at_a_point():
    at = [value_at(Checked(i, build.index(4)), {i: n}) for n in (-3, 0, 2, 3, 4, 9)]
    assert at == [0, 0, 2, 3, 3, 3]


def reducer(combine, identity=0, dtype="float32"):
    """The reducer of a reduction of one or several values."""
    many = isinstance(identity, tuple)
    A = td.placeholder((4,), dtype, name="A")
    k = td.reduce_axis(4, name="k")
    made = td.reducer(identity=identity, combine=combine)
    B = td.compute(
        (1,), lambda i: made(tuple(A[k] for _ in identity) if many else A[k], axis=k), name="B"
    )
    func = td.func("f", [A], list(B) if many else [B])
    (found,) = [x.block.reducer for x in leaves(func.program.body) if x.block.reducer is not None]
    return found


COMMUTING = {
    "sum": lambda a, b: a + b,
    "product": lambda a, b: a * b,
    "sum of absolute values": lambda a, b: td.abs(a) + td.abs(b),
    "of both orders": lambda a, b: (a - b) * (b - a),
    "greatest": lambda a, b: td.select(a > b, a, b),
    "greatest, ties to the second": lambda a, b: td.select(a >= b, a, b),
    "least": lambda a, b: td.select(a < b, a, b),
    "least, ties to the second": lambda a, b: td.select(a <= b, a, b),
    "of functions": lambda a, b: td.tanh(a) + td.tanh(b),
    "log of a sum": lambda a, b: td.log(td.exp(a) + td.exp(b)),
    "root of squares": lambda a, b: td.sqrt(a * a + b * b),
    "same or nothing": lambda a, b: td.select(a == b, a, 0.0),
    "differing or nothing": lambda a, b: td.select(a != b, a * b, 0.0),
}
ORDERED = {
    "first": lambda a, b: a,
    "second": lambda a, b: b,
    "difference": lambda a, b: a - b,
    "quotient": lambda a, b: a / b,
    "weighted": lambda a, b: a + 2 * b,
    "first unless smaller": lambda a, b: td.select(a < b, b, a - b),
    "compared with a sum": lambda a, b: td.select(a + 1 <= b, 1.0, 0.0),
    "function of one": lambda a, b: a + td.exp(b),
    "signs": lambda a, b: td.select(a > 0, a, b),
    "first above a constant": lambda a, b: td.select(a > 100, a, td.maximum(a, b)),
    "first far below zero": lambda a, b: td.select(-a >= 50.5, a, td.minimum(a, b)),
    "equal to a constant": lambda a, b: td.select(a == 7, 7.0, a + b),
}


@pytest.mark.parametrize("name", COMMUTING)
def test_operands_that_may_be_swapped(name):
    assert commutes(reducer(COMMUTING[name]))


@pytest.mark.parametrize("name", ORDERED)
def test_operands_that_may_not_be_swapped(name):
    assert not commutes(reducer(ORDERED[name]))


def test_whole_numbers_that_divide_are_ordered():
    assert not commutes(reducer(lambda a, b: a // b, 1, "int32"))
    assert not commutes(reducer(lambda a, b: a % b, 1, "int32"))
    assert commutes(reducer(lambda a, b: (a & b) + (a | b) + (a ^ b), 1, "int32"))
    assert not commutes(reducer(lambda a, b: a + (b & 1), 1, "int32"))


def test_every_component_must_commute():
    assert commutes(reducer(lambda a, b: (a[0] + b[0], a[1] * b[1]), (0, 1)))
    assert not commutes(reducer(lambda a, b: (a[0] + b[0], a[1]), (0, 1)))
    assert not commutes(reducer(lambda a, b: (a[0] + b[1], a[1] + b[0]), (0, 0)))


def test_a_tie_of_one_component_leaves_the_others_to_differ():
    def first_greatest(a, b):
        return td.maximum(a[0], b[0]), td.select(a[0] >= b[0], a[1], b[1])

    assert not commutes(reducer(first_greatest, (0, 0)))


def test_components_are_sampled_apart():
    def turned(a, b):
        top = (a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3])
        return (*top, a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3])

    assert not commutes(reducer(turned, (1, 0, 0, 1)))
    # with equal samples in both components this would look as if it commuted
    assert not commutes(reducer(lambda a, b: (a[0] - b[1], a[1] - b[0]), (0, 0)))
    assert not commutes(reducer(lambda a, b: (a[0] * b[1], a[1] + b[1]), (0, 0)))
