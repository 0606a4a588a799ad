"""The probe table: small schedules that other systems accept wrongly, or refuse wrongly."""

import pytest

import tdsl as td
from tests.analysis.asking import accepted, refused

N = 64


@pytest.fixture
def recurrence():
    A = td.inout(td.placeholder((N + 2,), "float32", name="A"))
    i = td.reduce_axis(N, name="i")
    step = td.update(
        A, over=(i,), at=i + 1, value=lambda cur: cur[i] + cur[i + 2], op="set", name="step"
    )
    return td.func("f", [A], [step]).program


def test_a_recurrence_may_not_run_in_parallel(recurrence):
    refusal = refused(recurrence, f"par i in {N}:\n  step(i)\n")
    assert refusal.witness.kind in ("RAW", "WAR")
    assert refusal.witness.first["i"] + 1 == refusal.witness.second["i"]
    assert "i may run at once" in refusal.reason
    accepted(recurrence, f"i in {N}:\n  step(i)\n")


def test_a_recurrence_may_not_run_backwards(recurrence):
    refused(recurrence, f"i in {N}:\n  step({N - 1}-i)\n")


def test_two_iterations_that_write_one_element_may_not_run_in_parallel():
    C = td.inout(td.placeholder((N,), "float32", name="C"))
    X = td.placeholder((N,), "float32", name="X")
    i = td.reduce_axis(N, name="i")
    S = td.update(C, over=(i,), at=i // 2, value=X[i], op="set", name="S")
    program = td.func("f", [C, X], [S]).program
    found = refused(program, f"par i in {N}:\n  S(i)\n", "WAW")
    assert found.witness.first["i"] // 2 == found.witness.second["i"] // 2
    accepted(program, f"par io in {N // 2}:\n  ii in 2:\n    S(io*2+ii)\n")


def test_a_dot_product_may_not_run_in_parallel():
    x = td.placeholder((N,), "float32", name="x")
    y = td.placeholder((N,), "float32", name="y")
    k = td.reduce_axis(N, name="k")
    s = td.compute((1,), lambda i: td.sum(x[k] * y[k], axis=k), name="s")
    program = td.func("f", [x, y], [s]).program
    text = f"i in 1:\n  par k in {N}:\n    s(i, k)\n"
    refusal = refused(program, text, "WAW", (0,))
    assert "rfactor" in refusal.hint
    assert "atomic" in refusal.hint


@pytest.fixture
def diagonal():
    A = td.inout(td.placeholder((N + 2, N + 2), "float32", name="A"))
    i, j = td.reduce_axis(N, name="i"), td.reduce_axis(N, name="j")
    step = td.update(
        A,
        over=(i, j),
        at=(i + 1, j + 1),
        value=lambda cur: cur[i, j + 2] + cur[i + 2, j],
        op="set",
        name="step",
    )
    return td.func("f", [A], [step]).program


def test_interchange_against_a_diagonal_dependence_is_refused(diagonal):
    refusal = refused(diagonal, f"j in {N}:\n  i in {N}:\n    step(i, j)\n")
    assert refusal.witness is not None
    accepted(diagonal, f"i in {N}:\n  j in {N}:\n    step(i, j)\n")


def test_tiling_against_a_diagonal_dependence_is_refused(diagonal):
    tiles = N // 8
    refused(
        diagonal,
        f"""
io in {tiles}:
  jo in {tiles}:
    ii in 8:
      ji in 8:
        step(io*8+ii, jo*8+ji)
""",
    )


def test_every_second_element_may_be_written_in_parallel():
    C = td.inout(td.placeholder((2 * N,), "float32", name="C"))
    X = td.placeholder((N,), "float32", name="X")
    i = td.reduce_axis(N, name="i")
    S = td.update(C, over=(i,), at=2 * i, value=X[i], op="set", name="S")
    program = td.func("f", [C, X], [S]).program
    accepted(program, f"par i in {N}:\n  S(i)\n")
    accepted(program, f"vec i in {N}:\n  S(i)\n")


def test_odd_elements_from_even_ones_may_be_computed_in_parallel():
    X = td.inout(td.placeholder((2 * N + 2,), "float32", name="X"))
    i = td.reduce_axis(N, name="i")
    S = td.update(
        X, over=(i,), at=2 * i + 1, value=lambda cur: cur[2 * i] + cur[2 * i + 2], op="set",
        name="S",
    )  # fmt: skip
    accepted(td.func("f", [X], [S]).program, f"par i in {N}:\n  S(i)\n")


def test_a_guarded_tail_does_not_block_a_reorder():
    A = td.placeholder((509, 509), "float32", name="A")
    C = td.compute((509, 509), lambda i, j: A[j, i] * 2.0, name="C")
    accepted(
        td.func("f", [A], [C]).program,
        """
io in 64:
  jo in 32:
    ji in 16:
      ii in 8:
        C(io*8+ii, jo*16+ji) if io*8+ii < 509, jo*16+ji < 509
""",
    )
