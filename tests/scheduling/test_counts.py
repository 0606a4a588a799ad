"""How often blocks run, and which elements they touch: schedules that promise it are counted.

The ideas are those of Halide's call counters and TVM's placement tests.
"""

from collections import Counter
from unittest.mock import patch

import pytest

import tdsl as td
from tdsl.ir.interp import interpret
from tdsl.ir.interp_stmts import StmtCompiler
from tdsl.ir.stmt import Alloc, Store
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tests.scheduling.running import check, inputs_of, scheduled


def runs(s, sizes=None):
    """How often each block ran, by name."""
    counts = Counter()
    plain = StmtCompiler._writes

    def writes(self, block):
        update = plain(self, block)

        def counted(f):
            counts[block.name] += 1
            update(f)

        return counted

    with patch.object(StmtCompiler, "_writes", writes):
        interpret(s.program, inputs_of(s.func, sizes or {}), sizes)
    return counts


def stores(s):
    """Stores of the lowered program that are vectors, and those that are scalars."""
    found = [n for n in walk(lower(s.program, s.target).program.body) if isinstance(n, Store)]
    return sum(n.value.lanes > 1 for n in found), sum(n.value.lanes == 1 for n in found)


def allocated(s, name):
    """The shape of a tensor's storage after lowering, ones left out."""
    shapes = [
        tuple(e.value for e in n.buffer.shape)
        for n in walk(lower(s.program, s.target).program.body)
        if isinstance(n, Alloc) and n.buffer.name == name
    ]
    assert len(shapes) == 1
    return tuple(n for n in shapes[0] if n != 1)


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
    lowered = lower(s.program, s.target).program
    written = sum(
        1 for n in walk(lowered.body) if isinstance(n, Store) and n.buffer.name.startswith("F")
    )
    assert written  # it is not inlined away
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
    updated = []
    plain = StmtCompiler._writes

    def writes(self, block):
        update = plain(self, block)
        return (lambda f: (updated.append(block.name), update(f))) if block.name == "B" else update

    with patch.object(StmtCompiler, "_writes", writes):
        interpret(s.program, inputs_of(s.func, {}))
    assert len(updated) == times
    check(s)
