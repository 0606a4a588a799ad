"""reverse, shift, skew and pipeline: iterations get other numbers, and blocks conditions."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import blur, chain, increment, matmul
from tests.scheduling.running import check, nest, scheduled, shown
from tests.scheduling.test_ragged_loops import rows as ragged_rows
from tests.scheduling.test_shifting import gauss_seidel


def one_after_another(last=None):
    """C of B of A in one loop; `last` is a third block in it."""
    a = td.placeholder((6,), "float32", name="A")
    b = td.compute((6,), lambda i: a[i] + 1, name="B")
    results = [td.compute((6,), lambda i: b[i] * 2, name="C")]
    if last is not None:
        results.append(td.compute((6,), lambda i: last(a, b, i), name="D"))
    s = scheduled(td.func("f", [a], results))
    for result in "CD"[: len(results)]:
        s.compute_with(result, at="B.i")
    return s


@pytest.mark.parametrize(
    ("by", "condition", "at"), [(2, "if i - 2 >= 0: ", "i - 2"), (-2, "if i < 6: ", "i")]
)
def test_a_loop_that_starts_later_or_goes_on_longer(by, condition, at):
    s = scheduled(increment(6))
    assert s.shift("B.i", by).extent == 8
    shown(s, f"""
        for i in 8:
          {condition}B[{at}] = A[{at}] + 1
    """)  # fmt: skip


@pytest.mark.parametrize(("by", "block"), [(2, "C"), (-2, "B")])
def test_a_block_that_runs_later_is_one_before_which_the_others_run(by, block):
    s = one_after_another()
    s.shift("B.i", by, block=block)
    shown(s, """
        alloc B: f32[6]
        for i in 8:
          if i < 6: B[i] = A[i] + 1
          if i - 2 >= 0: C[i - 2] = B[i - 2] * 2
    """)  # fmt: skip


@pytest.mark.parametrize("block", [None, "B"])
def test_a_shift_by_nothing_changes_nothing(block):
    s = one_after_another()
    before = nest(s)
    s.shift("B.i", 0, block=block)
    shown(s, before)


def test_conditions_that_were_there_move_along():
    s = scheduled(increment(10))
    s.split("B.i", 4)
    s.shift("B.ii", 1)
    at = "io * 4 + (ii - 1)"
    shown(s, f"""
        for io in 3:
          for ii in 5:
            if {at} < 10 and ii - 1 >= 0: B[{at}] = A[{at}] + 1
    """)  # fmt: skip


def test_a_parallel_loop_may_start_later():
    s = scheduled(increment(8))
    s.parallel("B.i")
    s.shift("B.i", 1)
    shown(s, """
        for i in parallel(9):
          if i - 1 >= 0: B[i - 1] = A[i - 1] + 1
    """)  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "extent", "later"), [(1, 6, "i"), (2, 8, "i * 2"), (-1, 6, "(2 - i)"), (0, 4, "")]
)
def test_an_inner_loop_starts_later_with_each_step_of_the_outer_one(factor, extent, later):
    s = scheduled(gauss_seidel(3, 4))
    i, j = s.loops("u")[-2:]
    s.skew(j, by=i, factor=factor)
    at = f"j - {later}" if later else "j"
    assert nest(s).splitlines()[3:] == [
        "for i in 3:  # in order",
        f"  for j in {extent}:  # in order",
        f"    if {at} >= 0 and {at} < 4: u[i + 1, {at} + 1] = "
        f"fma(u[i, {at} + 1] + u[i + 1, {at}], 0.5, u[i + 1, {at} + 1])",
    ]
    check(s)


def test_a_backward_loop_counts_from_its_last_iteration():
    s = scheduled(matmul(2, 3, 4))
    s.reverse("C.k")
    assert "C[i, j] += A[i, 3 - k] * B[3 - k, j]" in nest(s)
    check(s)
    s = scheduled(increment("N"))
    s.reverse("B.i")
    shown(s, "for i in N:\n  B[N - 1 - i] = A[N - 1 - i] + 1", {"N": 5})
    s = scheduled(blur(2, 3))
    s.reverse(s.fuse("X.i", "X.j"))
    assert "for i, j in fused(4, 3):\n  X[3 - i, 2 - j] = A[3 - i, 2 - j] + " in nest(s)
    check(s)


def product():
    return scheduled(matmul(3, 4, 5))


def marked(step):
    s = scheduled(increment(8))
    step(s)
    return s


def fused():
    s = product()
    s.fuse("C.i", "C.j")
    return s


@pytest.mark.parametrize(
    ("made", "step", "reason"),
    [
        (product, lambda s: s.skew("C.i", by="C.j"), "loop 'j' is not around 'i'"),
        (product, lambda s: s.skew("C.i", by="C.i"), "loop 'i' is not around 'i'"),
        (fused, lambda s: s.skew("C.k", by="C.i_j"), "loop 'i_j' is fused"),
        (fused, lambda s: s.shift("C.i_j", 1), "loop 'i_j' is fused"),
        (lambda: marked(lambda s: s.vectorize("B.i")), lambda s: s.shift("B.i", 1), "vectorized"),
        (lambda: marked(lambda s: s.unroll("B.i")), lambda s: s.shift("B.i", 1), "unrolled"),
    ],
    ids=["inside", "itself", "around is fused", "fused", "lanes", "unrolled"],
)
def test_loops_without_numbers_of_their_own(made, step, reason):
    s = made()
    before = nest(s)
    with pytest.raises(td.ScheduleError) as caught:
        step(s)
    assert reason in caught.value.message  # the excerpt of this file below it holds the reason, too
    assert nest(s) == before


def test_extents_inside_may_be_symbolic_but_not_depend_on_the_loop():
    n = td.sizes("N")
    a = td.placeholder((3, n), "float32", name="A")
    k = td.reduce_axis(n, name="k")
    c = td.compute((3,), lambda i: td.sum(a[i, k], axis=k), name="C")
    s = scheduled(td.func("sums", [a], [c]))
    s.shift("C.i", 1)
    shown(s, """
        for i in 4:
          if i - 1 >= 0: C[i - 1] = 0
          for k in N:  # reduction
            if i - 1 >= 0: C[i - 1] += A[i - 1, k]
    """, {"N": 5})  # fmt: skip
    s, outer = ragged_rows()
    with pytest.raises(td.ScheduleError, match="the extent of 'i' depends on 'i_jo'") as caught:
        s.shift(outer, 1)
    assert caught.value.hint == "only loops over a rectangle can be renumbered"


def test_a_block_elsewhere_is_not_shifted():
    a = td.placeholder((6,), "float32", name="A")
    made = [td.compute((6,), lambda i, n=n: a[i] + n, name=name) for n, name in enumerate("BC")]
    s = scheduled(td.func("f", [a], made))
    with pytest.raises(td.ScheduleError, match="block 'C' is not inside loop 'i'") as caught:
        s.shift("B.i", 1, block="C")
    assert caught.value.hint == "one of 'B'"


@pytest.mark.parametrize("ahead", [1, 2])
def test_what_is_read_is_made_some_iterations_ahead_and_the_rest_waits(ahead):
    s = one_after_another(last=lambda a, b, i: a[i] * 3)
    assert s.pipeline("B", "B.i", ahead=ahead).extent == 6 + ahead
    at = f"i - {ahead}"
    shown(s, f"""
        alloc B: f32[6] stored at [i % {ahead + 1}]
        for i in {6 + ahead}:
          if i < 6: B[i] = A[i] + 1
          if {at} >= 0: C[{at}] = B[{at}] * 2
          if {at} >= 0: D[{at}] = A[{at}] * 3
    """)  # fmt: skip


@pytest.mark.parametrize(
    ("read", "made_at"),
    [
        (lambda b, i: b[2 * i] + b[2 * i + 1], "i * 2 + i_1"),
        (lambda b, i: b[11 - 2 * i] + b[10 - 2 * i], "i * -2 + 10 + i_1"),
    ],
    ids=["forward", "backward"],
)
def test_a_ring_holds_the_window_and_as_many_steps_as_it_is_ahead(read, made_at):
    a = td.placeholder((12,), "float32", name="A")
    b = td.compute((12,), lambda i: a[i] + 1, name="B")
    c = td.compute((4,), lambda i: read(b, i), name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.compute_at("B", at="C.i")
    s.pipeline("B", at="C.i")
    assert nest(s).splitlines()[:4] == [
        "alloc B: f32[12] stored at [i % 4]",  # two are read, and the next two made
        "for i in 5:",
        "  for i_1 in 2:",
        f"    if i < 4: B[{made_at}] = A[{made_at}] + 1",
    ]
    check(s)


def test_a_ring_stays_where_storage_is_already():
    s = scheduled(chain(8, 2))
    s.inline("B")
    s.split("D.i", 4)
    s.compute_at("C", at="D.ii")
    s.store_at("C", at="D.io")
    s.pipeline("C", at="D.ii")
    assert nest(s).splitlines()[:4] == [
        "for io in 2:",
        "  alloc C: f32[10] stored at [i % 4]",
        "  for ii in 5:",
        "    for i in 3:",
    ]
    check(s)


def test_a_tile_moves_along_its_rows_only():
    s = scheduled(blur(8, 6))
    s.tile("Y.i", "Y.j", 4, 3)
    s.compute_at("X", at="Y.ii")
    s.store_at("X", at="Y.io")
    s.pipeline("X", at="Y.ii")  # columns move with the loop around
    assert "alloc X: f32[10, 6] stored at [i % 4, j]\n  for jo in 2:\n    for ii in 5:" in nest(s)
    check(s)


def test_all_tensors_of_a_block_have_rings():
    a = td.placeholder((6,), "float32", name="A")
    p, q = td.compute((6,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    s = scheduled(td.func("f", [a], [td.compute((6,), lambda i: p[i] * q[i], name="C")]))
    s.compute_at("P", at="C.i")
    s.pipeline("P", at="C.i")
    shown(s, """
        alloc P.1: f32[6] stored at [i % 2]
        alloc P.0: f32[6] stored at [i % 2]
        for i in 7:
          for i_1 in 1:
            if i < 6: P.0[i + i_1] = A[i + i_1] + 1
            if i < 6: P.1[i + i_1] = A[i + i_1] * 2
          if i - 1 >= 0: C[i - 1] = P.0[i - 1] * P.1[i - 1]
    """)  # fmt: skip


@pytest.mark.parametrize("order", ["BE", "EB"])
def test_tensors_of_other_blocks_stay_private(order):
    a = td.placeholder((6,), "float32", name="A")
    b = td.compute((6,), lambda i: a[i] + 1, name="B")
    e = td.compute((6,), lambda i: a[i] * 3, name="E")
    s = scheduled(td.func("f", [a], [td.compute((6,), lambda i: b[i] * e[i], name="C")]))
    for block in order:
        s.compute_at(block, at="C.i")
    s.pipeline("B", at="C.i")
    head = "alloc B: f32[6] stored at [i % 2]\nfor i in 7:\n  alloc E: f32[6]\n  for i_1 in 1:"
    assert nest(s).startswith(head)
    shown(s, nest(s))


def read_with(rows, read):
    """C reads B, computed in its loop."""
    a = td.placeholder(rows, "float32", name="A")
    value = (lambda i: a[i] + 1) if len(rows) == 1 else (lambda i, j: a[i, j] + 1)
    b = td.compute(rows, value, name="B")
    c = td.compute((4,), lambda i: read(b, i), name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.compute_at("B", at="C.i")
    return s


def long_window():
    """C sums as many elements of B as a size says."""
    n = td.sizes("N")
    a = td.placeholder((n + 6,), "float32", name="A")
    b = td.compute((n + 6,), lambda i: a[i] + 1, name="B")
    k = td.reduce_axis(n, name="k")
    c = td.compute((6,), lambda i: td.sum(b[i + k], axis=k), name="C")
    s = scheduled(td.func("sums", [a], [c]))
    s.compute_at("B", at="C.i")
    return s


def read_later():
    a = td.placeholder((4,), "float32", name="A")
    b = td.compute((4,), lambda i: a[i] + 1, name="B")
    c, d = (td.compute((4,), lambda i, n=n: b[i] * n, name=x) for n, x in ((2, "C"), (3, "D")))
    s = scheduled(td.func("f", [a], [c, d]))
    s.compute_with("C", at="B.i")
    return s


@pytest.mark.parametrize(
    ("made", "at", "reason"),
    [
        (
            lambda: read_with((4,), lambda b, i: b[0]),
            "C.i",
            "'B' moves along 0 dimensions with 'i'",
        ),
        (lambda: read_with((4, 4), lambda b, i: b[i, i]), "C.i", "moves along 2 dimensions"),
        (lambda: read_with((4,), lambda b, i: b[i // 2]), "C.i", "move by a constant number of el"),
        (long_window, "C.i", "'B' does not move by a constant number of elements with 'i'"),
        (read_later, "B.i", "block 'D' uses 'B' outside loop 'i'"),
    ],
    ids=["stands", "diagonal", "every other", "symbolic", "read later"],
)
def test_what_does_not_move_evenly_is_not_pipelined(made, at, reason):
    s = made()
    before = nest(s)
    with pytest.raises(td.ScheduleError, match=reason):
        s.pipeline("B", at)
    assert nest(s) == before
