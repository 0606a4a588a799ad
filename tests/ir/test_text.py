"""The text of a program holds all of it, and says where it goes wrong."""

import pytest
from hypothesis import given, settings, strategies as st

from tdsl import dtypes
from tdsl.errors import FormatError
from tdsl.ir import build
from tdsl.ir.equal import alpha_equal, fingerprint
from tdsl.ir.expr import Binary, BinaryOp, Const, Load, Unary, UnaryOp, Var
from tdsl.ir.parser import parse_program
from tdsl.ir.printer import print_expr, print_nest, print_program
from tdsl.ir.stmt import Seq
from tdsl.ir.verify import problems, verify
from tdsl.ir.visit import leaves, walk
from tests.ir import samples
from tests.ir.random_programs import Programs


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 1 << 40), lowered=st.booleans())
def test_random_programs_survive_the_round_trip(seed, lowered):
    program = Programs(seed, lowered=lowered).program()
    text = print_program(program)
    back = parse_program(text)
    assert alpha_equal(back, program), text
    assert fingerprint(back) == fingerprint(program)
    assert print_program(back) == text
    names = [leaf.block.name for leaf in leaves(program.body)]
    assert [leaf.block.name for leaf in leaves(back.body)] == names
    assert [type(n) for n in walk(back.body)] == [type(n) for n in walk(program.body)]
    assert print_nest(program)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 40), lowered=st.booleans())
def test_random_programs_are_well_formed(seed, lowered):
    program = Programs(seed, lowered=lowered).program()
    stage = "lowering" if lowered else "scheduled"
    assert [text for _, text in problems(program, stage)] == []


def test_matmul_reads_as_in_the_design():
    assert (
        print_program(samples.matmul_relu())
        == """\
tdsl-ir 1
func matmul_relu(A: f32[M, K], B: f32[K, N]) -> D: f32[M, N]:
  sizes M, N, K
  alloc C: f32[M, N]
  for i in M, j in N, k in K:
    block C(i, j, reduce k): C[i, j] = fma(A[i, k], B[k, j], C[i, j])
      init C.init(i: M, j: N): C[i, j] = 0
      reducer sum(x: f32; y: f32) = x + y from 0
      source A[i, k] * B[k, j]
  for i in M, j in N:
    block D(i, j): D[i, j] = max(C[i, j], 0)
"""
    )


def test_nest_shows_bindings_and_marks_a_statement():
    program = samples.matmul_relu()
    assert isinstance(program.body.body, Seq)
    inner = program.body.body.body[0].body.body
    assert (
        print_nest(program, inner)
        == """\
  alloc C: f32[M, N]
  for i in M:
    for j in N:
>     for k in K:  # reduction
        C[i, j] += A[i, k] * B[k, j]
  for i in M:
    for j in N:
      D[i, j] = max(C[i, j], 0)"""
    )


def test_comments_and_blank_lines_are_skipped():
    text = print_program(samples.matmul_relu()).replace("\n", "  # why\n\n").replace(
        "tdsl-ir 1  # why", "tdsl-ir 1"
    )  # fmt: skip
    assert alpha_equal(parse_program(text), samples.matmul_relu())


@pytest.mark.parametrize(
    ("e", "text"),
    [
        (Const(-3), "-3"),
        (Unary(UnaryOp.NEG, Const(3)), "neg(3)"),
        (Const(3, dtypes.int8), "3_i8"),
        (Const(0.1, dtypes.float64), "0.1_f64"),
        (build.const(0.1, dtypes.float32), "0.1"),
        (build.const(0.1, dtypes.bfloat16), "0.1_bf16"),
        (Const(float("-inf"), dtypes.float16), "-inf_f16"),
        (build.add(Var("i"), 1), "i + 1"),
        (build.mul(build.add(Var("i"), 1), 2), "(i + 1) * 2"),
        (build.sub(Var("i"), build.sub(Var("j"), 1)), "i - (j - 1)"),
        (build.logical_and(build.lt(Var("i"), 1), build.ge(Var("j"), 2)), "i < 1 and j >= 2"),
        (Binary(BinaryOp.AND, Var("i"), Const(7)), "i & 7"),
        (Unary(UnaryOp.NOT, build.lt(Var("i"), 3)), "not i < 3"),
    ],
)
def test_expressions_read_like_python(e, text):
    assert print_expr(e) == text


def test_literals_need_a_suffix_only_where_nothing_tells_their_dtype():
    one = Const(1, dtypes.int32)
    assert print_expr(Binary(BinaryOp.ADD, one, one)) == "1_i32 + 1_i32"
    assert print_expr(Binary(BinaryOp.ADD, Var("x", dtypes.int32), one)) == "x + 1"


