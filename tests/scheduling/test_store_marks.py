"""atomic and stream: which blocks may be stored so, and how they are printed."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import histogram, increment, matmul
from tests.scheduling.running import nest, scheduled, shown
from tests.scheduling.test_shapes_of_programs import argmax_plus_one
from tests.scheduling.test_shifting import gauss_seidel


def test_the_leaf_says_so():
    s = scheduled(increment(4))
    s.stream("B")
    shown(s, "for i in 4:\n  B[i] = A[i] + 1  # stream")
    s = scheduled(histogram(12, 8))
    s.atomic("hist")
    assert nest(s).endswith("for r in 12:  # reduction\n  hist[i64(X[r])] += 1_i32  # atomic")


@pytest.mark.parametrize(
    ("algorithm", "step", "reason"),
    [
        (lambda: matmul(3, 4, 5), lambda s: s.stream("C"), "'C' reads what it writes"),
        (lambda: histogram(12, 8), lambda s: s.stream("hist"), "'hist' reads what it writes"),
        (lambda: increment(4), lambda s: s.atomic("B"), "'B' does not combine values"),
        (lambda: gauss_seidel(3, 4), lambda s: s.atomic("u"), "'u' does not combine values"),
        (argmax_plus_one, lambda s: s.atomic("B"), "updates 2 tensors at once"),
    ],
    ids=["sum", "update", "compute", "set", "pair"],
)
def test_other_blocks_are_refused(algorithm, step, reason):
    s = scheduled(algorithm())
    before = nest(s)
    with pytest.raises(td.ScheduleError) as caught:
        step(s)
    assert reason in caught.value.message  # the excerpt of this file below it holds the reason, too
    assert nest(s) == before
