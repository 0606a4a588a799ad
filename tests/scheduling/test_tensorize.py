"""tensorize: loop nests run as instructions that are declared outside of the compiler."""

import ml_dtypes
import numpy as np
import pytest

import tdsl as td
from tdsl.fuzzing.checks import disagreement
from tdsl.ir.interp import interpret
from tdsl.lower import lower
from tdsl.schedules.instructions import dot_products
from tdsl.target import host, target
from tests.fuzz.texts import round_trips

RNG = np.random.default_rng(0)


def matmul(m=5, n=32, k=16, a="uint8", b="int8", acc="int32", *, swapped=False):
    A = td.placeholder((m, k), a, name="A")
    B = td.placeholder((k, n), b, name="B")
    r = td.reduce_axis(k, name="k")

    def term(i, j):
        x, y = td.cast(A[i, r], acc), td.cast(B[r, j], acc)
        return td.sum(y * x if swapped else x * y, axis=r)

    C = td.compute((m, n), term, name="C")
    return td.func("matmul", [A, B], [C])


def ready(func, depth=4, lanes=16, on="llvm", layout=True):
    """The nest of an instruction, with B in the order that it wants."""
    s = td.Schedule(func, on)
    s.cache_read("C", "B")
    if layout:
        s.transform_layout("B.C", f"k, j -> j // {lanes}, k // {depth}, j % {lanes}, k % {depth}")
    jo, ji = s.split("C.j", lanes)
    ko, ki = s.split("C.k", depth)
    s.reorder(jo, ko, ji, ki)
    return s, ji


def bytes_of(func):
    return [
        RNG.integers(0 if t.dtype.min == 0 else -128, 128, [int(e.value) for e in t.buffer.shape])
        .astype(t.dtype.numpy)
        for t in func.inputs
    ]  # fmt: skip


@pytest.mark.parametrize("swapped", [False, True])
def test_bytes_are_multiplied_exactly(swapped):
    s, ji = ready(matmul(swapped=swapped))
    s.tensorize(ji, "vpdpbusd")
    assert s.numerics.value == "exact"
    a, b = bytes_of(s.func)
    a[:] = 255
    kernel = td.build(s)
    np.testing.assert_array_equal(kernel(a, b), a.astype(int) @ b.astype(int))
    if "avx512vnni" in target("llvm").features and "avx512vnni" in host().features:
        assert "vpdpbusd" in kernel.source("asm")
    assert disagreement(s) is None


@pytest.mark.parametrize("on", ["llvm -mcpu=x86-64-v3", "llvm -mcpu=znver4", "opencl"])
def test_every_target_runs_what_the_instruction_means(on):
    s, ji = ready(matmul(3, 16, 8), on=on)
    s.tensorize(ji, "vpdpbusd")
    arrays = dict(zip("AB", bytes_of(s.func), strict=True))
    lowered = lower(s.program, s.target).program
    expected = arrays["A"].astype(int) @ arrays["B"].astype(int)
    np.testing.assert_array_equal(interpret(lowered, arrays)["C"], expected)


def test_accumulators_live_in_registers():
    s = td.Schedule(matmul(8, 32, 16))
    s.transform_layout("B", "k, j -> j // 32, k // 4, j % 32, k % 4", prepacked=True)
    _, jo, ii, ji = s.tile("C.i", "C.j", 4, 32)
    s.cache_write("C", "register", at=jo)
    jv, lane = s.split(ji, 16)
    ko, ki = s.split("C.k", 4)
    s.reorder(ko, ii, jv, lane, ki)
    s.unroll(ii)
    s.unroll(jv)
    s.tensorize(lane, "vpdpbusd")
    rows, columns = s.loops("C.out")[-2:]
    s.vectorize(columns, 16)
    s.unroll(rows)
    a, b = bytes_of(s.func)
    kernel = td.build(s)
    np.testing.assert_array_equal(kernel(a, kernel.pack("B", b)), a.astype(int) @ b.astype(int))


