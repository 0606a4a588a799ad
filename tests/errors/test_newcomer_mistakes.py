"""Mistakes that people make in their first hour, and what they are told."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tdsl as td

M, N = td.sizes("M N")
A = td.placeholder((M, N), "float32", name="A")
B = td.compute((M, N), lambda i, j: A[i, j] + 1.0, name="B")
increment = td.func("increment", [A], [B])


def told(action) -> str:
    with pytest.raises(td.TdslError) as caught:
        action()
    assert caught.value.span is None or caught.value.span.file == __file__
    return str(caught.value)


def test_functions_of_numpy_and_math_name_those_of_tdsl() -> None:
    def computed(function):
        return lambda: td.compute((M, N), lambda i, j: function(A[i, j]), name="C")

    assert "numpy's exp does not take tdsl values" in told(computed(np.exp))
    assert "td.exp" in told(computed(np.exp))
    assert "td.maximum" in told(computed(lambda x: np.maximum(x, 0)))
    assert "td.exp, td.sqrt" in told(computed(math.exp))


@pytest.mark.parametrize("two", [np.float32(2), np.float64(2), np.array(2.0), np.int64(2)])
def test_numbers_of_numpy_may_stand_on_either_side(two) -> None:
    C = td.compute(
        (M, N), lambda i, j: td.select(two < A[i, j], two * A[i, j], A[i, j] - two), name="C"
    )
    a = np.array([[1, 3]], np.float32)
    np.testing.assert_array_equal(td.reference(td.func("f", [A], [C]))(a), [[-1, 6]])


def test_an_array_of_numpy_times_a_value_is_an_array_of_values() -> None:
    weights = np.array([1.0, 2.0])
    C = td.compute((M, N), lambda i, j: (weights * A[i, j]).sum(), name="C")
    a = np.ones((1, 1), np.float32)
    assert td.reference(td.func("f", [A], [C]))(a) == 3


def test_arguments_by_name_are_answered_with_how_to_pass_them() -> None:
    kernel = td.build(increment)
    assert "pass arrays by position" in told(lambda: kernel(A=np.ones((2, 2), np.float32)))


def test_a_strided_output_is_answered_with_what_an_output_is() -> None:
    kernel = td.build(increment)
    message = told(lambda: kernel(np.ones((2, 2), np.float32), out=np.ones((2, 4), "f4")[:, ::2]))
    assert "np.empty(shape, dtype)" in message
    assert "ascontiguousarray" not in message


def test_a_schedule_of_something_else() -> None:
    assert "td.Schedule takes an algorithm, got Kernel" in told(
        lambda: td.Schedule(td.build(increment))
    )


def test_a_misspelt_schedule_lists_the_words() -> None:
    message = told(lambda: td.build(increment, schedule="tunned"))
    assert "there is no schedule file 'tunned'" in message
    assert "'default', 'tuned'" in message


def test_a_block_that_is_not_there_when_loops_are_asked_for() -> None:
    message = told(lambda: td.Schedule(increment).loops("C"))
    assert message.startswith("cannot find loops: there is no block 'C'")


def test_shapes_that_do_not_fit_are_shown() -> None:
    x = td.placeholder((4, 6), "float32", name="x")
    assert "from (4, 6) to (5, 5)" in told(lambda: td.reshape(x, (5, 5)))
    assert "no operand has 'l'" in told(lambda: td.einsum("ij,jk->il", x, x))


def test_a_misspelt_name_proposes_the_right_one() -> None:
    with pytest.raises(AttributeError) as caught:
        td.plceholder  # noqa: B018 - the lookup itself is tested
    assert (caught.value.name, caught.value.obj) == ("plceholder", td)


def test_the_fact_that_would_help_is_proposed_in_words_that_assume_takes():
    N, M = td.sizes("N M")
    A = td.placeholder((N,), "float32", name="A")
    padded = td.pad(A, (1,), (1,), mode="edge", name="padded")
    with pytest.raises(td.DeclarationError) as refusal:
        td.func("f", [A], [padded])
    assert "assume=['N >= 1']" in refusal.value.hint
    td.func("f", [A], [padded], assume=["N >= 1"])
    ahead = td.compute((M,), lambda i: A[i + 3], name="ahead")
    with pytest.raises(td.DeclarationError) as refusal:
        td.func("g", [A], [ahead])
    assert "assume=['M + 2 < N']" in refusal.value.hint
    td.func("g", [A], [ahead], assume=["M + 2 < N"])


def test_an_index_out_of_range_is_shown_as_it_was_written():
    table = td.placeholder((4, 2), "float32", name="table")
    ids = td.placeholder((3,), "int64", name="ids")
    rows = td.compute((3, 2), lambda i, j: table[ids[i], j], name="rows")
    kernel = td.build(td.Schedule(td.func("gather", [table, ids], [rows])))
    with pytest.raises(
        IndexError, match=r"index 9 is out of range in table\[ids\[i\], j\] of rows"
    ):
        kernel(np.zeros((4, 2), np.float32), np.array([0, 9, 1]))
    with pytest.raises(TypeError) as refusal:
        kernel(np.zeros((4, 2), np.float32), np.zeros(3, np.int64), out=np.zeros((3, 2)))
    assert refusal.value.hint == "pass out=np.empty(shape, np.float32), or none"


# a body of a compute, what the message says, what the help says
REDUCTIONS = [
    (lambda i, k: td.sum(A[i, k]), "td.sum needs axis=", "td.sum(A[i, k], axis=k)"),
    (lambda i, k: td.argmax(A[i, k]), "td.argmax needs axis=", "td.argmax(A[i, k], axis=k)"),
    (lambda i, k: td.prod(A[i, k], axis=()), "td.prod needs axis=", ""),
    (lambda i, k: td.sum(A[i, k], axis=1), "axis= of td.sum takes reduction axes, got 1", "td.red"),
    (lambda i, k: td.max(A[i, k], 0.0), "axis= of td.max takes reduction axes, got 0.0", ""),
    (lambda i, k: td.max(A[i, 0], A[i, k]), "takes reduction axes", "td.maximum(a, b) compares"),
    (lambda i, k: td.sum(A[i, k], axis=(k, k)), "runs over one axis twice: k, k", ""),
    (lambda i, k: td.reducer(0, lambda a, b: a + b)(A[i, k]), "the reducer needs axis=", ""),
]


@pytest.mark.parametrize(("body", "words", "hint"), REDUCTIONS)
def test_reductions_without_their_axis(body, words, hint) -> None:
    k = td.reduce_axis(N, name="k")
    with pytest.raises(td.TdslError) as caught:
        td.compute((M,), lambda i: body(i, k), name="C")
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_schedule_has_the_attributes_that_it_has_and_no_others() -> None:
    s = td.Schedule(increment)
    assert not hasattr(s, "vectorise")
    assert not hasattr(s, "_repr_html_")
    with pytest.raises(AttributeError):
        s.foo  # noqa: B018 - the lookup itself is tested


def test_a_scan_walks_its_axis_in_order():
    S = td.placeholder((8, 4), "float32", name="S")
    t = td.scan_axis(4, name="t")
    out = td.scan(
        t, {"h": ((8,), 0.0)}, lambda t, prev: {"h": lambda i: prev["h"][i] + S[i, t]}, name="sums"
    )
    shown = str(td.Schedule(td.func("f", [S], [out["h"]])))
    assert "for t in 4:  # in order" in shown
    assert "sums.h[t - 1, i]" in shown


@pytest.mark.parametrize("wrong", [None, 3, "float", "complex64", np.dtype("datetime64[s]"), list])
def test_what_is_no_dtype_is_told_those_that_are(wrong) -> None:
    text = told(lambda: td.placeholder((4,), wrong))
    assert f"unknown dtype {wrong!r}" in text or np.dtype(wrong).name in text
    assert "float64'" not in text
    assert "help: one of bool, int8" in text
