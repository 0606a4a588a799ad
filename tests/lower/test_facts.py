import itertools
import random

import pytest

from tdsl import dtypes
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
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Broadcast,
    Buffer,
    Cast,
    Checked,
    Const,
    Extern,
    Load,
    Ramp,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.stmt import For, Let, Part, Seq
from tdsl.lower.facts import Facts, decide, holds, in_range, is_index
from tdsl.lower.loop_bounds import binding, greatest, least, named, solve

M, N, I, J, K = (Var(name) for name in "MNijk")
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
    ([(I, floordiv(M, 6))], ge(M, 6)),
    ([(I, floordiv(add(M, 5), 6))], ge(M, 1)),
    ([(I, M)], compare(BinaryOp.NE, I, M)),
    ([(I, M)], compare(BinaryOp.NE, M, I)),
    ([(I, index(1))], compare(BinaryOp.EQ, I, index(0))),
    ([(I, M)], compare(BinaryOp.GT, M, I)),
    ([(I, M)], compare(BinaryOp.LE, I, sub(M, 1))),
    ([(I, M)], lt(minimum(I, N), M)),
    ([(I, M)], ge(maximum(sub(I, 3), 0), 0)),
    ([(I, M)], lt(maximum(sub(I, 1), sub(I, N)), M)),
    ([(I, M)], ge(minimum(I, add(I, 2)), 0)),
    ([(I, M)], ge(minimum(I, N), 0)),
    ([(I, M)], lt(floormod(I, 4), 4)),
    ([(I, M)], ge(floormod(sub(I, 9), 4), 0)),
    ([], compare(BinaryOp.LE, mul(floordiv(M, 5), 5), M)),
    ([], lt(sub(M, mul(floordiv(M, 5), 5)), 5)),
    ([(I, index(9))], compare(BinaryOp.LE, mul(floordiv(I, 3), 2), index(5))),
    ([(I, index(9))], ge(add(mul(floordiv(I, 3), -2), 5), 0)),
    ([(I, M)], ge(Select(lt(I, 3), I, sub(M, I)), 0)),
    ([(I, N), (J, sub(N, I))], lt(add(I, J), N)),
    ([(I, M)], ge(Checked(sub(I, 5), N), 0)),
    ([(I, M)], lt(Checked(sub(I, 5), N), N)),
    ([(I, M), (J, N)], compare(BinaryOp.LE, mul(floordiv(add(I, J), 4), 4), add(I, J))),
    ([(I, M), (J, N)], lt(add(I, J), add(mul(floordiv(add(I, J), 4), 4), 4))),
]
UNKNOWN = [
    ([(I, floordiv(M, 6))], ge(M, 7)),
    ([(I, ceildiv(M, 6))], ge(M, 2)),
    ([(I, M)], compare(BinaryOp.EQ, I, index(0))),
    ([(I, M)], compare(BinaryOp.NE, I, sub(M, 1))),
    ([(I, M)], lt(maximum(I, N), M)),
    ([(I, M)], ge(minimum(I, sub(N, 1)), 0)),
    ([(I, M)], lt(floormod(I, 4), 3)),
    ([(I, M)], ge(floormod(I, 4), 1)),
    ([], ge(mul(floordiv(M, 5), 5), M)),
    ([], lt(sub(M, mul(floordiv(M, 5), 5)), 4)),
    ([(I, index(9))], compare(BinaryOp.LE, mul(floordiv(I, 3), 2), index(3))),
    ([(I, M)], ge(Select(lt(I, 3), I, sub(N, I)), 0)),
    ([(I, M)], ge(Select(lt(I, 3), sub(N, I), I), 0)),
    ([(I, M)], lt(Checked(I, N), sub(N, 1))),
    ([(I, M)], ge(Checked(I, N), 1)),
    ([(I, minimum(M, N)), (J, I)], lt(add(I, J), M)),
    ([(J, N), (I, M)], ge(add(mul(floordiv(sub(I, 3), 3), 2), add(J, 1)), 0)),
    ([(J, N), (I, index(9))], ge(sub(add(J, 2), mul(floordiv(I, 3), 2)), 0)),
    ([(I, M), (J, N)], ge(maximum(sub(I, 9), sub(J, 9)), 0)),
    ([(I, M), (J, N)], compare(BinaryOp.LE, minimum(add(I, 9), add(J, 9)), index(9))),
]


def known(loops):
    facts = SIZES
    for var, extent in loops:
        facts = facts.inside(For(var, extent, Seq(())))
    return facts


@pytest.mark.parametrize(("loops", "goal"), PROVEN)
def test_what_ranges_of_loops_imply_is_proven(loops, goal):
    assert holds(known(loops), goal)