def test_bfloat16_products_are_approximate_within_rounding():
    s, ji = ready(matmul(6, 16, 64, "bfloat16", "bfloat16", "float32"), depth=2)
    s.tensorize(ji, "vdpbf16ps")
    assert s.numerics.value == "approximates"
    a = RNG.standard_normal((6, 64)).astype(ml_dtypes.bfloat16)
    b = RNG.standard_normal((64, 16)).astype(ml_dtypes.bfloat16)
    exact = a.astype(float) @ b.astype(float)
    bound = 66 * 2.0**-23 * (abs(a.astype(float)) @ abs(b.astype(float)))
    assert (abs(td.build(s)(a, b) - exact) <= bound).all()


def test_texts_and_files_read_back(tmp_path):
    s, ji = ready(matmul(4, 16, 8))
    s.tensorize(ji, "vpdpbusd")
    assert round_trips(s) is None
    s.save(tmp_path / "matmul.schedule", algorithm="matmul.py:matmul")
    assert str(td.load_schedule(tmp_path / "matmul.schedule", s.func)) == str(s)


def refusal(s, loop, name="vpdpbusd"):
    before = str(s)
    with pytest.raises(td.ScheduleError) as error:
        s.tensorize(loop, name)
    assert str(s) == before
    return str(error.value)


def test_other_updates_are_refused():
    s, ji = ready(matmul(a="int8"))
    assert "its update is another expression" in refusal(s, ji)
    s, ji = ready(matmul(a="int8", b="uint8"))
    assert "moves 'B.C', the operand 'a'" in refusal(s, ji)  # operands the other way round
    s, ji = ready(matmul(acc="int64"))
    assert "its update is another expression" in refusal(s, ji)


def test_other_loops_are_refused():
    s, ji = ready(matmul(), lanes=8)
    assert "its loops have other extents" in refusal(s, ji)
    s, ji = ready(matmul())
    assert "its loops have other extents" in refusal(s, "C.ko")
    s = td.Schedule(matmul(16, 32, 16))
    _, ki = s.split("C.k", 4)
    s.reorder("C.j", "C.ko", "C.i", ki)
    assert "loop 'i' moves 'A', the operand 'a'" in refusal(s, "C.i")


def test_a_nest_that_stops_early_is_refused():
    s, ji = ready(matmul(k=18))
    text = refusal(s, ji)
    assert "stops before the end of 'ki', 'ko'" in text or "stops before the end of 'ki'" in text
    assert "its loops are j in 16, k in 4, whole" in text


def test_marks_and_other_blocks_are_refused():
    s, ji = ready(matmul())
    s.vectorize(ji)
    assert "is vectorized" in refusal(s, s.loops("C")[-2])
    s, _ = ready(matmul())
    assert "more than one block" in refusal(s, "C.i") or "other extents" in refusal(s, "C.i")
    assert "there is no instruction 'vpdp'" in refusal(s, "C.ji", "vpdp")
    assert "vdpbf16ps, vpdpbusd" in refusal(s, "C.ji", "vpdp")


def test_operands_that_do_not_lie_together_stop_the_build():
    s, ji = ready(matmul(), layout=False)
    s.tensorize(ji, "vpdpbusd")
    with pytest.raises(td.LoweringError) as error:
        td.build(s)
    assert "steps of 1 along ki, 4 along ji" in str(error.value)
    assert "those of 'B.C' have steps of 32 along ki, 1 along ji" in str(error.value)


