"""Splits, tiles and fused loops whose factors divide nothing.

Halide: fuse, nested_tail_strategies, split_by_non_factor, vectorize_guard_with_if. TVM: split
with a predicate, an inferred factor, fused loops of symbolic extents.
"""

import itertools

import pytest

import tdsl as td
from tests.prior_art.agreeing import agrees
from tests.scheduling.counting import allocated, runs, stores
from tests.scheduling.running import scheduled


def image(h, w, name="image"):
    A = td.placeholder((h, w), "int32", name="A")
    B = td.compute((h, w), lambda y, x: A[y, x] * 3 - td.cast(x, "int32"), name="B")
    return td.func(name, [A], [B])


def tiled_twice(func):
    """Tiles whose two loops over tiles, and whose two loops inside, are one loop each, split."""
    s = scheduled(func)
    yo, xo, yi, xi = s.tile("y", "x", 2, 3)
    _, oi = s.split(s.fuse(yo, xo), 5)
    _, ii = s.split(s.fuse(yi, xi), 4)
    s.reorder(ii, oi)
    return s, oi, ii


@pytest.mark.parametrize(("h", "w"), [(5, 11), (1, 1), (7, 3)])
def test_fused_tiles_are_tiled_again_by_factors_that_divide_nothing(h, w):
    s, _, ii = tiled_twice(image(h, w))
    s.vectorize(ii, 4)
    assert runs(s)["B"] == h * w
    agrees(s)


def test_fused_tiles_in_vectors_with_a_tail():
    s, oi, _ = tiled_twice(image(5, 11))
    s.vectorize(oi, 4)
    assert runs(s)["B"] == 5 * 11
    agrees(s)


def test_fused_tiles_of_a_sum_are_no_vectors():
    A = td.placeholder((5, 11), "int32", name="A")
    x = td.reduce_axis(11, name="x")
    B = td.compute((5,), lambda y: td.sum(A[y, x], axis=x), name="B")
    s, oi, _ = tiled_twice(td.func("sums", [A], [B]))
    with pytest.raises(td.ScheduleError, match="may run at once") as refused:
        s.vectorize(oi, 4)
    first, second = refused.value.witness.first, refused.value.witness.second
    assert first != second
    agrees(s)


def largest_of_each_group(op):
    groups = td.sizes("G")
    X = td.placeholder((1,), "int64", name="X")
    group = td.placeholder((1,), "int32", name="group")
    old = td.placeholder((groups,), "int64", name="old")
    r = td.reduce_axis(1, name="r")
    top = td.update(old, over=r, at=group[r], value=X[r], op=op, name="top")
    return td.func("largest", [X, group, old], [top], assume=["G >= 1"])


def test_a_tile_of_symbolic_blocks_moves_back_into_the_copy():
    s = scheduled(largest_of_each_group("max"))
    bo, bi = s.split("top.base.b0", 5)
    s.tile(bo, bi, 2, 2, tail="shift")
    assert runs(s, {"G": 13})["top"] == 1


def test_a_tile_that_moves_back_into_a_sum_is_refused():
    n = td.sizes("N")
    A = td.placeholder((n,), "int64", name="A")
    r = td.reduce_axis(n, name="r")
    total = td.compute((), lambda: td.sum(A[r], axis=r), name="total")
    s = scheduled(td.func("total", [A], [total], assume=["N >= 1"]))
    ro, ri = s.split("r", 5)
    with pytest.raises(td.ScheduleError, match="would run twice on one instance") as refused:
        s.tile(ro, ri, 2, 2, tail="shift")
    assert refused.value.witness.first != refused.value.witness.second


@pytest.mark.parametrize("sizes", [(1, 1), (4, 6), (5, 7), (0, 3)])
def test_symbolic_loops_are_fused_and_split(sizes):
    s = scheduled(image(*td.sizes("H W")))
    yo, xo, yi, xi = s.tile("y", "x", 3, 2)
    s.parallel(s.fuse(yo, xo))
    s.fuse(yi, xi)
    given = dict(zip("HW", sizes, strict=True))
    assert runs(s, given)["B"] == sizes[0] * sizes[1]
    agrees(s, given)


