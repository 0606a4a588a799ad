"""Each rule of well-formed IR, broken once."""

from dataclasses import replace

import pytest

from tdsl import dtypes
from tdsl.errors import InternalError
from tdsl.ir import build
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Buffer,
    Cast,
    Checked,
    Const,
    Fma,
    Load,
    Math,
    MathFn,
    Ramp,
    Select,
    Shuffle,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.parser import parse_program
from tdsl.ir.stmt import (
    Alloc,
    For,
    Guard,
    If,
    Layout,
    Let,
    LoopKind,
    Param,
    Part,
    Prefetch,
    Program,
    Reducer,
    Role,
    Seq,
    Store,
)
from tdsl.ir.verify import Stage, problems, verify
from tdsl.ir.visit import leaves
from tests.ir import samples

F32, I32, I64, BOOL = dtypes.float32, dtypes.int32, dtypes.int64, dtypes.bool_
I = Var("i")
N = Var("N")
X = Buffer("x", F32, (N,))
Y = Buffer("y", F32, (N,))
ONE = Const(1.0, F32)


def found(stmt, stage="lowering"):
    p = Program("f", (Param(X, Role.IN), Param(Y, Role.OUT)), (N,), (), stmt)
    return [text for _, text in problems(p, stage)]


def value(e, dtype=F32):
    """Problems of an expression that stands in a `let`."""
    return found(For(I, N, Let(Var("v", e.dtype, e.lanes), e, Seq(()))))


def store(index=I, what=ONE, mask=None):
    return For(I, N, Store(Y, (index,), what, mask))


X8 = Ramp(I, build.index(1), 8)
LOAD8 = Load(X, (X8,))


@pytest.mark.parametrize(
    ("e", "message"),
    [
        (Var("q"), "variable 'q' is not bound here"),
        (Load(Buffer("z", F32, (N,)), (I,)), "buffer 'z' is not allocated here"),
        (Binary(BinaryOp.ADD, I, ONE), "+ of int64 and float32"),
        (Binary(BinaryOp.ADD, LOAD8, ONE), "+ of float32 x 8 and float32"),
        (Binary(BinaryOp.FLOORDIV, ONE, ONE), "// is not defined for float32"),
        (Unary(UnaryOp.SQRT, I), "sqrt is not defined for int64"),
        (Fma(I, I, I), "fma is not defined for int64"),
        (Select(I, ONE, ONE), "the condition of a select of float32 is int64"),
        (Select(build.TRUE, ONE, I), "select of float32 and int64"),
        (Bitcast(ONE, I64), "bitcast of float32 to int64: the widths differ"),
        (Math(MathFn.EXP, (I,)), "exp is not defined for int64"),
        (Checked(I, ONE), "checked of int64 and float32"),
        (Load(X, (I, I)), "x has rank 1 and 2 indices"),
        (Load(X, (Cast(I, I32),)), "an index of x is int32 in an access of 1 lanes"),
        (Load(X, (X8,), build.TRUE), None),
        (
            Load(X, (X8,), Broadcast(build.TRUE, 4)),
            "the mask of x is bool x 4 in an access of 8 lanes",
        ),
        (Ramp(X8, X8, 2), "ramp of int64 x 8 with 2 lanes"),
        (Broadcast(LOAD8, 2), "broadcast of float32 x 8 to 2 lanes"),
        (Shuffle((LOAD8,), (0, 8)), "shuffle picks 8 out of 8 lanes"),
        (Shuffle((LOAD8, X8), (0, 1)), "shuffle of vectors of several dtypes"),
        (Const(0.1, F32), "literal 0.1 is not rounded to float32"),
        (Const(300, dtypes.int8), "literal 300 is no value of int8"),
        (Const(1, BOOL), "literal 1 of bool"),
        (Const(float("nan"), F32), None),
    ],
)
def test_expressions(e, message):
    assert value(e) == ([] if message is None else [message])


@pytest.mark.parametrize(
    ("stmt", "message"),
    [
        (For(I, N, For(I, N, Seq(()))), "variable 'i' is bound twice"),
        (Seq((For(I, N, Seq(())), For(I, N, Seq(())))), "variable 'i' is bound twice"),
        (Seq((For(I, N, Seq(())), Store(Y, (I,), ONE))), "variable 'i' is not bound here"),
        (For(I, ONE, Seq(())), "an extent is float32, not a scalar int64"),
        (Alloc(X, Seq(())), "buffer 'x' is allocated twice"),
        (Seq((Alloc(Buffer("t", F32, ()), Seq(())), Seq(()))), None),
        (If(I, Seq(())), "variable 'i' is not bound here"),
        (If(N, Seq(())), "a condition is int64, not a scalar bool"),
        (Let(Var("v", I32), ONE, Seq(())), "'v' is int32 x 1, its value is not"),
        (store(what=I), "a int64 x 1 is stored to y"),
        (store(index=X8, what=LOAD8), None),
        (store(index=I, what=LOAD8), None),
        (For(I, N, Prefetch(Y, (I,))), None),
        (For(I, N, Prefetch(Y, (I, I))), "y has rank 1 and 2 indices"),
    ],
)
def test_statements(stmt, message):
    assert (found(stmt) or [None])[0] == message