STEPS = {
    "fuse": (lambda s: s.fuse("C.ji", "C.ki"), "part of what an instruction runs"),
    "split": (lambda s: s.split("C.ji", 4), "part of what an instruction runs"),
    "unroll": (lambda s: s.unroll("C.ki"), "'vpdpbusd' runs loop 'ki'"),
    "atomic": (lambda s: s.atomic("C"), "'C' is atomic; 'vpdpbusd' is not"),
    "reorder": (lambda s: s.reorder("C.ji", "C.jo"), "'vpdpbusd' runs loop 'ko'"),
    "prefetch": (
        lambda s: s.prefetch("C", "A", "i, j, k -> i, k"), "'C' is prefetching; 'vpdpbusd' is not",
    ),
    "skew": (lambda s: s.skew("C.ki", "C.ji"), "'C' stops before the end of 'ji', 'ki'"),
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_steps_that_would_take_the_nest_apart_are_refused(step):
    s, ji = ready(matmul())
    s.tensorize(ji, "vpdpbusd")
    before = str(s)
    take, reason = STEPS[step]
    with pytest.raises(td.ScheduleError) as error:
        take(s)
    assert reason in error.value.reason
    assert str(s) == before


def test_steps_outside_of_the_nest_are_taken():
    s, ji = ready(matmul(m=9, k=24))
    s.tensorize(ji, "vpdpbusd")
    io, ii = s.split("C.i", 4)
    s.parallel(io)
    s.unroll(ii)
    s.split("C.ko", 2)
    assert disagreement(s) is None


def test_a_reversed_operand_stops_the_build():
    s, ji = ready(matmul())
    s.tensorize(ji, "vpdpbusd")
    s.reverse("C.ki")
    with pytest.raises(td.LoweringError, match="steps of -1 along ki"):
        td.build(s)


def test_users_declare_instructions_of_their_own():
    td.instruction(
        "mac4", dot_products(4, 1, ("int32", "int32"), "int32", name="mac4"), "llvm.none",
        ["<4 x i32>", "<4 x i32>", "<4 x i32>"], features=["no-such-feature"],
    )  # fmt: skip
    s, ji = ready(matmul(3, 8, 3, "int32", "int32"), depth=1, lanes=4)
    s.tensorize(ji, "mac4")
    assert disagreement(s) is None
    with pytest.raises(td.DeclarationError, match="another instruction is called 'mac4'"):
        td.instruction(
            "mac4", dot_products(4, 1, ("int32", "int32"), "int32", name="mac4"), "llvm.other",
            ["<4 x i32>", "<4 x i32>", "<4 x i32>"],
        )  # fmt: skip


@pytest.mark.parametrize("outermost", ["ji", "ki"])
def test_operands_of_one_element_are_no_vectors(outermost):
    """Loops of one iteration are the instruction's too, the first of them as well."""
    name = f"mac4_{outermost}"
    td.instruction(
        name, dot_products(4, 1, ("int32", "int32"), "int32", name=name), "llvm.none",
        ["<4 x i32>", "<1 x i32>", "<4 x i32>"], features=["no-such-feature"],
    )  # fmt: skip
    s, _ = ready(matmul(3, 8, 3, "int32", "int32"), depth=1, lanes=4)
    s.reorder(f"C.{outermost}", "C.ki" if outermost == "ji" else "C.ji")
    s.tensorize(f"C.{outermost}", name)
    with pytest.raises(td.LoweringError, match="as a vector of a single element"):
        td.build(s)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (["<4 x i32>", "<4 x i32>"], "3 operands"),
        (["<8 x i32>", "<4 x i32>", "<4 x i32>"], "out of bad has 4 elements"),
        (["<4 x i32>", "<4 x i16>", "<4 x i32>"], "a of bad has 1 elements of int32"),
        (["<4 x i32>", "i32", "<4 x i32>"], "no vector type"),
    ],
)
def test_types_that_do_not_fit_the_meaning_are_refused(types, message):
    meaning = dot_products(4, 1, ("int32", "int32"), "int32", name="bad")
    with pytest.raises(td.DeclarationError, match=message):
        td.instruction("bad", meaning, "llvm.none", types)


def test_meanings_are_single_reductions_over_plain_axes():
    a = td.placeholder((4,), "int32", name="a")
    twice = td.compute((4,), lambda i: a[i] * 2, name="twice")
    with pytest.raises(td.DeclarationError, match="one reduction of one value"):
        td.instruction("bad", td.func("bad", [a], [twice]), "x", ["<4 x i32>", "<4 x i32>"])
    k = td.reduce_axis(2, name="k")
    half = td.compute((2,), lambda i: td.sum(a[i + k], axis=k), name="half")
    with pytest.raises(td.DeclarationError, match="no axis of its own"):
        td.instruction("bad", td.func("bad", [a], [half]), "x", ["<2 x i32>", "<4 x i32>"])