@pytest.mark.parametrize("factors", [(None, 2, 3), (None, 5), (2, None, 4), (3, 3, None)])
def test_a_split_in_many_parts_covers_a_prime(factors):
    s = scheduled(image(3, 43))
    s.split("x", factors)
    assert runs(s)["B"] == 3 * 43
    agrees(s)


@pytest.mark.parametrize("n", [1, 7, 13])
@pytest.mark.parametrize("tail", ["guard", "mask", "peel", "shift", "balance"])
def test_splits_of_splits_of_producer_and_consumer(tail, n):
    """The halo of a tile is all that its storage has room for, whatever the tails are."""
    A = td.placeholder((n + 2,), "int32", name="A")
    F = td.compute((n + 2,), lambda x: A[x] + td.cast(x, "int32"), name="F")
    G = td.compute((n,), lambda x: F[x] * F[x + 2], name="G")
    s = scheduled(td.func("stack", [A], [G]))
    xo, _ = s.split("G.x", 5, tail=tail)
    s.compute_at("F", xo)
    s.split(s.loops("F")[-1], 3, tail="guard" if tail == "balance" else tail)
    # blocks of 5, or of equal size; what a guard leaves out is computed, where it costs no test
    box = 2 + (-(-n // -(-n // 5)) if tail == "balance" else min(n, 5))
    if n > 1:
        assert allocated(s, "F") == (box if tail == "shift" else -(-box // 3) * 3,)
    agrees(s)


@pytest.mark.parametrize(("n", "k"), [(n, k) for n in (3, 8) for k in (0, n // 2, n - 1)])
def test_every_split_of_a_reduction_adds_every_term_once(n, k):
    """A producer inside the tail of a reduction is computed for the whole tile, as in Halide."""
    A = td.placeholder((n, n + 1), "int32", name="A")
    F = td.compute((n, n + 1), lambda i, j: A[i, j] * 2, name="F")
    r = td.reduce_axis(k, name="r")
    G = td.compute((n,), lambda i: td.sum(F[i, r + 1], axis=r), name="G")
    for place, columns in (("G.io", k), ("G.ro", min(-(-k // 2) * 2, n))):
        s = scheduled(td.func("f", [A], [G]))
        s.split("G.i", 3)
        s.split("G.r", 2)
        s.compute_at("F", place)
        counts = runs(s)
        assert (counts["G"], counts["G.init"], counts["F"]) == (n * k, n, n * columns)
        agrees(s)


@pytest.mark.parametrize("first", ["guard", "shift", "balance", "peel"])
@pytest.mark.parametrize("second", ["guard", "shift", "mask"])
def test_stacks_of_tails_store_every_element(first, second):
    for n in (3, 19):
        s = scheduled(image(1, n))
        _, xi = s.split("x", 8, tail=first)
        s.split(xi, 3, tail=second)
        agrees(s)


@pytest.mark.parametrize(("n", "vectors"), [(100, 13), (96, 12)])
def test_a_guarded_vector_loop_is_whole_vectors_and_one_of_masked_lanes(n, vectors):
    """Halide stores the tail lane by lane; test_counts.py has that, with `partition`."""
    s = scheduled(image(1, n))
    s.vectorize("x", 8)
    assert stores(s) == (vectors, 0)
    agrees(s, built=True)


def test_three_matrices_of_factors():
    """128 x 128 x 128 by factors that do not divide it, as a reduced cube."""
    A = td.placeholder((13, 13, 13), "int32", name="A")
    B = td.compute((13, 13, 13), lambda i, j, k: A[i, j, k] * 2, name="B")
    for factors in itertools.permutations((20, 2, 3)):
        s = scheduled(td.func("cube", [A], [B]))
        for loop, factor in zip("ijk", factors, strict=True):
            s.split(loop, factor)
        s.fuse("io", "ii")
        assert runs(s)["B"] == 13**3
    agrees(s)
