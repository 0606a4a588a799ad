"""What cannot be declared is refused where it is written, with what would help."""

from __future__ import annotations

import pytest

import tdsl as td


def test_index_past_the_end_is_refused_at_the_compute() -> None:
    A = td.placeholder((50,), name="A")
    with pytest.raises(td.DeclarationError, match=r"index i \+ 100 of A\[50\]") as caught:
        td.compute((50,), lambda i: A[i + 100], name="B")
    text = str(caught.value)
    assert "its range is 100 .. 149" in text
    assert "extent 50" in text
    assert caught.value.span is not None
    assert caught.value.span.file == __file__


def test_symbolic_index_that_always_leaves_is_refused_at_the_compute() -> None:
    N = td.sizes("N")
    A = td.placeholder((N,), name="A")
    with pytest.raises(td.DeclarationError, match="leaves 0 <= index < N"):
        td.compute((N,), lambda i: A[i + 1], name="B")


def test_index_that_leaves_for_some_sizes_is_refused_by_func() -> None:
    M, N = td.sizes("M N")
    A = td.placeholder((N,), name="A")
    B = td.compute((M,), lambda i: A[i] * 2.0, name="B")
    with pytest.raises(td.DeclarationError, match="assume="):
        td.func("f", [A], [B])
    assert td.func("f", [A], [B], assume=["M <= N"]).assume


def test_select_conditions_guard_a_load() -> None:
    N = td.sizes("N")
    A = td.placeholder((N,), name="A")
    B = td.compute((N,), lambda i: td.select(i + 1 < N, A[i + 1], 0.0), name="B")
    assert td.func("f", [A], [B]).name == "f"


def test_where_guards_the_reads_of_a_reduction() -> None:
    A = td.placeholder((8,), name="A")
    k = td.reduce_axis(12, name="k")
    S = td.compute((), lambda: td.sum(A[k], axis=k, where=k < 8), name="S")
    assert td.func("f", [A], [S]).name == "f"


def test_negative_index_is_refused() -> None:
    A = td.placeholder((8,), name="A")
    with pytest.raises(td.DeclarationError, match=r"index -1 of A"):
        td.compute((8,), lambda _i: A[-1], name="B")


def test_mixed_dtypes_ask_for_a_cast() -> None:
    A = td.placeholder((8,), "float32", name="A")
    B = td.placeholder((8,), "int32", name="B")
    with pytest.raises(td.TypeMismatch, match="mixes float32 and int32"):
        td.compute((8,), lambda i: A[i] + B[i])


def test_number_that_does_not_fit_the_dtype() -> None:
    A = td.placeholder((8,), "int8", name="A")
    with pytest.raises(td.TypeMismatch, match="300 does not fit into int8"):
        td.compute((8,), lambda i: A[i] + 300)


def test_truth_of_a_value_names_select() -> None:
    A = td.placeholder((8,), name="A")
    with pytest.raises(td.TypeMismatch, match=r"td\.select"):
        td.compute((8,), lambda i: A[i] if A[i] > 0 else 0.0)


def test_wrong_number_of_indices() -> None:
    A = td.placeholder((8, 8), name="A")
    with pytest.raises(td.DeclarationError, match="A has 2 dimensions but got 1"):
        td.compute((8,), lambda i: A[i])


def test_stray_reduction_axis() -> None:
    A = td.placeholder((8,), name="A")
    k = td.reduce_axis(8, name="k")
    with pytest.raises(td.DeclarationError, match="uses the axis 'k' outside"):
        td.compute((8,), lambda i: A[i] + A[k])


def test_placeholder_that_is_no_input() -> None:
    A = td.placeholder((8,), name="A")
    B = td.compute((8,), lambda i: A[i], name="B")
    with pytest.raises(td.DeclarationError, match="reads the placeholder A"):
        td.func("f", [], [B])


def test_two_tensors_of_one_name() -> None:
    A = td.placeholder((8,), name="A")
    B = td.compute((8,), lambda i: A[i], name="A")
    with pytest.raises(td.DeclarationError, match="are called 'A'"):
        td.func("f", [A], [B])


def test_unknown_size_in_an_assumption() -> None:
    N = td.sizes("N")
    A = td.placeholder((N,), name="A")
    B = td.compute((N,), lambda i: A[i], name="B")
    with pytest.raises(td.DeclarationError, match="names 'M'") as caught:
        td.func("f", [A], [B], assume=["M % 4 == 0"])
    assert caught.value.hint == "its sizes are: N"


def test_a_fact_of_a_number_by_its_name() -> None:
    A = td.placeholder((8,), name="A")
    B = td.compute((8,), lambda i: A[i], name="B")
    with pytest.raises(td.DeclarationError, match="names 'M'") as caught:
        td.func("f", [A], [B], assume=["M % 4 == 0"])
    assert caught.value.hint == (
        "it has no sizes; where M is a number, state M % 4 == 0 without quotes"
    )
    M = 8
    assert td.func("f", [A], [B], assume=[M % 4 == 0])


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        (["1 == 2"], "1 == 2"),
        (["N >= 8", "M == N", "M < 4"], "N >= 8 and M == N and M < 4"),
        (["N < 0"], "N < 0"),
        (["N % 4 == 1", "N % 2 == 0"], "N % 4 == 1 and N % 2 == 0"),
    ],
)
def test_facts_that_no_sizes_meet(facts, shown) -> None:
    M, N = td.sizes("M N")
    A = td.placeholder((M, N), name="A")
    B = td.compute((M, N), lambda i, j: A[i, j], name="B")
    with pytest.raises(td.DeclarationError) as caught:
        td.func("f", [A], [B], assume=facts)
    assert caught.value.message == f"f can never be called: no sizes meet {shown}"
    td.func("f", [A], [B], assume=["N * M * N != 7", "1 == 1"])


def test_an_unknown_keyword_is_answered_with_the_call() -> None:
    with pytest.raises(td.TypeMismatch) as caught:
        td.placeholder((8,), inout=True)
    assert caught.value.hint == (
        "one of 'shape', 'dtype', 'name', 'strides'; the call is "
        "placeholder(shape, dtype='float32', name=None, strides='contiguous')"
    )
    with pytest.raises(td.TypeMismatch, match=r"did you mean 'dtype'\? the call is placeholder"):
        td.placeholder((8,), dtyp="int32")


def test_scan_step_must_return_its_states() -> None:
    t = td.scan_axis(8, name="t")
    with pytest.raises(td.DeclarationError, match="returned states"):
        td.scan(t, {"s": ((), 0.0)}, lambda _t, _prev: {"x": 1.0})
