import random

import pytest
from hypothesis import given, settings, strategies as st

from tdsl import dtypes
from tdsl.errors import InternalError
from tdsl.ir import build
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Checked, Const, Fma, Load, Unary, UnaryOp, Var
from tdsl.ir.interval import Interval
from tdsl.ir.printer import print_expr
from tdsl.ir.simplify import (
    BUDGET,
    _Simplifier,
    simplify,
    simplify_program,
    simplify_stmt,
    simplify_value,
)
from tdsl.ir.stmt import Alloc, For, Guard, If, Leaf, Seq, Store
from tdsl.ir.visit import walk
from tests.ir import samples
from tests.ir.random_exprs import Exprs
from tests.ir.test_rules import evaluate, same

I, J, K, N = Var("i"), Var("j"), Var("k"), Var("N")
ENV = {I: Interval.of_extent(8), J: Interval.of_extent(16), K: Interval.of_extent(N)}


def text(e):
    return print_expr(simplify(e, ENV, (N,)))


def op(kind, a, b):
    return Binary(kind, build.as_index(a), build.as_index(b))


@pytest.mark.parametrize(
    ("e", "expected"),
    [
        (build.floordiv(build.add(build.mul(K, 8), I), 8), "k"),
        (build.floormod(build.add(build.mul(K, 8), I), 8), "i"),
        (build.floordiv(build.add(build.mul(K, 16), I), 8), "k * 2"),
        (build.floordiv(build.add(build.mul(K, 8), J), 8), "k + j // 8"),
        (op(BinaryOp.ADD, build.add(I, 3), -3), "i"),
        (op(BinaryOp.ADD, build.mul(build.floordiv(K, 4), 4), build.floormod(K, 4)), "k"),
        (build.lt(I, 8), "true"),
        (build.lt(K, N), "true"),
        (build.lt(J, 8), "j < 8"),
        (build.minimum(I, 7), "i"),
        (build.maximum(build.sub(I, 9), 0), "0"),
        (build.select(build.lt(I, 9), J, K), "j"),
        (build.floormod(build.floormod(K, 12), 4), "k % 4"),
        (build.floordiv(build.floordiv(K, 3), 4), "k // 12"),
        (Unary(UnaryOp.NOT, build.lt(K, 3)), "k >= 3"),
        (op(BinaryOp.SUB, build.add(build.mul(I, 4), J), build.mul(I, 4)), "j"),
    ],
)
def test_index_arithmetic_folds(e, expected):
    assert text(e) == expected


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 1 << 40))
def test_simplified_indices_and_conditions_keep_their_value(seed):
    rng = random.Random(seed)
    draw = Exprs(rng, [I, J, K], [])
    e = draw.index(5) if rng.random() < 0.5 else draw.condition(4)
    size = rng.randint(1, 12)
    env = {I: Interval.of_extent(8), J: Interval.of_extent(16), K: Interval.of_extent(N)}
    new = simplify(e, env, (N,))
    for _ in range(10):
        at = {I: rng.randrange(8), J: rng.randrange(16), K: rng.randrange(size), N: size}
        assert evaluate(e, at) == evaluate(new, at), (print_expr(e), print_expr(new), at)
    assert simplify(new, env, (N,)) == new or len(list(walk(new))) > 40


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 1 << 40))
def test_simplified_data_keeps_its_bits(seed):
    rng = random.Random(seed)
    variables = [Var(t.short, t) for t in dtypes.ALL]
    dtype = rng.choice(dtypes.ALL)
    draw = Exprs(rng, variables, [])
    e = draw.expr(dtype, 4)
    new = simplify_value(e)
    at = {v: draw.literal(v.type).value for v in variables}
    try:
        expected = evaluate(e, at)
    except (InternalError, KeyError, ValueError, IndexError):
        return
    except Exception as error:
        if "knows no function" not in str(error):
            raise
        return
    assert same(expected, evaluate(new, at)), (print_expr(e), print_expr(new))


def test_data_arithmetic_keeps_its_wrap_around():
    x = Var("x", dtypes.int32)
    e = Binary(BinaryOp.FLOORDIV, Binary(BinaryOp.MUL, x, Const(8, x.type)), Const(8, x.type))
    assert simplify_value(e) is e


def test_adding_zero_to_a_float_stays_for_minus_zero():
    x = Var("x", dtypes.float32)
    e = Binary(BinaryOp.ADD, x, Const(0.0, x.type))
    assert simplify_value(e) is e


def test_a_fused_operation_on_literals_is_rounded_once():
    x = Const(1 + 2.0**-12, dtypes.float32)  # its square is 1 + 2**-11 + 2**-24, a bit too long
    rounded_square = Const(-1 - 2.0**-11, dtypes.float32)
    assert simplify_value(Fma(x, x, rounded_square)) == Const(2.0**-24, dtypes.float32)


def test_a_check_is_never_dropped():
    index = Checked(Var("i"), build.index(4))
    e = Binary(BinaryOp.MUL, index, build.index(0))
    assert simplify(e) is e


def test_unchanged_trees_are_shared():
    program = samples.matmul_relu()
    assert simplify_program(program) is program


def test_guards_that_hold_go_and_leaves_that_never_run_too():
    program = samples.matmul_relu()
    loop = program.body.body.body[1]
    leaf = loop.body.body
    guarded = Leaf(leaf.block, leaf.bindings, (Guard(build.lt(loop.var, loop.extent)),))
    nest = For(loop.var, loop.extent, For(loop.body.var, loop.body.extent, guarded))
    assert simplify_stmt(nest, {}, program.sizes).body.body.guards == ()
    never = Leaf(leaf.block, leaf.bindings, (Guard(build.lt(loop.var, 0)),))
    assert simplify_stmt(For(loop.var, loop.extent, never), {}, program.sizes).body == Seq(())


def test_branches_and_loops_that_never_run_go():
    b = Buffer("b", dtypes.float32, (build.index(8),))
    i = Var("i")
    store = Store(b, (i,), Load(b, (build.index(0),)))
    body = Seq((If(build.lt(i, 8), store, Store(b, (i,), Const(1.0, b.type))), store))
    nest = For(i, build.index(8), body)
    assert simplify_stmt(nest) == For(i, build.index(8), Seq((store, store)))
    assert simplify_stmt(Alloc(b, For(i, build.index(0), store))) == Alloc(b, Seq(()))


def test_work_is_linear_in_a_long_sum():
    def work(n):
        """Expressions visited and rules applied."""
        e = build.index(0)
        for k in range(n):
            e = Binary(BinaryOp.ADD, e, Binary(BinaryOp.MUL, I if k % 2 else J, build.index(k)))
        simplifier = _Simplifier(ENV, frozenset())
        simplifier.expr(e)
        return len(simplifier.memo) + BUDGET - simplifier.budget

    assert work(160) < 10 * work(20)
