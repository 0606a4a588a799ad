"""rfactor: the nests of partial results, and what it does not factor."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import cumsum, histogram, increment, matmul
from tests.scheduling.running import nest, scheduled, shown
from tests.scheduling.test_reductions import online_softmax
from tests.scheduling.test_shapes_of_programs import recurrent
from tests.scheduling.test_shifting import gauss_seidel, jacobi


def copying():
    """A product whose outer reduction loop makes copies, too."""
    s = scheduled(matmul(3, 4, 8))
    s.split("C.k", 4)
    s.reorder("C.ko", "C.i", "C.j", "C.ki")
    s.cache_read("C", "A", at="C.ko")
    return s


def split():
    s = scheduled(matmul(3, 4, 6))
    s.split("C.k", 2)
    return s


@pytest.mark.parametrize(
    ("made", "loop", "reason", "hint"),
    [
        (copying, "C.ki", "loop 'ko' holds other blocks too: A.C", "fission first"),
        (copying, "C.ko", "loop 'ko' holds several blocks: A.C, C", "fission first"),
        (lambda: scheduled(increment(8)), "B.i", "'B' is not a reduction", "give a loop of a red"),
        (lambda: scheduled(gauss_seidel(3, 4)), "u.j", "'u' is not associative: its order is", ""),
        (lambda: scheduled(jacobi(3, 4)), "H.h.i", "'H.h' is not associative: its order is", ""),
        (lambda: scheduled(cumsum(5)), "t", "its order is part of its meaning", ""),
        (split, "C.i", "'i' is not a reduction loop of 'C'", "one of 'ko', 'ki'"),
    ],
    ids=["copies", "two blocks", "no sum", "in place", "state", "recurrence", "data"],
)
def test_a_loop_that_is_not_one_of_a_reduction_alone(made, loop, reason, hint):
    s = made()
    before = nest(s)
    with pytest.raises(td.ScheduleError) as caught:
        s.rfactor(loop)
    assert reason in caught.value.message
    assert (caught.value.hint or "").startswith(hint)
    assert nest(s) == before


@pytest.mark.parametrize(
    ("axis", "shape"),
    [
        (0, "[5, 3, 4]"), (1, "[3, 5, 4]"), (2, "[3, 4, 5]"),
        (-3, "[5, 3, 4]"), (-2, "[3, 5, 4]"), (-1, "[3, 4, 5]"),
    ],
)  # fmt: skip
def test_the_new_dimension_goes_where_it_is_said_to(axis, shape):
    s = scheduled(matmul(3, 4, 5))
    s.rfactor("C.k", axis=axis)
    assert f"alloc C.rf: f32{shape}" in nest(s)
    shown(s, nest(s))


@pytest.mark.parametrize("axis", [3, -4])
def test_a_dimension_that_there_is_not(axis):
    s = scheduled(matmul(3, 4, 5))
    with pytest.raises(td.ScheduleError, match=f"axis {axis} of a tensor of rank 3") as caught:
        s.rfactor("C.k", axis=axis)
    assert caught.value.hint == "0 to 2"


def test_an_inner_loop_of_a_sum_is_factored_inside_the_data_loops():
    s = split()
    assert s.rfactor("C.ki") == "C.rf"
    shown(s, """
        for i in 3:
          for j in 4:
            alloc C.rf: f32[2, 3, 4]
            for ki in 2:
              C.rf[ki, i, j] = 0
            for ko in 3:  # reduction
              for ki in 2:
                C.rf[ki, i, j] += A[i, ko * 2 + ki] * B[ko * 2 + ki, j]
            C[i, j] = 0
            for r in 2:  # reduction
              C[i, j] += C.rf[r, i, j]
    """)  # fmt: skip


def test_a_sum_in_a_step_is_factored_in_the_step():
    s = scheduled(recurrent(2, 3, 4))
    s.rfactor("g.k")
    shown(s, """
        for t in 2:  # in order
          alloc g: f32[2, 3, 4]
          for b in 3:
            for h in 4:
              alloc g.rf: f32[4, 2, 3, 4]
              for k in 4:
                g.rf[k, t, b, h] = select(t == 0, 0, rnn.h[t - 1, b, k]) * w[k, h]
              g[t, b, h] = 0
              for r in 4:  # reduction
                g[t, b, h] += g.rf[r, t, b, h]
          for b in 3:
            for h in 4:
              rnn.h[t, b, h] = tanh(g[t, b, h] + x[t, b, h])
    """)  # fmt: skip


def test_an_unsafe_step_takes_a_reducer_at_its_word():
    s = scheduled(online_softmax(float("-inf")))
    outer, _ = s.split("r.k", 4)
    with pytest.raises(td.ScheduleError, match="its identity with itself"):
        s.rfactor(outer)
    assert s.rfactor(outer, unsafe=True) == "r.rf"
    assert s.blocks() == ("r.rf", "r")


def test_loops_of_partial_results_are_called_apart_from_those_around():
    s = scheduled(histogram(9, 4))
    s.rfactor("hist.r", axis=1)
    s.rfactor("hist.r")
    s.reverse_compute_at("hist", "hist.rf.1.d0")
    outer, *_ = s.loops("hist.rf.1")
    with pytest.raises(td.ScheduleError, match="would run twice") as refused:
        s.rfactor("hist.r")
    first, second = refused.value.witness.first, refused.value.witness.second
    assert (first["d0_1"], first["r"]) == (second["d0_1"], second["r"])
    assert first[outer.name] != second[outer.name]