def test_fused_loops_bind_their_parts_only():
    j, fused = Var("j"), Var("ij")
    parts = (Part(I, N), Part(j, N))
    extent = build.mul(N, N)
    assert found(For(fused, extent, Store(Y, (I,), ONE), parts=parts)) == []
    assert found(For(fused, extent, Store(Y, (fused,), ONE), parts=parts)) == [
        "variable 'ij' is not bound here"
    ]


def test_layouts():
    a = Var("a")
    t = Buffer("t", F32, (N,))
    fine = Layout((a,), (build.floordiv(a, 4), build.floormod(a, 4)))
    assert found(Alloc(t, Seq(()), layout=fine)) == []
    assert found(Alloc(t, Seq(()), layout=replace(fine, shape=(N,)))) == [
        "a layout of 2 outputs and 1 extents"
    ]
    assert found(Alloc(t, Store(Y, (a,), ONE), layout=fine)) == ["variable 'a' is not bound here"]


@pytest.mark.parametrize(
    ("stmt", "message"),
    [
        (store(), "store before lowering"),
        (If(build.TRUE, Seq(())), "if before lowering"),
        (For(I, N, Let(Var("v", I64), I, Seq(()))), "let before lowering"),
    ],
)
def test_lowered_nodes_do_not_belong_into_schedules(stmt, message):
    assert message in found(stmt, Stage.SCHEDULED)


@pytest.mark.parametrize(
    ("stmt", "message"),
    [
        (For(I, N, Seq(()), LoopKind.VECTORIZED), "loop 'i' is still vectorized"),
        (For(I, N, Seq(()), parts=(Part(Var("p"), N),)), "loop 'i' is still fused"),
        (store(what=Math(MathFn.EXP, (ONE,))), "exp is not expanded"),
        (samples.matmul_relu().body, "block 'C' after lowering"),
    ],
)
def test_what_lowering_has_to_realise(stmt, message):
    assert message in found(stmt, "lowered")


def matmul(change):
    """The matmul sample with its update block changed."""
    p = samples.matmul_relu()
    nest = p.body.body.body[0]
    leaf = leaves(nest)[0]
    changed = change(leaf)
    inner = nest.body.body
    nest = replace(nest, body=replace(nest.body, body=replace(inner, body=changed)))
    body = replace(p.body, body=Seq((nest, p.body.body.body[1])))
    return [text for _, text in problems(replace(p, body=body), "scheduled")]


def block(**changes):
    return lambda leaf: replace(leaf, block=replace(leaf.block, **changes))


def bad_value(leaf):
    write = leaf.block.writes[0]
    return replace(leaf, block=replace(leaf.block, writes=(replace(write, value=N),)))


def outer_variable(leaf):
    write = leaf.block.writes[0]
    at = (leaf.bindings[0], write.indices[1])
    return replace(leaf, block=replace(leaf.block, writes=(replace(write, indices=at),)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda leaf: replace(leaf, bindings=leaf.bindings[:2]),
            "C has 3 iteration variables and 2 bindings",
        ),
        (
            lambda leaf: replace(leaf, bindings=(ONE, *leaf.bindings[1:])),
            "a binding of C is float32, not a scalar int64",
        ),
        (
            lambda leaf: replace(leaf, guards=(Guard(N),)),
            "a guard of C is int64, not a scalar bool",
        ),
        (bad_value, "block 'C': a int64 is written to C, which is float32"),
        (outer_variable, "block 'C': variable 'i' is not bound here"),
        (block(where=N), "block 'C': `where` is int64, not a scalar bool"),
        (block(sources=()), "block 'C': 0 sources for 1 writes"),
        (
            block(init=samples.init_block("C.init", Y, 1)),
            "block 'C': 2 iteration variables that are not reduced and 1 in its init",
        ),
        (
            block(init=samples.init_block("C.init", Y, 1, 1)),
            "block 'C': its init writes other buffers",
        ),
        (
            block(reducer=Reducer("sum", (), (I,), (I,), (I,))),
            "block 'C': reducer 'sum' has operands, identity and result of several lengths",
        ),
        (block(kind=samples.BlockKind.COMPUTE), "block 'C': an init in a block of kind compute"),
    ],
)
def test_leaves_and_blocks(change, message):
    assert message in matmul(change)


def test_vectors_do_not_belong_into_blocks():
    p = samples.elementwise(N, F32, lambda x: Shuffle((Broadcast(x, 2),), (0,)))
    texts = [text for _, text in problems(p, "scheduled")]
    assert "block 'out': broadcast before lowering" in texts


def test_the_error_shows_the_nest_and_marks_the_statement():
    p = Program("f", (Param(X, Role.IN), Param(Y, Role.OUT)), (N,), (), store(index=Var("q")))
    with pytest.raises(InternalError) as caught:
        verify(p, "lowering")
    assert "f is not well formed as lowering IR: variable 'q' is not bound here" in str(
        caught.value
    )
    assert ">   y[q?] = 1" in str(caught.value)


def test_shared_subtrees_are_checked_once():
    e = Load(X, (I,))
    for _ in range(60):
        e = Binary(BinaryOp.ADD, e, e)
    assert value(e) == []


def test_a_lowered_program_passes():
    text = """\
tdsl-ir 1
func f(x: f32[N]) -> y: f32[N]:
  for i in parallel(N // 8):
    y[ramp(i * 8, 1, 8)] = x[ramp(i * 8, 1, 8)]
"""
    verify(parse_program(text), Stage.LOWERED)