@pytest.mark.parametrize(("loops", "goal"), UNKNOWN)
def test_what_may_be_false_is_not_proven(loops, goal):
    assert decide(known(loops), goal) is None


def test_parts_of_a_fused_loop_run_at_least_once():
    sixth = ceildiv(M, 6)
    fused = For(K, mul(sixth, 4), Seq(()), parts=(Part(I, sixth), Part(J, index(4))))
    assert holds(SIZES.inside(fused), ge(M, 1))
    assert not holds(SIZES, ge(M, 1))


def test_what_is_known_without_any_loop():
    facts = Facts().given(ge(I, 1))
    assert holds(facts, ge(I, 0))
    assert not holds(facts, ge(I, 2))


def test_a_proof_takes_no_more_steps_than_it_is_given(monkeypatch):
    chain = [Var(f"a{n}") for n in range(5)]
    extents = [M, *(add(var, 1) for var in chain)]
    goal = lt(chain[-1], M)  # one step for each variable: a4 <= a3 <= ... <= a0 < M
    for steps, proven in ((4, False), (5, True)):
        monkeypatch.setattr("tdsl.lower.facts.FUEL", steps)
        assert holds(known(zip(chain, extents, strict=False)), goal) is proven


def test_conditions_that_are_put_together():
    facts = known([(I, M)])
    yes, no, maybe = lt(I, M), lt(M, I), lt(I, N)

    def both(a, b):
        return Binary(BinaryOp.AND, a, b)

    def either(a, b):
        return Binary(BinaryOp.OR, a, b)

    answers = {
        both(yes, yes): True, both(yes, no): False, both(no, maybe): False,
        both(maybe, no): False, both(yes, maybe): None, both(maybe, yes): None,
        either(no, yes): True, either(maybe, yes): True, either(yes, maybe): True,
        either(no, no): False, either(no, maybe): None, either(maybe, no): None,
    }  # fmt: skip
    for cond, answer in answers.items():
        assert decide(facts, cond) is answer
        opposite = None if answer is None else not answer
        assert decide(facts, Unary(UnaryOp.NOT, cond)) is opposite
    assert decide(facts, Binary(BinaryOp.XOR, yes, no)) is None
    assert decide(facts, Const(True, yes.dtype)) is True
    assert decide(facts, Const(False, yes.dtype)) is False


def test_what_a_condition_says_is_known_where_it_holds():
    facts = known([(I, M)])
    for op, implied in {
        BinaryOp.LT: lt(I, add(N, 1)),
        BinaryOp.LE: lt(I, add(N, 1)),
        BinaryOp.GT: ge(I, add(N, 1)),
        BinaryOp.GE: ge(I, N),
        BinaryOp.EQ: ge(I, N),
    }.items():
        cond = compare(op, I, N)
        assert holds(facts.given(cond), implied)
        assert not holds(facts, implied)
        assert holds(facts.given(Binary(BinaryOp.AND, ge(M, 9), cond)), implied)
        assert not holds(facts.given(Binary(BinaryOp.OR, ge(M, 9), cond)), implied)
        assert decide(facts.given(Unary(UnaryOp.NOT, cond)), cond) in (False, None)
    assert holds(facts.given(Unary(UnaryOp.NOT, lt(I, N))), ge(I, N))
    assert holds(facts.given(Unary(UnaryOp.NOT, ge(I, N))), lt(I, N))
    assert decide(facts.given(compare(BinaryOp.EQ, I, N)), compare(BinaryOp.NE, I, N)) is False


def test_an_index_is_in_range_on_both_sides():
    facts = known([(I, M)])
    assert in_range(facts, I, M)
    assert in_range(facts, I, add(M, 1))
    assert not in_range(facts, I, sub(M, 1))
    assert not in_range(facts, sub(I, 1), M)
    assert in_range(facts, sub(sub(M, I), 1), M)
    assert not in_range(facts, sub(M, I), M)


@pytest.mark.parametrize("pick", [minimum, maximum])
def test_a_bound_with_a_name_lies_below_or_above_its_parts(pick):
    bound = Var("bound")
    facts = known([(I, M)]).under(Let(bound, pick(add(I, 2), N), Seq(())))
    below = pick is minimum
    assert holds(facts, compare(BinaryOp.LE, bound, N)) is below
    assert holds(facts, compare(BinaryOp.LE, bound, add(I, 2))) is below
    assert holds(facts, ge(bound, N)) is not below
    low = known([(I, M)]).under(Let(bound, pick(sub(I, 9), sub(N, 9)), Seq(())))
    assert not holds(low, ge(bound, 0))
    assert not holds(low, lt(bound, 0))
    assert holds(facts, ge(bound, add(I, 2))) is not below


