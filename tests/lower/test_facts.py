import itertools
import random

import pytest

from tdsl.ir.affine import linear
from tdsl.ir.build import (
    add,
    ceildiv,
    compare,
    floordiv,
    floormod,
    ge,
    index,
    lt,
    maximum,
    minimum,
    mul,
    sub,
)
from tdsl.ir.expr import BinaryOp, Const, Load, Var
from tdsl.ir.stmt import For, Seq
from tdsl.lower.facts import Facts, decide, holds

M, N, I, J = (Var(name) for name in "MNij")
SIZES = Facts((M, N), (linear(M), linear(N)))

PROVEN = [
    ([(I, ceildiv(M, 6))], ge(M, 1)),
    ([(I, ceildiv(M, 6))], lt(mul(I, 6), M)),
    ([(I, floordiv(M, 6)), (J, index(6))], lt(add(mul(I, 6), J), M)),
    ([(I, ceildiv(M, 32)), (J, minimum(32, sub(M, mul(I, 32))))], lt(add(mul(I, 32), J), M)),
    ([(I, ceildiv(M, 32)), (J, minimum(32, sub(M, mul(I, 32))))], lt(J, 32)),
    ([], ge(floordiv(M, 16), 0)),
    ([], ge(mul(ceildiv(M, 16), 16), M)),
    ([(I, M), (J, add(I, 1))], lt(J, M)),
]


def known(loops):
    facts = SIZES
    for var, extent in loops:
        facts = facts.inside(For(var, extent, Seq(())))
    return facts


@pytest.mark.parametrize(("loops", "goal"), PROVEN)
def test_what_ranges_of_loops_imply_is_proven(loops, goal):
    assert holds(known(loops), goal)


def test_a_guard_is_a_fact():
    value = add(mul(I, 6), J)
    facts = known([(I, ceildiv(M, 6)), (J, index(6))])
    assert decide(facts, lt(value, M)) is None
    assert decide(facts.given(lt(value, M)), lt(value, add(M, 1))) is True
    assert decide(facts.given(ge(value, M)), lt(value, M)) is False


def test_arithmetic_on_data_is_not_reasoned_about_because_it_wraps():
    from tdsl import dtypes
    from tdsl.ir.expr import Buffer

    data = Load(Buffer("x", dtypes.int64, (M,)), (index(0),))
    assert decide(SIZES, lt(data, add(data, 1))) is None


def value(e, env):
    if isinstance(e, Var):
        return env[e]
    if isinstance(e, Const):
        return e.value
    a, b = value(e.a, env), value(e.b, env)
    return {
        BinaryOp.ADD: lambda: a + b,
        BinaryOp.SUB: lambda: a - b,
        BinaryOp.MUL: lambda: a * b,
        BinaryOp.FLOORDIV: lambda: a // b,
        BinaryOp.FLOORMOD: lambda: a % b,
        BinaryOp.MIN: lambda: min(a, b),
        BinaryOp.MAX: lambda: max(a, b),
        BinaryOp.LT: lambda: a < b,
        BinaryOp.LE: lambda: a <= b,
        BinaryOp.GE: lambda: a >= b,
    }[e.op]()


def expression(rng, depth, variables):
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(variables) if rng.random() < 0.7 else index(rng.randint(-3, 20))
    a = expression(rng, depth - 1, variables)
    match rng.choice("+-*/%mM"):
        case "*":
            return mul(a, rng.randint(1, 5))
        case "/":
            return floordiv(a, rng.randint(1, 5))
        case "%":
            return floormod(a, rng.randint(1, 5))
        case "+":
            return add(a, expression(rng, depth - 1, variables))
        case "-":
            return sub(a, expression(rng, depth - 1, variables))
        case "m":
            return minimum(a, expression(rng, depth - 1, variables))
        case _:
            return maximum(a, expression(rng, depth - 1, variables))


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_decided_that_brute_force_contradicts(seed):
    rng = random.Random(seed)
    comparisons = [BinaryOp.LT, BinaryOp.LE, BinaryOp.GE]
    decided = 0
    for _ in range(60):
        extent = expression(rng, 2, [M, N])
        given = compare(
            rng.choice(comparisons), expression(rng, 1, [M, N, I]), expression(rng, 1, [M, N, I])
        )
        goal = compare(
            rng.choice(comparisons), expression(rng, 3, [M, N, I]), expression(rng, 2, [M, N, I])
        )
        answer = decide(known([(I, extent)]).given(given), goal)
        if answer is None:
            continue
        decided += 1
        for m, n in itertools.product(range(7), repeat=2):
            env = {M: m, N: n}
            for i in range(max(0, value(extent, env))):
                env[I] = i
                if value(given, env):
                    assert bool(value(goal, env)) == answer, (extent, given, goal, env)
    assert decided > 5
