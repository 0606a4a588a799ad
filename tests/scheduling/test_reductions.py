import numpy as np
import pytest

import tdsl as td
from tests.scheduling.algorithms import histogram, increment, matmul, rows
from tests.scheduling.running import check, scheduled


def dot(n=50, dtype="float32", op=td.sum):
    x = td.placeholder((n,), dtype, name="x")
    k = td.reduce_axis(n, name="k")
    r = td.compute((), lambda: op(x[k], axis=k), name="r")
    return td.func("reduce", [x], [r])


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("op", [td.sum, td.max, td.min, td.argmax, td.argmin])
def test_rfactor_of_either_part(which, op):
    s = scheduled(rows(n=30, op=op))
    parts = s.split("k", 8)
    assert s.rfactor(parts[which]) == "C.rf"
    assert s.blocks() == ("C.rf", "C")
    s.parallel(f"C.rf.{parts[which].name}")
    check(s)


def test_rfactor_labels_floats_and_not_integers():
    s = scheduled(dot())
    s.rfactor(s.split("k", 8)[0])
    assert s.numerics.value == "reassociates"
    s = scheduled(dot(dtype="int32"))
    s.rfactor(s.split("k", 8)[0])
    assert s.numerics.value == "exact"
    check(s)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_rfactor_puts_the_new_dimension_where_asked(axis):
    s = scheduled(rows(5, 30))
    ko, _ = s.split("k", 8)
    s.rfactor(ko, axis)
    shape = next(b for b in s.index.allocs if b.name == "C.rf").shape
    assert shape[axis].value == 4
    assert shape[1 - axis % 2].value == 5
    check(s)


def test_rfactor_of_the_only_loop_leaves_a_compute():
    s = scheduled(dot(12))
    s.rfactor("k")
    s.vectorize("r.rf.k", 4)
    check(s)


