"""compute_at and reverse_compute_at: which loops are rebuilt, over which box, and where they go."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import chain, matmul
from tests.scheduling.running import check, nest, scheduled, shown
from tests.scheduling.test_placing import rows_of_counts
from tests.scheduling.test_shapes_of_programs import recurrent


def twice(*shape):
    """C[i, ...] = (A[i, ...] + 1) * 2, in two steps."""
    a = td.placeholder(shape, "float32", name="A")
    first = {2: lambda i, j: a[i, j] + 1, 3: lambda i, j, k: a[i, j, k] + 1}
    b = td.compute(shape, first[len(shape)], name="B")
    second = {2: lambda i, j: b[i, j] * 2, 3: lambda i, j, k: b[i, j, k] * 2}
    return td.func("twice", [a], [td.compute(shape, second[len(shape)], name="C")])


def several(read_later=False):
    """Three tensors of A, of which C reads two; D reads one of these from its end, if asked for."""
    a = td.placeholder((4,), "float32", name="A")
    p = td.compute((4,), lambda i: a[i] * 2, name="P")
    q = td.compute((4,), lambda i: a[i] * 3, name="Q")
    r = td.compute((4,), lambda i: a[i] * 4, name="R")
    c = td.compute((4,), lambda i: a[i] + p[i] + q[i], name="C")
    d = td.compute((4,), lambda i: q[3 - i] + 1, name="D")
    s = scheduled(td.func("several", [a], [r, c, d] if read_later else [r, c]))
    s.compute_with("Q", at="P.i")
    s.compute_with("R", at="P.i")
    return s


def pair_of_values(first, second, n=8, m=12):
    """C adds something of either tensor of one block; the block is computed in tiles of C."""
    a = td.placeholder((m,), "float32", name="A")
    p, q = td.compute((m,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    c = td.compute((n,), lambda i: first(p, i) + second(q, i), name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.compute_at("P", at=s.split("C.i", 4)[0])
    return s


def test_a_producer_stands_before_its_first_reader_and_after_what_does_not_read_it():
    a = td.placeholder((4,), "float32", name="A")
    t = td.compute((4,), lambda i: a[i] * 2, name="T")
    u = td.compute((4,), lambda i: a[i] + 1, name="U")
    v = td.compute((4,), lambda i: t[i] * a[i], name="V")
    s = scheduled(td.func("three", [a], [u, v]))
    s.compute_with("V", at="U.i")
    s.compute_at("T", at="U.i")
    shown(s, """
        for i in 4:
          alloc T: f32[4]
          U[i] = A[i] + 1
          for i_1 in 1:
            T[i + i_1] = A[i + i_1] * 2
          V[i] = T[i] * A[i]
    """)  # fmt: skip


def test_a_consumer_stands_after_its_last_producer_and_before_what_it_does_not_read():
    s = several()
    s.reverse_compute_at("C", at="P.i")
    shown(s, """
        for i in 4:
          alloc Q: f32[4]
          alloc P: f32[4]
          P[i] = A[i] * 2
          Q[i] = A[i] * 3
          for i_1 in 1:
            C[i + i_1] = A[i + i_1] + P[i + i_1] + Q[i + i_1]
          R[i] = A[i] * 4
    """)  # fmt: skip


@pytest.mark.parametrize("unsafe", [False, True])
def test_tensors_that_others_read_later_do_not_become_private(unsafe):
    s = several(read_later=True)
    s.reverse_compute_at("C", at="P.i", unsafe=unsafe)
    shown(s, """
        alloc Q: f32[4]
        for i in 4:
          alloc P: f32[4]
          P[i] = A[i] * 2
          Q[i] = A[i] * 3
          for i_1 in 1:
            C[i + i_1] = A[i + i_1] + P[i + i_1] + Q[i + i_1]
          R[i] = A[i] * 4
        for i in 4:
          D[i] = Q[3 - i] + 1
    """)  # fmt: skip


def test_the_box_of_a_consumer_follows_a_read_that_moves_with_the_loop():
    a = td.placeholder((4, 2), "float32", name="A")
    b = td.compute((4, 2), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((4,), lambda i: b[i // 2, 0] + b[i, 1], name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.reverse_compute_at("C", at="B.i")  # i // 2 says nothing, i does; B stays for later rows
    shown(s, """
        alloc B: f32[4, 2]
        for i in 4:
          for j in 2:
            B[i, j] = A[i, j] + 1
          for i_1 in 1:
            C[i + i_1] = B[(i + i_1) // 2, 0] + B[i + i_1, 1]
    """)  # fmt: skip


def test_an_index_with_a_factor_leaves_the_whole_range():
    a = td.placeholder((3, 8), "float32", name="A")
    b = td.compute((3, 8), lambda r, i: a[r, i] + 1, name="B")
    c = td.compute((3, 4), lambda r, i: b[r, 2 * i], name="C")
    s = scheduled(td.func("every_other", [a], [c]))
    s.reverse_compute_at("C", at="B.r")
    shown(s, """
        for r in 3:
          alloc B: f32[3, 8]
          for i in 8:
            B[r, i] = A[r, i] + 1
          for r_1 in 1:
            for i in 4:
              C[r + r_1, i] = B[r + r_1, 2 * i]
    """)  # fmt: skip


def test_conditions_of_a_dimension_that_is_read_with_a_factor_are_not_the_readers():
    a = td.placeholder((5, 7), "float32", name="A")
    b = td.compute((5, 7), lambda r, i: a[r, i] + 1, name="B")
    c = td.compute((5, 4), lambda r, i: b[r, 2 * i], name="C")
    s = scheduled(td.func("every_other", [a], [c]))
    s.split("B.i", 4)
    s.reverse_compute_at("C", at="B.r")
    shown(s, """
        for r in 5:
          alloc B: f32[5, 7]
          for io in 2:
            for ii in 4:
              if io * 4 + ii < 7: B[r, io * 4 + ii] = A[r, io * 4 + ii] + 1
          for r_1 in 1:
            for i in 4:
              C[r + r_1, i] = B[r + r_1, 2 * i]
    """)  # fmt: skip


def test_a_fused_loop_inside_writes_a_box():
    s = scheduled(twice(2, 3, 4))
    s.fuse("B.j", "B.k")
    s.reverse_compute_at("C", at="B.i")
    shown(s, """
        for i in 2:
          alloc B: f32[2, 3, 4]
          for j, k in fused(3, 4):
            B[i, j, k] = A[i, j, k] + 1
          for i_1 in 1:
            for j in 3:
              for k in 4:
                C[i + i_1, j, k] = B[i + i_1, j, k] * 2
    """)  # fmt: skip


def test_a_fused_loop_around_gives_each_of_its_pairs_one_element_without_conditions():
    s = scheduled(twice(4, 6))
    s.compute_at("B", at=s.fuse("C.i", "C.j"))
    shown(s, """
        for i, j in fused(4, 6):
          alloc B: f32[4, 6]
          for i_1 in 1:
            for j_1 in 1:
              B[i + i_1, j + j_1] = A[i + i_1, j + j_1] + 1
          C[i, j] = B[i, j] * 2
    """)  # fmt: skip


@pytest.mark.parametrize("tail", ["guard", "mask"])
def test_a_consumer_in_tiles_has_each_condition_of_its_producer_once(tail):
    s = scheduled(twice(5, 7))
    _, jo, _, _ = s.tile("B.i", "B.j", 4, 4, tail=tail)
    s.reverse_compute_at("C", at=jo)
    assert nest(s).splitlines()[-3:] == [
        "    for i in 4:",
        "      for j in 4:",
        "        if io * 4 + i < 5 and jo * 4 + j < 7: "
        "C[io * 4 + i, jo * 4 + j] = B[io * 4 + i, jo * 4 + j] * 2",
    ]
    check(s)


def test_a_producer_in_tiles_is_guarded_where_the_box_leaves_the_tensor():
    s = scheduled(twice(5, 7))
    _, jo, _, _ = s.tile("C.i", "C.j", 4, 4)
    s.compute_at("B", at=jo)
    assert nest(s).splitlines()[2:6] == [
        "    alloc B: f32[5, 7]",
        "    for i in 4:",
        "      for j in 4:",
        "        if io * 4 + i < 5 and jo * 4 + j < 7: "
        "B[io * 4 + i, jo * 4 + j] = A[io * 4 + i, jo * 4 + j] + 1",
    ]
    check(s)


def test_a_consumer_that_reads_further_on_has_its_own_edges_and_those_of_its_producer():
    a = td.placeholder((10,), "float32", name="A")
    b = td.compute((10,), lambda i: a[i] + 1, name="B")
    c = td.compute((7,), lambda i: b[i + 3] * 2, name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.reverse_compute_at("C", at=s.split("B.i", 4)[0])
    at = "io * 4 - 3 + i"
    shown(s, f"""
        for io in 3:
          alloc B: f32[10]
          for ii in 4:
            if io * 4 + ii < 10: B[io * 4 + ii] = A[io * 4 + ii] + 1
          for i in 4:
            if {at} >= 0 and {at} < 7 and {at} + 3 < 10: C[{at}] = B[{at} + 3] * 2
    """)  # fmt: skip


def test_what_one_column_needs_is_no_longer_than_the_tensor():
    s = scheduled(twice(10, 3))
    io, ii = s.split("C.i", 4)
    s.reorder("C.j", io, ii)
    s.compute_at("B", at="C.j")  # twelve iterations read ten rows
    shown(s, """
        for j in 3:
          alloc B: f32[10, 3]
          for i in 10:
            for j_1 in 1:
              B[i, j + j_1] = A[i, j + j_1] + 1
          for io in 3:
            for ii in 4:
              if io * 4 + ii < 10: C[io * 4 + ii, j] = B[io * 4 + ii, j] * 2
    """)  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "origin", "extent"),
    [  # what four elements of C read of either: offsets from the first of them
        (lambda p, i: p[i], lambda q, i: q[i + 2], 0, 6),  # 0 .. 3 and 2 .. 5
        (lambda p, i: p[i + 2], lambda q, i: q[i], 0, 6),  # 2 .. 5 and 0 .. 3
        (lambda p, i: p[i] + p[i + 4], lambda q, i: q[i + 1], 0, 8),  # 0 .. 7 and 1 .. 4
        (lambda p, i: p[i + 1], lambda q, i: q[i] + q[i + 4], 0, 8),  # 1 .. 4 and 0 .. 7
        (lambda p, i: p[i + 2], lambda q, i: q[i + 2], 2, 4),  # the same
        (lambda p, i: p[i + 1], lambda q, i: q[i + 1] + q[i + 2], 1, 5),  # 1 .. 4 and 1 .. 5
        (lambda p, i: p[i + 1] + p[i + 2], lambda q, i: q[i + 2], 1, 5),  # 1 .. 5 and 2 .. 5
    ],
    ids=["later", "earlier", "inside", "around", "same", "longer", "shorter"],
)
def test_a_block_of_two_tensors_is_computed_over_the_box_around_both(first, second, origin, extent):
    s = pair_of_values(first, second)
    (loop,) = s.loops("P.0")[1:] if "P.0" in s.blocks() else s.loops("P")[1:]
    assert loop.extent == extent
    at = "io * 4 + i" if origin == 0 else f"io * 4 + {origin} + i"
    assert f"P.0[{at}] = A[{at}] + 1" in nest(s)
    check(s)


def test_a_tensor_that_nothing_reads_there_does_not_count():
    a = td.placeholder((8,), "float32", name="A")
    p, _ = td.compute((8,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    c = td.compute((8,), lambda i: p[i] * 3, name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.compute_at("P", at=s.split("C.i", 4)[0])
    shown(s, """
        for io in 2:
          alloc P.1: f32[8]
          alloc P.0: f32[8]
          for i in 4:
            P.0[io * 4 + i] = A[io * 4 + i] + 1
            P.1[io * 4 + i] = A[io * 4 + i] * 2
          for ii in 4:
            C[io * 4 + ii] = P.0[io * 4 + ii] * 3
    """)  # fmt: skip


@pytest.mark.parametrize(
    "read",
    [
        lambda p, q, i, k: p[k] * q[0],  # all and the first: they end apart
        lambda p, q, i, k: p[0] * q[k],
        lambda p, q, i, k: p[k] * q[i],  # all and one that moves
        lambda p, q, i, k: p[i] * q[0],
    ],
    ids=["all and first", "first and all", "all and one", "one and first"],
)
def test_boxes_whose_corners_do_not_differ_by_numbers_are_not_joined(read):
    n = td.sizes("N")
    a = td.placeholder((n,), "float32", name="A")
    p, q = td.compute((n,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    k = td.reduce_axis(n, name="k")
    c = td.compute((n,), lambda i: td.sum(read(p, q, i, k), axis=k), name="C")
    s = scheduled(td.func("f", [a], [c]))
    with pytest.raises(td.ScheduleError, match="'P' are read in boxes that cannot be joined"):
        s.compute_at("P", at="C.i")


def three_tensors():
    """A block of three tensors, of which nobody reads two; these are allocated beside it alone."""
    a = td.placeholder((4,), "float32", name="A")
    p = td.compute((4,), lambda i: a[i] * 2, name="P")
    q = td.compute((4,), lambda i: a[i] * 3, name="Q")
    t, _, _ = td.compute((4,), lambda i: (p[i] + 1, p[i] + 2, p[i] + 3), name="T")
    s = scheduled(td.func("f", [a], [td.compute((4,), lambda i: t[i] + q[i], name="S")]))
    s.store_at("T.1", at="T.i")
    s.store_at("T.2", at="T.i")
    s.compute_with("Q", at="T.i")
    return s


def test_storage_around_a_consumer_alone_moves_along():
    s = three_tensors()
    s.reverse_compute_at("T", at="P.i")
    shown(s, """
        alloc Q: f32[4]
        alloc T.0: f32[4]
        for i in 4:
          alloc P: f32[4]
          P[i] = A[i] * 2
          alloc T.2: f32[4]
          alloc T.1: f32[4]
          for i_1 in 1:
            T.0[i + i_1] = P[i + i_1] + 1
            T.1[i + i_1] = P[i + i_1] + 2
            T.2[i + i_1] = P[i + i_1] + 3
        for i in 4:
          Q[i] = A[i] * 3
        for i in 4:
          S[i] = T.0[i] + Q[i]
    """)  # fmt: skip


def test_all_storage_of_a_producer_moves_along():
    s = three_tensors()
    s.compute_at("T", at="S.i")
    inside = nest(s).partition("for i in 4:\n  alloc")[2]
    assert inside.count("alloc") == 2
    assert nest(s).count("alloc") == 5
    assert "T.2[i + i_1] = P[i + i_1] + 3" in inside
    shown(s, nest(s))


def test_the_base_of_an_update_is_private_where_all_that_uses_it_is_inside():
    s = scheduled(rows_of_counts())
    s.reverse_compute_at("O", at="hist.r")
    s.compute_at("hist.base", at="hist.r")  # `start` is outside, and has no part in it
    shown(s, """
        alloc start: i32[6, 8]
        for i in 6:
          for j in 8:
            start[i, j] = i32(j)
        for r in 6:  # reduction
          alloc hist: i32[6, 8]
          for b0 in 1:
            for b1 in 8:
              hist[r + b0, b1] = start[r + b0, b1]
          for c in 20:  # reduction
            hist[r, i64(X[r, c])] += 1_i32
          for i in 1:
            for j in 8:
              O[r + i, j] = hist[r + i, j] * 2
    """)  # fmt: skip


def test_a_part_of_a_step_moves_along_its_loops_and_keeps_the_time():
    s = scheduled(recurrent(2, 3, 4))
    before = nest(s)
    t, b = s.loops("rnn.h")[:2]
    s.compute_at("g", at=b)
    assert nest(s).splitlines()[:5] == [
        "for t in 2:  # in order",
        "  for b in 3:",
        "    alloc g: f32[2, 3, 4]",
        "    for b_1 in 1:",
        "      for h in 4:",
    ]
    check(s)
    s.compute_at("g", at=t)
    assert nest(s) == before


def test_a_time_that_is_walked_backwards_is_kept_too():
    T = td.sizes("T")
    x = td.placeholder((T, 3), "float32", name="x")

    def step(t, prev):
        g = td.compute((3,), lambda i: x[t, i] * 2, name="g")
        return {"h": lambda i: g[i] + 1}  # nothing of the step before: any order will do

    h = td.scan(td.scan_axis(T, name="t"), {"h": ((3,), 0.0)}, step, name="H")["h"]
    s = scheduled(td.func("f", [x], [h]))
    s.reverse("t")
    s.compute_at("g", at="H.h.i")
    shown(s, """
        for t in T:  # in order
          for i in 3:
            alloc g: f32[T, 3]
            for i_1 in 1:
              g[T - 1 - t, i + i_1] = x[T - 1 - t, i + i_1] * 2
            H.h[T - 1 - t, i] = g[T - 1 - t, i] + 1
    """, {"T": 4})  # fmt: skip


def test_a_state_is_computed_beside_a_part_of_its_step():
    s = scheduled(recurrent(2, 3, 4))
    s.reverse_compute_at("rnn.h", at=s.loops("g")[1])
    shown(s, """
        for t in 2:  # in order
          for b in 3:
            alloc g: f32[2, 3, 4]
            for h in 4:
              g[t, b, h] = 0
              for k in 4:  # reduction
                g[t, b, h] += select(t == 0, 0, rnn.h[t - 1, b, k]) * w[k, h]
            for b_1 in 1:
              for h in 4:
                rnn.h[t, b + b_1, h] = tanh(g[t, b + b_1, h] + x[t, b + b_1, h])
    """)  # fmt: skip


def test_a_reduction_is_not_placed_where_its_terms_are_still_being_made():
    a = td.placeholder((3, 4), "float32", name="A")
    k = td.reduce_axis(4, name="k")
    b = td.compute((3, 4), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((3,), lambda i: td.sum(b[i, k], axis=k), name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.reorder("B.j", "B.i")
    with pytest.raises(td.ScheduleError) as caught:
        s.reverse_compute_at("C", at="B.j")
    assert caught.value.witness is not None


def test_a_consumer_of_what_is_made_elsewhere_is_told_what_it_reads():
    s = scheduled(chain(16, 1))
    with pytest.raises(
        td.ScheduleError, match="no block inside loop 'i' writes what 'D'"
    ) as caught:
        s.reverse_compute_at("D", at="B.i")
    assert caught.value.hint == "'D' reads C"


def test_hints_name_the_consumers_alone():
    s = scheduled(chain(16, 1))
    with pytest.raises(td.ScheduleError) as caught:
        s.compute_at("B", at="D.i")
    assert caught.value.hint == "its consumers: C"
    a = td.placeholder((4,), "float32", name="A")
    b, c = (
        td.compute((4,), lambda i, n=n: a[i] + n, name=name) for n, name in ((1, "B"), (2, "C"))
    )
    s = scheduled(td.func("f", [a], [b, c]))
    with pytest.raises(td.ScheduleError, match="no block inside loop 'i' reads 'B'") as caught:
        s.compute_at("B", at="C.i")
    assert caught.value.hint == "nothing reads it"


def product():
    return matmul(4, 8, 3, relu=True)


@pytest.mark.parametrize(
    ("algorithm", "step"),
    [
        (lambda: twice(4, 8), lambda s: s.vectorize("B.j")),
        (lambda: twice(4, 8), lambda s: s.unroll("B.i")),
        (lambda: twice(4, 8), lambda s: s.parallel("B.i")),
        (lambda: twice(4, 8), lambda s: s.fuse("B.i", "B.j")),
        (lambda: twice(4, 8), lambda s: s.split("B.j", 4)),
        (lambda: twice(4, 8), lambda s: s.reorder("B.j", "B.i")),
        (lambda: twice(4, 8), lambda s: s.reverse("B.j")),
        (lambda: twice(4, 8), lambda s: s.skew("B.j", by="B.i")),
        (lambda: twice(4, 8), lambda s: s.stream("B")),
        (product, lambda s: s.atomic("C")),
        (product, lambda s: s.decompose_reduction("C", "C.i")),
    ],
    ids=[
        "vectorize", "unroll", "parallel", "fuse", "split", "reorder", "reverse", "skew", "stream",
        "atomic", "decompose",
    ],
)  # fmt: skip
def test_what_a_step_did_to_a_nest_is_not_lost(algorithm, step):
    s = scheduled(algorithm())
    step(s)
    consumer = s.blocks()[-1]
    before = nest(s)
    with pytest.raises(td.ScheduleError, match="scheduled already, and its loops would be rebuilt"):
        s.compute_at(s.blocks()[-2], at=f"{consumer}.i")
    assert nest(s) == before
