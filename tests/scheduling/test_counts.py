"""How often blocks run, and which elements they touch: schedules that promise it are counted.

The ideas are those of Halide's call counters and TVM's placement tests.
"""

import pytest

import tdsl as td
from tests.scheduling.counting import allocated, runs, stores
from tests.scheduling.running import check, scheduled


def pair(n=100, reach=1):
    """g[x] = f[x] + f[x + reach]."""
    A = td.placeholder((n + reach,), "int32", name="A")
    F = td.compute((n + reach,), lambda x: A[x] * 3, name="F")
    G = td.compute((n,), lambda x: F[x] + F[x + reach], name="G")
    return td.func("pair", [A], [G])


def test_a_producer_inlined_by_place_runs_for_every_use():
    s = scheduled(pair())
    s.compute_at("F", "G.x")
    assert runs(s)["F"] == 200
    check(s)


def test_a_sliding_window_computes_each_element_once():
    s = scheduled(pair())
    s.compute_at("F", "G.x")
    s.store_at("F")
    s.fold_storage("F", 2)
    assert runs(s, sliding=True)["F"] == 101
    assert allocated(s, "F") == (2,)
    check(s)


@pytest.mark.parametrize(("tile", "times"), [(10, 110), (20, 105), (50, 102), (100, 101)])
def test_overlapping_tiles_compute_their_halo_twice(tile, times):
    s = scheduled(pair())
    xo, _ = s.split("G.x", tile)
    s.compute_at("F", xo)
    assert runs(s)["F"] == times
    assert allocated(s, "F") == (tile + 1,)
    check(s)


def test_a_reduction_calls_its_producer_once_for_each_place():
    A = td.placeholder((10, 10), "int32", name="A")
    F = td.compute((10, 10), lambda i, k: A[i, k] + 1, name="F")
    r = td.reduce_axis(10, name="r")
    G = td.compute((10,), lambda i: td.sum(F[i, r], axis=r), name="G")
    for place, box in (("G.ro", (5,)), ("G.ri", ())):
        s = scheduled(td.func("f", [A], [G]))
        s.split("G.r", 5)
        s.compute_at("F", place)
        assert runs(s)["F"] == 100
        assert allocated(s, "F") == box
        check(s)


@pytest.mark.parametrize("n", range(1, 14))
def test_factors_that_divide_nothing_run_every_instance_once(n):
    A = td.placeholder((n, 7), "int32", name="A")
    r = td.reduce_axis(7, name="r")
    B = td.compute((n,), lambda i: td.sum(A[i, r], axis=r), name="B")
    s = scheduled(td.func("sums", [A], [B]))
    _, ii = s.split("B.i", 3)
    s.split("B.r", 4)
    s.reorder("B.ro", ii)
    counts = runs(s)
    assert counts["B"] == 7 * n
    assert counts["B.init"] == n
    check(s)


def test_a_vector_tail_is_split_into_whole_vectors_and_scalars():
    A = td.placeholder((100,), "int32", name="A")
    B = td.compute((100,), lambda i: A[i] + 1, name="B")
    s = scheduled(td.func("f", [A], [B]))
    s.vectorize(s.partition("i", 96)[0], 8)
    s.unroll("B@0.io")
    s.unroll("B@1.i")
    assert stores(s) == (12, 4)
    check(s)


@pytest.mark.parametrize(("below", "times"), [(True, 55), (False, 45)])
def test_triangles_touch_their_own_elements(below, times):
    A = td.placeholder((10, 10), "int32", name="A")
    k = td.reduce_axis(10, name="k")
    B = td.compute(
        (10,), lambda i: td.sum(A[i, k], axis=k, where=(k <= i) if below else (k > i)), name="B"
    )
    s = scheduled(td.func("triangle", [A], [B]))
    s.tile("i", "k", 4, 3)
    assert runs(s)["B"] == times
    check(s)