HEAD = "tdsl-ir 1\nfunc f(x: f32[N]) -> y: f32[N]:\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (HEAD + "  for i in N:\n    y[i] = z[i]\n", 4, 11, "no buffer 'z' here"),
        (HEAD + "  for i in N:\n    y[j] = x[i]\n", 4, 6, "no variable 'j' here"),
        (HEAD + "  for i in N\n    y[i] = x[i]\n", 3, 12, "expected ':'"),
        (HEAD + "  for i in N:\n  y[0] = x[0]\n", 3, 13, "expected an indented body"),
        (HEAD + "  for i in N:\n      y[i] = x[i]\n", 4, 6, "indented 1 levels too far"),
        (HEAD + "   barrier\n", 3, 3, "indentation is two spaces a level"),
        (HEAD + "  y[0] = 1_f31\n", 3, 9, "no dtype 'f31'"),
        (HEAD + "  y[1.5] = 0\n", 3, 4, "1.5 is no value of int64"),
        (HEAD + "  y[0] = nosuch(1)\n", 3, 9, "no function 'nosuch'"),
        (HEAD + "  y[0] = x[0] $\n", 3, 14, "unexpected character '$'"),
        (HEAD + "  y[0] = x[0] x\n", 3, 14, "expected the end of the line"),
        (HEAD + "  if 1 < 2 < 3:\n    barrier\n", 3, 11, "comparisons do not chain"),
        (HEAD + "  block y(i): y[i] = x[i]\n", 3, 12, "'i' is bound to nothing"),
        (HEAD + "  block y(i = 0): y[i] = x[i]\n", 3, 16, "the extent of 'i' is missing"),
        (HEAD + "  alloc y: f32[N]\n  barrier\n", 3, 8, "a second buffer 'y'"),
        (HEAD + "  frob\n", 3, 2, "expected a statement"),
        (HEAD + "  alloc t: f32[N] in attic\n  barrier\n", 3, 21, "no scope 'attic'"),
        (HEAD + "  block @3()\n", 3, 10, "no block @3"),
    ],
)
def test_errors_give_line_and_column(text, line, column, message):
    with pytest.raises(FormatError) as caught:
        parse_program(text)
    assert f"IR text, line {line}, column {column}: {message}" in caught.value.message
    shown, caret = caught.value.message.splitlines()[-2:]
    assert caret.index("^") - shown.index("|") - 2 == column


def test_newer_text_is_refused():
    with pytest.raises(FormatError, match="version 2; this tdsl reads version 1"):
        parse_program(print_program(samples.matmul_relu()).replace("tdsl-ir 1", "tdsl-ir 2"))


@pytest.mark.parametrize(
    "text", ["", "hello\n", "tdsl-schedule 1\n", "tdsl-ir one\n", "tdsl-ir 1\n"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(FormatError):
        parse_program(text)


def test_fingerprint_ignores_names_of_loops_and_heeds_those_of_parameters():
    text = print_program(samples.matmul_relu())
    renamed = text.replace("for i in M, j in N, k in K", "for p in M, q in N, r in K").replace(
        "C(i, j, reduce k):", "C(i = p, j = q, reduce k = r):"
    )
    assert renamed != text
    one = fingerprint(parse_program(text))
    assert fingerprint(parse_program(renamed)) == one
    assert fingerprint(parse_program(text.replace("A:", "Q:").replace("A[", "Q["))) != one
    assert fingerprint(parse_program(text.replace("K", "KK"))) != one
    assert len(one) == 64


def test_equality_tells_shared_blocks_from_copies():
    program = samples.matmul_relu()
    assert alpha_equal(program, samples.matmul_relu())
    shared = print_program(program).replace(
        "block D(i, j): D[i, j] = max(C[i, j], 0)\n",
        "block D @0(i, j): D[i, j] = max(C[i, j], 0)\n    block @0(i, j)\n",
    )
    copied = shared.replace("@0(i, j)\n", "D(i, j): D[i, j] = max(C[i, j], 0)\n")
    one, two = parse_program(shared), parse_program(copied)
    assert len({leaf.block for leaf in leaves(one.body)}) == 2
    assert len({leaf.block for leaf in leaves(two.body)}) == 3
    assert alpha_equal(one, parse_program(shared))
    assert not alpha_equal(one, two)


def test_free_variables_are_equal_only_to_themselves():
    i, j = Var("i"), Var("i")
    x = leaves(samples.matmul_relu().body)[0].block.writes[0].buffer
    assert alpha_equal(Load(x, (i, i)), Load(x, (i, i)))
    assert not alpha_equal(Load(x, (i, i)), Load(x, (i, j)))


def test_verify_accepts_the_canonical_program():
    verify(samples.matmul_relu(), "scheduled")