def test_rfactor_of_a_fused_loop():
    a = td.placeholder((3, 4, 5), "float32", name="A")
    r, q = td.reduce_axis(4, name="r"), td.reduce_axis(5, name="q")
    c = td.compute((3,), lambda i: td.sum(a[i, r, q], axis=(r, q)), name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.rfactor(s.fuse("r", "q"))
    check(s)


def test_rfactor_respects_where():
    s = scheduled(rows(6, 6, where=lambda a, i, k: k <= i))
    s.rfactor(s.split("k", 4)[1])
    check(s)


def test_rfactor_asks_a_condition_on_data_inside_the_guard_only():
    a = td.placeholder((5, 5), "int32", name="A")
    k = td.reduce_axis(5, name="k")
    c = td.compute((5,), lambda i: td.sum(a[i, k], axis=k, where=a[k, i] > 3), name="C")
    for which in (0, 1):
        s = scheduled(td.func("f", [a], [c]))
        s.rfactor(s.split("k", 2)[which])
        check(s)


def test_rfactor_of_a_split_row():
    s = scheduled(matmul(5, 6, 7))
    io, jo, ii, ji = s.tile("i", "j", 2, 4)
    ko, ki = s.split("k", 3)
    s.reorder(io, jo, ko, ii, ji, ki)
    s.rfactor(ko)
    check(s)


def test_rfactor_of_several_values():
    x = td.placeholder((20,), "float32", name="x")
    k = td.reduce_axis(20, name="k")
    both = td.reducer(identity=(0.0, 1.0), combine=lambda a, b: (a[0] + b[0], a[1] * b[1]))
    c = td.compute((), lambda: both((x[k], x[k]), axis=k), name="C")
    s = scheduled(td.func("f", [x], list(c)))
    s.rfactor(s.split("k", 4)[0])
    check(s)


def test_rfactor_of_a_histogram_gives_private_bins():
    s = scheduled(histogram(100, 8))
    ro, _ = s.split("hist.r", 32)
    assert s.rfactor(ro) == "hist.rf"
    s.parallel("hist.rf.ro")
    check(s)


def online_softmax(lowest):
    """The greatest element and the sum of exponentials relative to it, in one pass."""

    def combine(a, b):
        return td.maximum(a[0], b[0]), td.select(
            a[0] > b[0], a[1] + b[1] * td.exp(b[0] - a[0]), b[1] + a[1] * td.exp(a[0] - b[0])
        )

    x = td.placeholder((21,), "float32", name="x")
    k = td.reduce_axis(21, name="k")
    both = td.reducer(identity=(lowest, 0.0), combine=combine)
    top, total = td.compute((), lambda: both((x[k], td.cast(1.0, "float32")), axis=k), name="r")
    return td.func("online", [x], [top, total])


def test_rfactor_wants_an_identity_that_keeps_itself():
    s = scheduled(online_softmax(float("-inf")))  # exp(-inf - -inf) is no number
    outer, _ = s.split("r.k", 4)
    with pytest.raises(td.ScheduleError, match=r"its identity with itself into \(-inf, nan\)"):
        s.rfactor(outer)
    s = scheduled(online_softmax(-3e38))
    outer, _ = s.split("r.k", 4)
    s.rfactor(outer)
    check(s)


def test_rfactor_wants_an_identity_that_keeps_partial_results():
    x = td.placeholder((5,), "int32", name="x")
    k = td.reduce_axis(5, name="k")
    ends = td.reducer(identity=(0, 0), combine=lambda a, b: (a[0], b[1]))  # the last of x, and 0
    _, last = td.compute((), lambda: ends((x[k], x[k]), axis=k), name="r")
    s = scheduled(td.func("f", [x], [last]))
    outer, _ = s.split("r.k", 2)
    message = r"combines \(0, -1\) with its identity into \(0, 0\), and parts .* no elements"
    with pytest.raises(td.ScheduleError, match=message):
        s.rfactor(outer)
    check(s)


def test_an_identity_need_only_keep_what_it_starts():
    x = td.placeholder((21,), "int32", name="x")
    k = td.reduce_axis(21, name="k")
    positive = td.reducer(identity=(0,), combine=td.maximum)  # none below 0
    c = td.compute((), lambda: positive(x[k], axis=k), name="r")
    s = scheduled(td.func("f", [x], [c]))
    s.rfactor(s.split("r.k", 4)[1])
    check(s)


def test_default_schedules_leave_such_a_reducer_in_order():
    x = np.linspace(-3, 3, 21, dtype=np.float32)
    top, total = td.build(online_softmax(float("-inf")))(x)
    assert top == 3
    np.testing.assert_allclose(total, np.exp(x - 3).sum(), rtol=1e-5)


def test_rfactor_of_a_data_loop_lists_the_reduction_loops():
    s = scheduled(rows(n=30))
    with pytest.raises(td.ScheduleError, match="one of 'k'"):
        s.rfactor("i")


def test_rfactor_of_a_compute_is_refused():
    s = scheduled(increment(8))
    with pytest.raises(td.ScheduleError, match="is not a reduction"):
        s.rfactor("i")


def test_decompose_gives_the_init_loops_of_its_own():
    s = scheduled(matmul(4, 8, 5))
    assert s.decompose_reduction("C", at="C.i") == "C.init"
    assert s.blocks() == ("C.init", "C")
    s.vectorize("C.init.j", 4)
    s.reorder("C.k", "C.i")
    check(s)


def test_decompose_at_the_reduction_loop():
    s = scheduled(matmul(4, 8, 5))
    io, jo, ii, ji = s.tile("i", "j", 2, 4)
    s.reorder(io, jo, "k", ii, ji)
    s.decompose_reduction("C", at="C.k")
    s.unroll("C.init.ii")
    check(s)


def test_decompose_inside_the_reduction_is_refused():
    s = scheduled(matmul(4, 8, 5))
    s.reorder("k", "i", "j")
    with pytest.raises(td.ScheduleError, match="inside the reduction loop 'k'"):
        s.decompose_reduction("C", at="C.i")


def test_decompose_twice_is_refused():
    s = scheduled(matmul(4, 8, 5))
    s.decompose_reduction("C", at="C.i")
    with pytest.raises(td.ScheduleError, match="decomposed already"):
        s.decompose_reduction("C", at="C.i")


def test_steps_on_the_derived_init_say_decompose_first():
    s = scheduled(matmul(4, 8, 5))
    with pytest.raises(td.ScheduleError, match="decompose_reduction first"):
        s.loops("C.init")
    with pytest.raises(td.ScheduleError, match="decompose_reduction first"):
        s.unroll("C.init.j")


def test_atomic_makes_a_parallel_histogram_legal():
    s = scheduled(histogram(60, 8))
    with pytest.raises(td.ScheduleError):
        s.parallel("hist.r")
    s.atomic("hist")
    s.parallel("hist.r")
    assert s.numerics.value == "exact"
    check(s)


def test_atomic_floats_are_unordered():
    s = scheduled(histogram(60, 8, dtype="float32"))
    s.atomic("hist")
    s.parallel("hist.r")
    assert s.numerics.value == "unordered"


def test_atomic_of_a_plain_compute_is_refused():
    s = scheduled(increment(8))
    with pytest.raises(td.ScheduleError, match="does not combine"):
        s.atomic("B")


def test_stream_of_a_reduction_is_refused():
    s = scheduled(matmul(4, 4, 4))
    with pytest.raises(td.ScheduleError, match="cache_write"):
        s.stream("C")