@pytest.mark.parametrize("seed", range(3))
def test_solved_conditions_start_and_stop_where_they_say(seed):
    rng = random.Random(seed)
    for _ in range(60):
        k = rng.choice([-7, -3, -2, -1, 1, 2, 3, 7])
        form = linear(add(add(mul(I, k), mul(M, rng.randint(-3, 3))), rng.randint(-9, 9)))
        bound = solve(form, I)
        for m in range(6):
            at = value(bound, {M: m})
            for i in range(-30, 31):
                true = value(form.expr(), {M: m, I: i}) >= 0
                assert true == (i >= at if k > 0 else i < at)
    assert solve(linear(M), I) is None
    assert solve(linear(add(I, floordiv(I, 2))), I) is None


def test_the_least_and_the_greatest_are_picked_where_they_are_known():
    facts = known([(I, M)])
    assert least(I, M, facts) is I
    assert least(M, I, facts) is I
    assert greatest(I, M, facts) is M
    assert greatest(M, I, facts) is M
    assert least(I, N, facts) == minimum(I, N)
    assert greatest(I, N, facts) == maximum(I, N)


def test_bounds_with_names_are_bound_in_order():
    one, two = Let(Var("one"), M, Seq(())), Let(Var("two"), N, Seq(()))
    bound = binding([one, None, two], Seq(()))
    assert bound.var is one.var
    assert bound.body == two


def test_only_bounds_of_several_extrema_get_names():
    once, twice = minimum(M, N), minimum(M, maximum(N, I))
    assert named(once, "bound") is None
    assert named(once, "bound", most=0).value is once
    assert named(twice, "bound").value is twice
    assert named(add(mul(M, 2), N), "bound", most=0) is None


def test_a_guard_is_a_fact():
    value = add(mul(I, 6), J)
    facts = known([(I, ceildiv(M, 6)), (J, index(6))])
    assert decide(facts, lt(value, M)) is None
    assert decide(facts.given(lt(value, M)), lt(value, add(M, 1))) is True
    assert decide(facts.given(ge(value, M)), lt(value, M)) is False


def test_arithmetic_on_data_is_not_reasoned_about_because_it_wraps():
    from tdsl import dtypes
    from tdsl.ir.expr import Buffer

    called = Extern("f", (), dtypes.int64)
    loaded = Load(Buffer("x", dtypes.int64, (M,)), (index(0),))
    for data in (loaded, called):
        assert decide(SIZES, lt(data, add(data, 1))) is None
        assert decide(SIZES, lt(add(data, M), add(add(data, M), 1))) is None
        assert holds(SIZES, lt(Checked(data, M), add(Checked(data, M), 1)))


def test_of_numbers_that_may_wrap_nothing_follows():
    # for the greatest number, data + 1 is the least one
    data = Load(Buffer("x", dtypes.int64, (M,)), (index(0),))
    wraps = sub(minimum(add(data, 1), 3), minimum(data, 3))
    assert decide(SIZES, ge(wraps, 0)) is None
    assert decide(SIZES, lt(wraps, 0)) is None
    assert decide(SIZES, compare(BinaryOp.NE, wraps, index(-1))) is None
    assert decide(SIZES, compare(BinaryOp.NE, index(-1), wraps)) is None
    for cond in (lt(add(data, 1), N), compare(BinaryOp.GT, N, add(data, 1))):
        assert not in_range(SIZES.given(ge(data, 0), cond), data, N)


@pytest.mark.parametrize(
    ("e", "whether"),
    [
        (I, True),
        (index(3), True),
        (add(mul(I, 4), floordiv(J, 3)), True),
        (Ramp(I, index(1), 2), False),  # a vector has no one value
        (Broadcast(I, 4), False),
        (Cast(I, dtypes.int32), False),  # keeps the low bits only
        (Cast(I, dtypes.float32), False),  # and a fraction rounds
        (Load(Buffer("x", dtypes.int64, (M,)), (I,)), False),
        (add(I, Extern("f", (), dtypes.int64)), False),
        (Checked(Extern("f", (), dtypes.int64), M), True),
        (mul(I, 65599), True),
        (mul(mul(I, 65599), 65599), False),  # may not fit: such is a hash, not an index
        (floormod(mul(mul(I, 65599), 65599), 10), True),  # whatever it is of
        (Cast(Cast(I, dtypes.uint64), dtypes.int64), False),
    ],
)
def test_only_numbers_of_loops_and_sizes_are_indices(e, whether):
    assert is_index(e) is whether


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


def test_one_clamped_index_does_not_vouch_for_another():
    table = Buffer("table", dtypes.INDEX, (index(8),))
    i = Var("i")
    clamped = Checked(Load(table, (i,)), index(4), 0)
    assert is_index(add(clamped, i))
    assert not is_index(add(clamped, Load(table, (add(i, 1),))))
