import numpy as np
import pytest

import tdsl as td
from tdsl.ir.interp import interpret
from tdsl.scheduling import replay
from tests.scheduling.algorithms import blur, chain, cumsum, histogram, increment, matmul
from tests.scheduling.running import check, inputs_of, nest, scheduled


def jacobi(steps="T", points="N"):
    """Steps of a smoothing in time; every point needs three of the step before."""
    steps = td.sizes(steps) if isinstance(steps, str) else steps
    points = td.sizes(points) if isinstance(points, str) else points
    x = td.placeholder((points,), "float32", name="x")
    t = td.scan_axis(steps, name="t")

    def step(_, prev):
        h = prev["h"]

        def point(i):
            inner = (i > 0) & (i < points - 1)
            return td.select(inner, (h[i - 1] + h[i] + h[i + 1]) * 0.25, h[i])

        return {"h": point}

    out = td.scan(t, states={"h": ((points,), lambda i: x[i])}, step=step, name="H")
    return td.func("jacobi", [x], [out["h"]])


def gauss_seidel(rows=6, columns=7):
    """Points updated in place, each from its updated neighbours above and to the left."""
    x = td.placeholder((rows + 1, columns + 1), "float32", name="x")
    i, j = td.reduce_axis(rows, name="i"), td.reduce_axis(columns, name="j")
    u = td.update(
        x,
        over=(i, j),
        at=(i + 1, j + 1),
        value=lambda cur: (cur[i, j + 1] + cur[i + 1, j]) * 0.5 + cur[i + 1, j + 1],
        op="set",
        name="u",
    )
    return td.func("gauss_seidel", [x], [u])


def built(s, sizes=None):
    """The compiled kernel gives what the interpreter does."""
    check(s, sizes)
    arrays = inputs_of(s.func, sizes or {})
    wanted = interpret(s.func.program, arrays, sizes)
    (name,) = wanted
    kernel = td.build(s)
    fixed = {n: v for n, v in (sizes or {}).items() if n == "T"}
    got = kernel(*(arrays[t.name] for t in s.func.inputs), **fixed)
    np.testing.assert_array_equal(got, wanted[name])


@pytest.mark.parametrize("n", [1, 7, "N"])
def test_a_loop_walks_backwards(n):
    s = scheduled(increment(n))
    io, ii = s.split("i", 3)
    s.reverse(io)
    s.reverse(ii)
    built(s, {"N": 7} if n == "N" else None)


def test_a_fused_loop_walks_backwards_pair_by_pair():
    s = scheduled(blur(4, 5))
    s.reverse(s.fuse("X.i", "X.j"))
    s.parallel("X.i_j")
    built(s)


def test_a_backward_vector_loop_loads_backwards():
    s = scheduled(increment(32))
    s.vectorize("i", 8)
    s.reverse(s.loops("B")[-1])
    built(s)


def test_a_reversed_sum_only_reassociates():
    s = scheduled(matmul(3, 4, 5))
    s.reverse("k")
    assert s.numerics.value == "reassociates"
    check(s)


def test_a_recurrence_keeps_its_direction():
    s = scheduled(cumsum(8))
    with pytest.raises(td.ScheduleError, match="the order changes"):
        s.reverse(s.loops(s.blocks()[0])[0])


def test_a_producer_runs_ahead_of_its_consumer():
    s = scheduled(blur(9, 5))
    s.compute_at("X", at="Y.i")
    s.store_at("X")
    s.shift("Y.i", 2, block="Y")
    with pytest.raises(td.ScheduleError, match="overwrites"):
        s.fold_storage("X", 4, dim=0)
    s.fold_storage("X", 5, dim=0)
    built(s)


def test_a_whole_loop_may_run_later():
    s = scheduled(increment(10))
    s.shift("i", 3)
    assert s.loops("B")[0].extent == 13
    assert nest(s).count("if ") == 1
    s.split("i", 4)
    built(s)


def test_a_negative_shift_has_a_consumer_wait():
    s = scheduled(chain(16, 2))
    s.compute_at("B", at="C.i")
    s.store_at("B")
    s.shift("C.i", -1, block="B")
    built(s)


def test_a_consumer_may_not_run_ahead():
    s = scheduled(chain(16, 2))
    s.compute_at("B", at="C.i")
    s.store_at("B")
    with pytest.raises(td.ScheduleError) as caught:
        s.shift("C.i", -1, block="C")
    assert caught.value.witness.buffer == "B"


@pytest.mark.parametrize(("steps", "points"), [(6, 20), (1, 5), ("T", "N")])
def test_tiles_in_time(steps, points):
    s = scheduled(jacobi(steps, points))
    t, i = s.loops("H.h")
    s.skew(i, by=t)
    to, io, ti, ii = s.tile(t, i, 3, 8)
    assert [loop.name for loop in s.loops("H.h")] == [to.name, io.name, ti.name, ii.name]
    sizes = ({"T": 7, "N": 19}, {"T": 2, "N": 3}, {"T": 0, "N": 4}) if steps == "T" else (None,)
    for known in sizes:
        built(s, known)


def test_time_may_not_be_tiled_without_a_skew():
    s = scheduled(jacobi(6, 20))
    with pytest.raises(td.ScheduleError) as caught:
        s.tile("H.h.t", "H.h.i", 3, 8)
    assert caught.value.witness is not None


@pytest.mark.parametrize("factor", [1, 2])
def test_a_wavefront_runs_in_parallel(factor):
    s = scheduled(gauss_seidel())
    i, j = s.loops("u")[-2:]
    with pytest.raises(td.ScheduleError):
        s.parallel(i)
    with pytest.raises(td.ScheduleError):
        s.parallel(j)
    s.skew(j, by=i, factor=factor)
    s.reorder(j, i)
    s.parallel(i)
    built(s)


def test_a_backward_skew_undoes_a_forward_one():
    s = scheduled(gauss_seidel())
    i, j = s.loops("u")[-2:]
    s.skew(j, by=i, factor=1)
    s.skew(j, by=i, factor=-1)
    built(s)
    s.reorder(j, i)
    with pytest.raises(td.ScheduleError):
        s.parallel(i)


def test_a_histogram_may_be_skewed():
    s = scheduled(histogram(12, 8))
    ro, ri = s.split("hist.r", 4)
    s.skew(ri, by=ro, factor=2)
    built(s)


def test_a_skewed_reduction_keeps_its_init():
    s = scheduled(matmul(3, 4, 5))
    s.skew("k", by="C.j")
    built(s)
    s = scheduled(matmul(3, 4, 5))
    s.skew("C.j", by="C.i", factor=-2)
    s.reorder("k", "C.j")
    built(s)


@pytest.mark.parametrize("kept", [1, 2])
def test_two_steps_are_enough_for_tiles_in_time_that_run_in_parallel(kept):
    s = scheduled(jacobi(7, 40))
    t, i = s.loops("H.h")
    s.skew(i, by=t)
    to, io, ti, ii = s.tile(t, i, 3, 8)
    s.skew(io, by=to)
    s.reorder(io, to)
    s.parallel(to)
    s.reorder(ii, ti)
    last = td.compute((40,), lambda i: s.func.outputs[0][6, i], name="last")
    s = replayed(s, td.func("last_step", s.func.inputs, [last]))
    if kept == 1:
        with pytest.raises(td.ScheduleError, match="overwrites"):
            s.fold_storage("H.h", kept, dim=0)
    else:
        s.fold_storage("H.h", kept, dim=0)
        built(s)


def replayed(s, func):
    """The same steps on another function that holds the same blocks."""
    again = td.Schedule(func, s.target)
    replay(s.trace.json(), again)
    return again
