"""Reductions: factored, decomposed, over triangles and data, and over a domain walked in order.

Halide: rfactor, reduction_non_rectangular, reduction_schedule, multi_pass_reduction,
tuple_reduction, stream_compaction. TVM: rfactor of each axis, argmax, a reduction of rank 0,
decompose_reduction that keeps loop kinds.
"""

import numpy as np
import pytest

import tdsl as td
from tdsl.analysis import Numerics
from tests.prior_art.agreeing import agrees
from tests.scheduling.algorithms import matmul
from tests.scheduling.counting import runs
from tests.scheduling.running import nest, scheduled


def folded(value, n=23, dtype="int32"):
    """One result, reduced over n elements of A: `value(A, k)`."""
    A = td.placeholder((n,), dtype, name="A")
    k = td.reduce_axis(n, name="k")
    return td.func("folded", [A], [td.compute((), lambda: value(A, k), name="C")])


PLAIN = {
    "sum": lambda A, k: td.sum(A[k], axis=k),
    "max": lambda A, k: td.max(A[k] - 4, axis=k),
    "product": lambda A, k: td.prod(A[k] % 3 + 1, axis=k),
    "predicated": lambda A, k: td.sum(A[k], axis=k, where=A[k] % 2 == 0),
    "argmin": lambda A, k: td.argmin(A[k], axis=k),
    "argmax": lambda A, k: td.argmax(A[k] % 3, axis=k),
}


@pytest.mark.parametrize("factor", [4, 7])
@pytest.mark.parametrize("kind", PLAIN)
def test_reductions_are_factored_over_either_part(kind, factor):
    for part in ("ko", "ki"):
        s = scheduled(folded(PLAIN[kind]))
        block = s.nest.blocks[-1].name
        s.split(f"{block}.k", factor)
        name = s.rfactor(f"{block}.{part}")
        s.parallel(f"{name}.{part}")
        assert s.numerics is Numerics.EXACT
        assert runs(s)[name] == (23 if kind != "predicated" else runs(scheduled(s.func))["C"])
        agrees(s)


def test_ties_of_a_factored_argmax_go_to_the_lowest_index():
    s = scheduled(folded(PLAIN["argmax"]))
    s.split("C.k", 5)
    s.rfactor("C.ki")
    same = {"A": np.full(23, 2, np.int32)}
    agrees(s, arrays=same)
    assert td.reference(s.func)(*same.values()) == 0


def test_a_product_of_complex_numbers_is_factored():
    n = 12
    re, im = (td.placeholder((n,), "int32", name=name) for name in ("re", "im"))
    k = td.reduce_axis(n, name="k")
    times = td.reducer(
        identity=(1, 0),
        combine=lambda a, b: (a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]),
    )
    made = td.compute((1,), lambda i: times((re[k], im[k] - 3), axis=k), name="P")
    s = scheduled(td.func("product", [re, im], list(made)))
    block = s.nest.blocks[-1].name
    s.split(f"{block}.k", 5)
    s.rfactor(f"{block}.ko")
    agrees(s)


def test_a_product_that_does_not_commute_is_factored_in_order_only():
    """2 x 2 matrices: blocks of consecutive factors may be multiplied apart, strides may not."""
    n = 12
    parts = [td.placeholder((n,), "int32", name=name) for name in "abcd"]
    k = td.reduce_axis(n, name="k")
    times = td.reducer(
        identity=(1, 0, 0, 1),
        combine=lambda x, y: (
            x[0] * y[0] + x[1] * y[2],
            x[0] * y[1] + x[1] * y[3],
            x[2] * y[0] + x[3] * y[2],
            x[2] * y[1] + x[3] * y[3],
        ),
    )
    made = td.compute((1,), lambda i: times(tuple(p[k] for p in parts), axis=k), name="P")
    func = td.func("matrices", parts, list(made))
    s = scheduled(func)
    block = s.nest.blocks[-1].name
    s.split(f"{block}.k", 5)
    s.rfactor(f"{block}.ko")
    agrees(s)
    t = scheduled(func)
    t.split(f"{block}.k", 5)
    with pytest.raises(td.ScheduleError, match="factor 'ko'") as caught:
        t.rfactor(f"{block}.ki")
    assert caught.value.witness is not None
    t.rfactor(f"{block}.ki", unsafe=True)
    with pytest.raises(AssertionError):
        agrees(t)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_a_matrix_product_is_factored_along_each_axis(axis):
    s = scheduled(matmul(6, 5, 8, "int32"))
    s.split("C.k", 3)
    s.rfactor("C.ko", axis)
    shape = [6, 5]
    shape.insert(axis if axis >= 0 else axis + 3, 3)
    assert f"alloc C.rf: i32[{', '.join(map(str, shape))}]" in nest(s)
    agrees(s)


