"""Legality found by running: right numbers are not enough where values or sizes hide a fault."""

from __future__ import annotations

import pytest

import tdsl as td
from tests.fuzz import brute, flows
from tests.fuzz.algorithms import Algorithm, Dim, Extent, Input, Stage

N = Extent("N")


def algorithm(text, *, symbolic=False):
    """An algorithm that reads A, an (N + 2) x N tensor; `text` declares C and what it needs."""
    a = Input("A", (N.plus(2), N), "int32")
    made = tuple(Input(name, (N,), "int32") for name in "BC" if f"{name} = " in text)
    stage = Stage(made, tuple(text.strip().splitlines()), frozenset({"A"}))
    return Algorithm((Dim("N", 5, symbolic),), (a,), (stage,), ("C",))


def verdicts(known, *steps):
    """What results say of steps taken unproven, and what flows say."""
    s = td.Schedule(known.func)
    for step in steps:
        step(s)
    return brute.fault(s, known, "test"), brute.hidden_fault(s, known, "test")


ROWS = """
B = td.compute((N,), lambda i: A[0, 0] + A[i, 0] * 0, name="B")
C = td.compute((N,), lambda i: B[i], name="C")
"""


def test_a_value_overwritten_by_an_equal_one_is_lost():
    wrong, hidden = verdicts(algorithm(ROWS), lambda s: s.fold_storage("B", 2, dim=0, unsafe=True))
    assert wrong is None, "the numbers agree"
    assert "C(0,) reads another B[0]" in hidden.detail


def test_places_that_nobody_reads_disturb_nothing():
    pair = 'B, C = td.compute((N,), lambda i: (A[i, 0], A[i, 1]), name="C")'

    def fold(s):
        (dead,) = (buffer.name for buffer in s.index.allocs)
        s.fold_storage(dead, 1, dim=0)

    assert verdicts(algorithm(pair), fold, lambda s: s.reverse("i")) == (None, None)


def test_a_place_taken_after_the_last_read_is_free():
    known = algorithm(ROWS)
    assert verdicts(
        known, lambda s: s.compute_at("B", "C.i"), lambda s: s.fold_storage("B", 1, dim=0)
    ) == (None, None)


SUM = """
k = td.reduce_axis(N, name="k")
C = td.compute((N,), lambda i: td.sum(A[i, k], axis=k), name="C")
"""


@pytest.mark.parametrize(
    "steps",
    [
        (
            lambda s: s.split("C.k", 7),
            lambda s: s.parallel("C.ko", unsafe=True),  # one iteration up to N = 7
        ),
        (
            lambda s: s.specialize("N >= 7"),
            lambda s: s.parallel("C@0.k", unsafe=True),
        ),
    ],
    ids=["split", "specialised"],
)
def test_what_small_sizes_do_not_reach_is_judged_at_larger_ones(steps):
    wrong, hidden = verdicts(algorithm(SUM, symbolic=True), *steps)
    assert wrong is None
    assert "conflict" in hidden.detail


SUMS = """
k = td.reduce_axis(N, name="k")
B = td.compute((N,), lambda i: td.{kind}(A[i, k], axis=k), name="B")
C = td.compute((N,), lambda i: B[i], name="C")
"""


@pytest.mark.parametrize("kind", ["sum", "max"])
def test_the_order_of_updates_is_no_flow(kind):
    known = algorithm(SUMS.format(kind=kind))
    assert verdicts(
        known, lambda s: s.split("B.k", 2), lambda s: s.reorder("B.ki", "B.ko", "B.i")
    ) == (None, None)


@pytest.mark.parametrize(("kind", "legal"), [("sum", False), ("max", True)])
def test_an_update_that_runs_twice_counts_twice_in_a_sum(kind, legal):
    known = algorithm(SUMS.format(kind=kind))
    s = td.Schedule(known.func)
    s.split("B.k", 2, tail="shift", unsafe=True)
    found = flows.against_algorithm(s, known, 0)
    assert (found is None) == legal


def test_an_accumulator_that_nobody_reads_still_counts():
    known = algorithm(SUMS.format(kind="argmin"))
    s = td.Schedule(known.func)
    s.fold_storage("B.value0", 1, dim=0)
    assert flows.against_algorithm(s, known, 0) is None
    other = td.Schedule(known.func)
    other.reorder("B.k", "B.i")
    other.fold_storage("B.value0", 1, dim=0, unsafe=True)
    assert flows.against_algorithm(other, known, 0) is not None
