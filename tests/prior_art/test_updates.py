"""Updates and scatters that run at once: accepted where no two meet, refused where they may.

Halide: parallel_rvar and its negative twin, atomics, parallel_scatter, in_place, a stencil chain in
update definitions. TVM: parallel loops over reduction iterators, injective scatters.
"""

import numpy as np
import pytest

import tdsl as td
from tests.prior_art.agreeing import agrees
from tests.scheduling.running import scheduled

N = 16


def updated(at, value=None, op="set", n=N, extent=None, over=None):
    """C, changed in place at `at(i)` for each i."""
    C = td.inout(td.placeholder((extent or 2 * n + 2,), "int32", name="C"))
    X = td.placeholder((n,), "int32", name="X")
    i = td.reduce_axis(n, name="i")
    value = value or (lambda cur, i: X[i])
    S = td.update(C, over=i, at=at(i), value=lambda cur: value(cur, i), op=op, name="S")
    uses = value is not None and "X" not in value.__code__.co_freevars
    return td.func("updated", [C] if uses else [C, X], [S])


DISJOINT = {
    "each element": (lambda i: i, None),
    "every second": (lambda i: 2 * i, None),
    "odd from even": (lambda i: 2 * i + 1, lambda cur, i: cur[2 * i] + cur[2 * i + 2]),
    "one half from the other": (lambda i: i, lambda cur, i: cur[i + N] * 2),
    "mirrored": (lambda i: N - 1 - i, None),
}
MEETING = {
    "pairs": (lambda i: i // 2, None),
    "residues": (lambda i: i % 4, None),
    "the next": (lambda i: i + 1, lambda cur, i: cur[i] + 1),
    "mirror read": (lambda i: i, lambda cur, i: cur[N - 1 - i] + 1),
    "one of each six and four": (lambda i: 3 * (i // 2) + 2 * (i % 2), lambda cur, i: cur[3] + 1),
}


@pytest.mark.parametrize("name", DISJOINT)
def test_updates_that_never_meet_run_at_once(name):
    for step in (lambda s: s.parallel("S.i"), lambda s: s.vectorize("S.i", 4)):
        s = scheduled(updated(*DISJOINT[name]))
        step(s)
        agrees(s)


@pytest.mark.parametrize("name", MEETING)
def test_updates_that_meet_do_not_and_the_witness_says_where(name):
    for step in (lambda s: s.parallel("S.i"), lambda s: s.vectorize("S.i", 16)):
        s = scheduled(updated(*MEETING[name]))
        with pytest.raises(td.ScheduleError) as caught:
            step(s)
        witness = caught.value.witness
        assert witness.buffer == "C"
        assert witness.first != witness.second


def histogram(op="add", dtype="int32"):
    X = td.placeholder((50,), "int32", name="X")
    zero = td.placeholder((8,), dtype, name="zero")
    r = td.reduce_axis(50, name="r")
    H = td.update(zero, over=r, at=X[r], value=3, op=op, name="H")
    return scheduled(td.func("histogram", [X, zero], [H]))


@pytest.mark.parametrize("op", ["add", "min", "max", "mul"])
def test_scattered_updates_run_at_once_if_they_are_atomic(op):
    with pytest.raises(td.ScheduleError) as caught:
        histogram(op).parallel("H.r")
    assert "atomic" in str(caught.value)
    s = histogram(op)
    s.atomic("H")
    s.parallel("H.r")
    agrees(s, built=op in ("add", "mul"))


def test_the_last_scattered_value_stays():
    with pytest.raises(td.ScheduleError):
        histogram("set").parallel("H.r")
    with pytest.raises(td.ScheduleError, match="associative"):
        histogram("set").atomic("H")


def test_a_scatter_that_reads_itself_is_not_atomic():
    """Halide's atomics_self_reference: the value depends on another element of the same tensor."""
    C = td.inout(td.placeholder((10,), "int32", name="C"))
    i = td.reduce_axis(9, name="i")
    S = td.update(C, over=i, at=i + 1, value=lambda cur: cur[i], op="add", name="S")
    with pytest.raises(td.ScheduleError, match="associative"):
        scheduled(td.func("chained", [C], [S])).atomic("S")


def test_a_permutation_known_only_at_run_time_is_refused_or_vouched_for():
    X = td.placeholder((8,), "int32", name="X")
    P = td.placeholder((8,), "int32", name="P")
    zero = td.placeholder((8,), "int32", name="zero")
    r = td.reduce_axis(8, name="r")
    S = td.update(zero, over=r, at=P[r], value=X[r], op="set", name="S")
    func = td.func("permute", [X, P, zero], [S])
    with pytest.raises(td.ScheduleError):
        scheduled(func).parallel("S.r")
    s = scheduled(func)
    s.parallel("S.r", unsafe=True)
    assert "unsafe" in str(s.trace)
    rng = np.random.default_rng(0)
    given = {
        "X": rng.integers(0, 9, 8).astype(np.int32),
        "P": rng.permutation(8).astype(np.int32),
        "zero": np.zeros(8, np.int32),
    }
    agrees(s, arrays=given)


def test_a_row_is_smoothed_in_place_forwards_only():
    n = 12
    C = td.inout(td.placeholder((n,), "int32", name="C"))
    i = td.reduce_axis(n - 1, name="i")
    S = td.update(C, over=i, at=i + 1, value=lambda cur: cur[i] + cur[i + 1], op="set", name="S")
    s = scheduled(td.func("running", [C], [S]))
    with pytest.raises(td.ScheduleError):
        s.reverse("S.i")
    s.split("S.i", 5)
    s.unroll("S.ii")
    agrees(s)


def test_a_chain_of_27_updates_reaches_27_elements_further():
    """Bounds that grow with every round: the first element of the result reads 28 of the input."""
    n, rounds = 6, 27
    current = td.placeholder((n + rounds,), "int32", name="A")
    inputs = [current]
    for number in range(rounds):
        length = n + rounds - 1 - number
        current = td.compute(
            (length,),
            lambda x, c=current: td.maximum(c[x], c[x + 1]) % 1000,
            name=f"F{number}",
        )
    s = scheduled(td.func("chain", inputs, [current]))
    last = f"F{rounds - 1}"
    s.split(f"{last}.x", 3)
    for number in reversed(range(rounds - 1)):
        s.compute_at(f"F{number}", f"{last}.xo")
    extents = [loop.extent for loop in s.loops("F0")]
    assert extents[-1] == 3 + rounds - 1
    agrees(s)


def test_two_tuples_are_updated_together():
    """Fibonacci pairs: each state sees the other's value of the step before."""
    t = td.scan_axis(10, name="t")
    out = td.scan(
        t,
        {"a": ((), 0.0), "b": ((), 1.0)},
        lambda t, prev: {"a": prev["b"], "b": prev["a"] + prev["b"]},
        name="fib",
    )
    X = td.placeholder((10,), "float32", name="X")
    R = td.compute((10,), lambda i: out["a"][i] + X[i], name="R")
    s = scheduled(td.func("fibonacci", [X], [R]))
    with pytest.raises(td.ScheduleError):
        s.parallel(s.loops("fib.a")[0])
    agrees(s, arrays={"X": np.zeros(10, np.float32)})
    assert list(td.reference(s.func)(np.zeros(10, np.float32))) == [
        1,
        1,
        2,
        3,
        5,
        8,
        13,
        21,
        34,
        55,
    ]