def test_an_axis_that_the_factored_tensor_has_not_is_refused():
    for axis in (3, -4):
        s = scheduled(matmul(6, 5, 8, "int32"))
        with pytest.raises(td.ScheduleError, match="axis"):
            s.rfactor("C.k", axis)


def test_a_histogram_is_factored_and_its_parts_run_at_once():
    n, bins = 40, 8
    X = td.placeholder((n,), "int32", name="X")
    zero = td.placeholder((bins,), "int32", name="zero")
    r = td.reduce_axis(n, name="r")
    H = td.update(zero, over=r, at=X[r], value=1, op="add", name="H")
    s = scheduled(td.func("histogram", [X, zero], [H]))
    s.split("H.r", 10)
    name = s.rfactor("H.ro")
    s.parallel(f"{name}.ro")
    counts = runs(s)
    assert counts[name] == n
    assert counts["H"] == 4 * bins
    agrees(s)


def test_a_decomposed_init_keeps_the_kinds_of_the_loops():
    s = scheduled(matmul(16, 32, 8))
    s.vectorize("C.j", 16)
    s.parallel("C.i")
    s.decompose_reduction("C", at="C.k")
    s.fission("C.ji", after="C.init")
    assert nest(s).count("vectorized(16)") == 2
    agrees(s)
    t = scheduled(matmul(16, 32, 8))
    t.parallel("C.i")
    t.decompose_reduction("C", at="C.i")
    assert nest(t).count("parallel(16)") == 2
    agrees(t)


