"""split_scan: associative recurrences in blocks that do not wait for each other."""

import numpy as np
import pytest

import tdsl as td
from tdsl.fuzzing.checks import disagreement


def running(op, dtype="int32", n=23, init=0):
    X = td.placeholder((n,), dtype, name="X")
    t = td.scan_axis(n, name="t")
    S = td.scan(t, {"s": ((), init)}, lambda t, prev: {"s": op(prev["s"], X[t])}, name="S")["s"]
    return td.func("running", [X], [S])


OPS = {
    "sum": lambda a, b: a + b,
    "swapped sum": lambda a, b: b + a,
    "sum of some": lambda a, b: td.select(b > 0, b, 0) + a,
    "product": lambda a, b: a * b,
    "max": td.maximum,
    "min": td.minimum,
}


@pytest.mark.parametrize("steps", [1, 4, 23, 40])
@pytest.mark.parametrize("op", OPS)
def test_integers_are_exact_for_every_block_size(op, steps):
    s = td.Schedule(running(OPS[op]))
    to, _ = s.split_scan("t", steps)
    s.parallel(to)
    assert s.numerics.value == "exact"
    assert disagreement(s) is None


def test_floats_are_labelled_as_reassociated():
    s = td.Schedule(running(OPS["sum"], "float32"))
    s.split_scan("t", 5)
    assert s.numerics.value == "reassociates"
    assert disagreement(s) is None


def test_a_product_added_stays_fused():
    N = td.sizes("N")
    X = td.placeholder((N,), "float32", name="X")
    t = td.scan_axis(N, name="t")
    S = td.scan(t, {"s": ((), 1.0)}, lambda t, prev: {"s": X[t] * X[t] + prev["s"]}, name="S")["s"]
    s = td.Schedule(td.func("squares", [X], [S]))
    s.parallel(s.split_scan("t", 4)[0])
    assert "fma(X[" in str(s)
    assert disagreement(s) is None


def test_rows_of_symbolic_length_start_from_a_tensor():
    N, M = td.sizes("N M")
    X = td.placeholder((N, M), "int64", name="X")
    first = td.placeholder((M,), "int64", name="first")
    t = td.scan_axis(N, name="t")
    made = td.scan(
        t, {"s": ((M,), first)}, lambda t, prev: {"s": lambda i: prev["s"][i] + X[t, i]}, name="S"
    )
    s = td.Schedule(td.func("rows", [X, first], [made["s"]]))
    to, _ = s.split_scan("t", 3)
    s.parallel(to)
    s.vectorize("S.s.i", 4)
    assert disagreement(s, seed=3) is None
    kernel = td.build(s)
    for n in (0, 1, 2, 3, 8):
        x = np.arange(n * 5).reshape(n, 5)
        np.testing.assert_array_equal(kernel(x, x[:1].sum(0)), np.cumsum(x, 0) + x[:1].sum(0))


def test_blocks_only_then_run_at_once():
    s = td.Schedule(running(OPS["sum"]))
    with pytest.raises(td.ScheduleError):
        s.parallel("t")
    to, ti = s.split("t", 4)
    with pytest.raises(td.ScheduleError):
        s.parallel(to)
    other = td.Schedule(running(OPS["sum"]))
    _, ti = other.split_scan("t", 4)
    with pytest.raises(td.ScheduleError):
        other.parallel(ti)


def test_block_totals_are_reductions_like_any_other():
    s = td.Schedule(running(OPS["sum"], n=200))
    to, ti = s.split_scan("t", 32)
    chains, chain = s.split(to, 4)
    s.reorder(chains, ti, chain)
    s.unroll(chain)
    _, lane = s.split("S.s.sum.r", 8)
    s.rfactor(lane)
    s.vectorize(s.loops("S.s.sum.rf")[-1])
    s.parallel(s.loops("S.s.sum.rf")[0])
    assert disagreement(s) is None


def test_what_a_step_adds_can_be_inlined_afterwards():
    X = td.placeholder((40,), "int32", name="X")
    Y = td.compute((40,), lambda i: X[i] * 3, name="Y")
    t = td.scan_axis(40, name="t")
    S = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + Y[t]}, name="S")["s"]
    s = td.Schedule(td.func("f", [X], [S]))
    s.split_scan("t", 8)
    s.inline("Y")
    assert disagreement(s) is None


NOT_ASSOCIATIVE = {
    "scaled": lambda a, b: a * 3 + b,
    "difference": lambda a, b: a - b,
    "bits": lambda a, b: a & b,
    "twice": lambda a, b: a + a * b,
}


@pytest.mark.parametrize("op", NOT_ASSOCIATIVE)
def test_recurrences_that_are_not_associative_are_refused(op):
    s = td.Schedule(running(NOT_ASSOCIATIVE[op]))
    before = str(s)
    with pytest.raises(td.ScheduleError, match="is not a sum, product"):
        s.split_scan("t", 4)
    assert str(s) == before


def test_a_part_of_the_time_is_refused():
    s = td.Schedule(running(OPS["sum"]))
    _, ti = s.split("t", 4)
    with pytest.raises(td.ScheduleError, match="only part of the time"):
        s.split_scan(ti, 2)
    A = td.placeholder((4,), "int32", name="A")
    B = td.compute((4,), lambda i: A[i], name="B")
    with pytest.raises(td.ScheduleError, match="no scan"):
        td.Schedule(td.func("copy", [A], [B])).split_scan("i", 2)


def test_states_that_wait_for_each_other_are_refused():
    t = td.scan_axis(9, name="t")
    made = td.scan(
        t, {"a": ((), 0), "b": ((), 1)},
        lambda t, prev: {"a": prev["a"] + prev["b"], "b": prev["b"] + prev["a"]}, name="S",
    )  # fmt: skip
    s = td.Schedule(td.func("fib", [], [made["a"], made["b"]]))
    with pytest.raises(td.ScheduleError, match="several blocks"):
        s.split_scan("t", 4)