@pytest.mark.parametrize("tile", [None, 3])
def test_a_triangle_and_a_band_run_over_their_own_points(tile):
    n = 9
    A = td.placeholder((n, n), "int32", name="A")
    for where, count in (
        (lambda i, k: k < i, n * (n - 1) // 2),
        (lambda i, k: (k >= i - 1) & (k <= i + 1), 3 * n - 2),
        (lambda i, k: (k + i) % 2 == 0, (n * n + 1) // 2),
        (lambda i, k: k > n, 0),
        (lambda i, k: A[i, k] > 3, None),
    ):
        k = td.reduce_axis(n, name="k")
        C = td.compute(
            (n,),
            lambda i, k=k, where=where: td.sum(A[i, k], axis=k, where=where(i, k)),
            name="C",
        )
        s = scheduled(td.func("where", [A], [C]))
        if tile is not None:
            s.tile("i", "k", tile, tile)
            s.reorder("ko", "io")
        if count is not None:
            assert runs(s)["C"] == count
        agrees(s)


def test_the_first_points_that_a_condition_skips_leave_the_init_alone():
    """`if k == 0: init` would never run: the sum of an empty row is 0, in every order."""
    n = 7
    A = td.placeholder((n, n), "int32", name="A")
    k = td.reduce_axis(n, name="k")
    C = td.compute((n,), lambda i: td.sum(A[i, k], axis=k, where=k >= i + 1), name="C")
    s = scheduled(td.func("late", [A], [C]))
    s.split("k", 3)
    s.reorder("ko", "i", "ki")
    counts = runs(s)
    assert counts["C.init"] == n
    assert counts["C"] == n * (n - 1) // 2
    agrees(s)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_sums_of_nothing(n):
    s = scheduled(matmul(2, 3, "K", "int32"))
    s.split("C.k", 4)
    s.rfactor("C.ko")
    agrees(s, {"K": n})


def seams(h, w):
    """The cheapest way down to each pixel: a row is computed from the row above."""
    E = td.placeholder((h, w), "int32", name="E")
    t = td.scan_axis(h, name="t")

    def step(t, prev):
        c = prev["c"]
        return {
            "c": lambda x: (
                E[t, x]
                + td.minimum(c[x], td.minimum(c[td.maximum(x - 1, 0)], c[td.minimum(x + 1, w - 1)]))
            )
        }

    return td.func("seams", [E], [td.scan(t, {"c": ((w,), 0)}, step, name="S")["c"]])


def test_seams_keep_the_order_of_rows_and_of_no_columns():
    s = scheduled(seams(6, 7))
    for refuse in (lambda s: s.parallel("S.c.t"), lambda s: s.reorder("S.c.x", "S.c.t")):
        with pytest.raises(td.ScheduleError) as caught:
            refuse(s)
        assert caught.value.witness is not None
    s.reverse("S.c.x")
    s.vectorize("S.c.x", 4)
    agrees(s)


def test_two_passes_over_a_row_one_there_and_one_back():
    """Forward and backward recurrences of the same axis may not be joined, rows may run at once."""
    h, w = 3, 8
    A = td.placeholder((w, h), "int32", name="A")
    x = td.scan_axis(w, name="x")
    there = td.scan(
        x, {"s": ((h,), 0)}, lambda x, prev: {"s": lambda y: prev["s"][y] * 2 + A[x, y]}, name="F"
    )["s"]
    u = td.scan_axis(w, name="u")
    back = td.scan(
        u,
        {"s": ((h,), 0)},
        lambda u, prev: {"s": lambda y: prev["s"][y] * 3 + there[w - 1 - u, y]},
        name="G",
    )["s"]
    s = scheduled(td.func("there_and_back", [A], [back]))
    with pytest.raises(td.ScheduleError):
        s.compute_with("G.s", at="F.s.x")
    s.reorder("F.s.y", "F.s.x")
    s.reorder("G.s.y", "G.s.u")
    s.compute_with("G.s", at="F.s.y")
    s.parallel("F.s.y")
    agrees(s)


def test_two_values_are_reduced_in_one_step():
    """Each sees the other's old value: minimum and where it was, as one pair."""
    n = 15
    A = td.placeholder((n,), "int32", name="A")
    k = td.reduce_axis(n, name="k")
    least = td.reducer(
        identity=(np.iinfo(np.int32).max, -1),
        combine=lambda a, b: (
            td.minimum(a[0], b[0]),
            td.select(b[0] < a[0], b[1], a[1]),
        ),
    )
    made = td.compute((1,), lambda i: least((A[k], td.cast(k, "int32")), axis=k), name="L")
    s = scheduled(td.func("least", [A], list(made)))
    s.split(f"{s.nest.blocks[-1].name}.k", 4)
    agrees(s)


def test_the_multiples_of_5_or_7_are_compacted():
    """Where each goes is a running count: the positions come from a scan, the values follow."""
    n = 60
    A = td.placeholder((n,), "int32", name="A")

    def keep(x):
        return td.select((A[x] % 5 == 0) | (A[x] % 7 == 0), 1, 0)

    t = td.scan_axis(n, name="t")
    P = td.scan(t, {"p": ((), 0)}, lambda t, prev: {"p": prev["p"] + keep(t)}, name="P")["p"]
    zero = td.placeholder((n,), "int32", name="zero")
    r = td.reduce_axis(n, name="r")
    out = td.update(
        zero,
        over=r,
        at=td.maximum(P[r] - 1, 0),
        value=lambda cur: td.select(keep(r) == 1, A[r], cur[td.maximum(P[r] - 1, 0)]),
        op="set",
        name="out",
    )
    s = scheduled(td.func("compact", [A, zero], [out]))
    with pytest.raises(td.ScheduleError):
        s.parallel("out.r")
    s.split("out.r", 7)
    given = {"A": np.arange(n, dtype=np.int32), "zero": np.zeros(n, np.int32)}
    agrees(s, arrays=given)
    found = td.reference(s.func)(*given.values())
    wanted = [x for x in range(n) if x % 5 == 0 or x % 7 == 0]
    assert list(found[: len(wanted)]) == wanted
    assert not found[len(wanted) :].any()
