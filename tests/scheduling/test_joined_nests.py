"""unroll_and_jam, compute_with and reuse: bodies, loops and storage that become one."""

import numpy as np
import pytest

import tdsl as td
from tests.scheduling.algorithms import matmul, softmax
from tests.scheduling.running import check, nest, scheduled, shown
from tests.scheduling.test_ragged_loops import rows as ragged_rows
from tests.scheduling.test_shapes_of_programs import recurrent


def both(rows=(4, 4), columns=(3, 3)):
    """Two results of one argument, of sizes that may differ."""
    a = td.placeholder((max(rows), max(columns)), "float32", name="A")
    b = td.compute((rows[0], columns[0]), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((rows[1], columns[1]), lambda i, j: a[i, j] * 2, name="C")
    return scheduled(td.func("both", [a], [b, c]))


def in_turn(*values, n=4):
    """A, and blocks B, C, D, ... of it and of the ones before."""
    a = td.placeholder((n,), "float32", name="A")
    made = []
    for name, value in zip("BCDE", values, strict=False):
        made.append(td.compute((n,), lambda i, v=value: v(a, *made, i), name=name))
    return a, made


def squares(n=6):
    """Four tensors in a row, each from the same elements of the one before."""
    a, (*_, last) = in_turn(
        lambda a, i: a[i] * a[i],
        lambda a, b, i: b[i] + a[i],
        lambda a, b, c, i: c[i] * 3,
        lambda a, b, c, d, i: d[i] - 1,
        n=n,
    )
    return scheduled(td.func("squares", [a], [last]))


def test_a_jam_unrolls_around_each_block_all_the_way_in():
    s = scheduled(matmul(6, 5, 3))
    handles = s.unroll_and_jam("C.i", 2)
    assert [h.name for h in handles] == ["io", "ii"]
    shown(s, """
        for io in 3:
          for j in 5:
            for ii in unrolled(2):
              C[io * 2 + ii, j] = 0
            for k in 3:  # reduction
              for ii in unrolled(2):
                C[io * 2 + ii, j] += A[io * 2 + ii, k] * B[k, j]
    """)  # fmt: skip


def test_a_jam_of_two_blocks_and_their_tensor_gives_each_its_own_loop():
    s = scheduled(matmul(5, 4, 3, relu=True))
    s.compute_at("C", at="D.i")
    outer, *jammed = s.unroll_and_jam("D.i", 2)
    shown(s, """
        for io in 3:
          alloc C: f32[5, 4]
          for i_1 in 1:
            for j in 4:
              for ii in unrolled(2):
                if io * 2 + ii < 5: C[io * 2 + ii + i_1, j] = 0
              for k in 3:  # reduction
                for ii in unrolled(2):
                  if io * 2 + ii < 5: C[io * 2 + ii + i_1, j] += A[io * 2 + ii + i_1, k] * B[k, j]
          for j in 4:
            for ii in unrolled(2):
              if io * 2 + ii < 5: D[io * 2 + ii, j] = max(C[io * 2 + ii, j], 0)
    """)  # fmt: skip
    s.parallel(outer)
    of_c, of_d = jammed
    assert [loop.name for loop in s.loops("C")] == ["io", "i_1", "j", "k", "ii"]
    s.vectorize(of_d)  # the handles stand for one loop each
    assert nest(s).count("unrolled(2)") == 2
    assert of_c.kind is not of_d.kind


def test_handles_of_jams_stand_for_one_loop_each():
    s = scheduled(softmax(6, 5))
    s.compute_at("total", at="out.i")
    s.compute_at("E", at="out.i")
    _, of_e, of_total, of_out = s.unroll_and_jam("out.i", 3)
    s.vectorize(of_out)
    s.parallel(of_e)
    kinds = [s.loops(block)[-1].kind.value for block in ("E", "out")]
    assert kinds == ["parallel", "vectorized"]
    assert of_total.kind.value == "unrolled"
    check(s)


def test_extents_inside_of_a_jam_may_be_symbolic_but_not_depend_on_the_loop():
    n = td.sizes("N")
    a = td.placeholder((3, n), "float32", name="A")
    k = td.reduce_axis(n, name="k")
    c = td.compute((3,), lambda i: td.sum(a[i, k], axis=k), name="C")
    s = scheduled(td.func("sums", [a], [c]))
    s.unroll_and_jam("C.i", 3)
    shown(s, """
        for io in 1:
          for ii in unrolled(3):
            C[io * 3 + ii] = 0
          for k in N:  # reduction
            for ii in unrolled(3):
              C[io * 3 + ii] += A[io * 3 + ii, k]
    """, {"N": 5})  # fmt: skip
    s, outer = ragged_rows()
    with pytest.raises(td.ScheduleError, match="the extent of 'i' depends on 'i_jo'") as caught:
        s.unroll_and_jam(outer, 2)
    assert caught.value.hint == "only loops over a rectangle can be jammed"


def test_a_fused_loop_is_jammed_by_its_number():
    s = scheduled(matmul(6, 4, 3))
    s.fuse("C.i", "C.j")
    s.unroll_and_jam("C.i_j", 2)
    at = "(i_jo * 2 + i_ji) // 4", "(i_jo * 2 + i_ji) % 4"
    shown(s, f"""
        for i_jo in 12:
          for i_ji in unrolled(2):
            C[{at[0]}, {at[1]}] = 0
          for k in 3:  # reduction
            for i_ji in unrolled(2):
              C[{at[0]}, {at[1]}] += A[{at[0]}, k] * B[k, {at[1]}]
    """)  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "columns", "extents", "first", "second"),
    [
        ((4, 4), (3, 3), (4, 3), "", ""),
        ((4, 6), (5, 3), (6, 5), "if i < 4: ", "if j < 3: "),
        ((6, 4), (3, 5), (6, 5), "if j < 3: ", "if i < 4: "),
        ((6, 4), (5, 3), (6, 5), "", "if i < 4 and j < 3: "),
        ((4, 5), (3, 4), (5, 4), "if i < 4 and j < 3: ", ""),
    ],
)
def test_shared_loops_are_as_long_as_the_longer_and_the_shorter_stops(
    rows, columns, extents, first, second
):
    s = both(rows, columns)
    assert s.compute_with("C", at="B.j").name == "j"
    shown(s, f"""
        for i in {extents[0]}:
          for j in {extents[1]}:
            {first}B[i, j] = A[i, j] + 1
            {second}C[i, j] = A[i, j] * 2
    """)  # fmt: skip


def test_loops_of_two_sizes_are_shared():
    n, m = td.sizes("N M")
    a, a2 = td.placeholder((n,), "float32", name="A"), td.placeholder((m,), "float32", name="A2")
    b = td.compute((n,), lambda i: a[i] + 1, name="B")
    c = td.compute((m,), lambda i: a2[i] * 2, name="C")
    s = scheduled(td.func("f", [a, a2], [b, c]))
    s.compute_with("C", at="B.i")
    assert nest(s).splitlines() == [
        "for i in max(N, M):",
        "  if i < N: B[i] = A[i] + 1",
        "  if i < M: C[i] = A2[i] * 2",
    ]
    for sizes in ((2, 3), (3, 2), (0, 2), (2, 0)):
        check(s, dict(zip("NM", sizes, strict=True)))


def test_fewer_loops_are_shared_and_those_inside_keep_their_names_where_they_can():
    a = td.placeholder((4, 4, 4), "float32", name="A")
    b = td.compute((4, 4, 4), lambda i, j, k: a[i, j, k] + 1, name="B")
    c = td.compute((4, 4, 4), lambda i, j, k: a[i, j, k] * 2, name="C")
    s = scheduled(td.func("f", [a], [b, c]))
    s.reorder("C.k", "C.i", "C.j")
    s.compute_with("C", at="B.i")
    shown(s, """
        for i in 4:
          for j in 4:
            for k in 4:
              B[i, j, k] = A[i, j, k] + 1
          for i_1 in 4:
            for j in 4:
              C[i_1, j, i] = A[i_1, j, i] * 2
    """)  # fmt: skip


def test_a_loop_that_needs_another_name_takes_one_that_nobody_has():
    a = td.placeholder((4, 4, 4), "float32", name="A")
    b = td.compute((4, 4), lambda i, j: a[i, j, 0] + 1, name="B")
    c = td.compute((4, 4, 4), lambda j, i, i_1: a[j, i, i_1] * 2, name="C")
    s = scheduled(td.func("f", [a], [b, c]))
    s.compute_with("C", at="B.i")
    shown(s, """
        for i in 4:
          for j in 4:
            B[i, j] = A[i, j, 0] + 1
          for i_2 in 4:
            for i_1 in 4:
              C[i, i_2, i_1] = A[i, i_2, i_1] * 2
    """)  # fmt: skip


def test_loops_within_a_shared_loop_are_shared_too():
    s = both((4, 4), (6, 3))
    s.compute_with("C", at="B.i")
    s.compute_with("C", at="B.j")
    shown(s, """
        for i in 4:
          for j in 6:
            B[i, j] = A[i, j] + 1
            if j < 3: C[i, j] = A[i, j] * 2
    """)  # fmt: skip


def test_fused_loops_are_shared_pair_by_pair():
    s = both()
    s.fuse("B.i", "B.j")
    s.fuse("C.i", "C.j")
    s.compute_with("C", at="B.i_j")
    shown(s, """
        for i, j in fused(4, 3):
          B[i, j] = A[i, j] + 1
          C[i, j] = A[i, j] * 2
    """)  # fmt: skip


def test_the_block_that_stands_first_stays_first():
    s = both()
    s.compute_with("B", at="C.j")
    shown(s, """
        for i in 4:
          for j in 3:
            B[i, j] = A[i, j] + 1
            C[i, j] = A[i, j] * 2
    """)  # fmt: skip


def test_the_shared_nest_stands_where_what_is_between_can_be():
    a, made = in_turn(
        lambda a, i: a[i] + 1, lambda a, b, i: b[3 - i] * 2, lambda a, b, c, i: a[i] * 3
    )
    s = scheduled(td.func("before", [a], made))
    s.compute_with("D", at="B.i")  # C needs all of B
    shown(s, """
        for i in 4:
          B[i] = A[i] + 1
          D[i] = A[i] * 3
        for i in 4:
          C[i] = B[3 - i] * 2
    """)  # fmt: skip
    a, made = in_turn(
        lambda a, i: a[i] + 1, lambda a, b, i: a[3 - i] * 2, lambda a, b, c, i: c[3 - i] * 3
    )
    s = scheduled(td.func("behind", [a], made))
    s.compute_with("D", at="B.i")  # D needs all of C
    shown(s, """
        for i in 4:
          C[i] = A[3 - i] * 2
        for i in 4:
          B[i] = A[i] + 1
          D[i] = C[3 - i] * 3
    """)  # fmt: skip


def fused(s, *blocks):
    for block in blocks:
        s.fuse(f"{block}.i", f"{block}.j")
    return s


def stored_between():
    a, made = in_turn(lambda a, i: a[i] + 1, lambda a, b, i: b[i] * 2, lambda a, b, c, i: a[i] * 3)
    s = scheduled(td.func("f", [a], made[1:]))
    s.split("C.i", 2)
    s.split("D.i", 2)
    s.compute_at("B", at="C.io")
    return s


@pytest.mark.parametrize(
    ("made", "block", "at", "reason"),
    [
        (both, "B", "B.j", "block 'B' is inside loop 'j' already"),
        (lambda: fused(both(), "B"), "C", "B.i_j", "one of 'i_j' and 'i' is fused, the other is n"),
        (lambda: fused(both((4, 6)), "B", "C"), "C", "B.i_j", "fused loops 'i_j' and 'i_j' differ"),
        (lambda: fused(both(), "C"), "C", "B.j", "'C' has 1 loops of its own, 2 would be shared"),
        (stored_between, "D", "C.ii", "'B' is stored between the loops of 'ii'"),
    ],
    ids=["itself", "one is fused", "fused otherwise", "too few", "storage"],
)
def test_loops_that_do_not_match_are_not_shared(made, block, at, reason):
    s = made()
    before = nest(s)
    with pytest.raises(td.ScheduleError, match=reason):
        s.compute_with(block, at=at)
    assert nest(s) == before


def test_a_block_shares_a_loop_once():
    s = both()
    s.compute_with("C", at="B.i")
    with pytest.raises(td.ScheduleError, match="block 'C' is inside loop 'i' already"):
        s.compute_with("C", at="B.i")


@pytest.mark.parametrize(
    ("tensor", "of", "left", "written"),
    [
        ("C", "B", ["C", "D"], ["C", "C", "D", "E"]),
        ("D", "B", ["C", "D"], ["D", "C", "D", "E"]),
        ("E", "D", ["B", "C"], ["B", "C", "E", "E"]),  # a result needs no storage
    ],
)
def test_one_allocation_is_left_of_two_and_all_blocks_write_there(tensor, of, left, written):
    s = squares()
    s.reuse(tensor, of=of)
    lines = nest(s).splitlines()
    assert sorted(x.split()[1].strip(":") for x in lines if "alloc" in x) == left
    assert [x.strip().partition("[")[0] for x in lines if " = " in x] == written
    check(s)


def test_the_storage_of_both_is_around_all_that_uses_either():
    s = squares()
    s.compute_at("D", at="E.i")
    s.compute_at("C", at="E.i")
    s.reuse("C", of="B")
    shown(s, """
        alloc C: f32[6]
        for i in 6:
          C[i] = A[i] * A[i]
        for i in 6:
          alloc D: f32[6]
          for i_1 in 1:
            C[i + i_1] = C[i + i_1] + A[i + i_1]
          for i_1 in 1:
            D[i + i_1] = C[i + i_1] * 3
          E[i] = D[i] - 1
    """)  # fmt: skip


def test_the_storage_of_both_is_no_further_out_than_that():
    s = squares()
    for name in "DCB":
        s.compute_at(name, at="E.i")
    s.reuse("D", of="C")
    shown(s, """
        for i in 6:
          alloc B: f32[6]
          alloc D: f32[6]
          for i_1 in 1:
            B[i + i_1] = A[i + i_1] * A[i + i_1]
          for i_1 in 1:
            D[i + i_1] = B[i + i_1] + A[i + i_1]
          for i_1 in 1:
            D[i + i_1] = D[i + i_1] * 3
          E[i] = D[i] - 1
    """)  # fmt: skip


@pytest.mark.parametrize("apart", [False, True])
def test_a_reduction_and_its_init_move_to_the_other_tensor(apart):
    s = scheduled(matmul(3, 4, 5, relu=True))
    if apart:
        s.decompose_reduction("C", "C.i")
    s.reuse("D", of="C")
    assert "C[" not in nest(s)
    assert nest(s).count("D[i, j] = 0") == 1
    assert nest(s).endswith("    D[i, j] = max(D[i, j], 0)")
    check(s)


def test_a_copy_between_the_two_is_gone():
    a = td.placeholder((6,), "float32", name="A")
    b = td.compute((6,), lambda i: a[i] + 1, name="B")
    s = scheduled(td.func("f", [a], [b]))
    before = nest(s)
    s.cache_write("B", "global")
    s.reuse("B", of="B.cache")
    shown(s, before)


def test_one_that_works_in_place_may_not_run_twice_and_one_that_only_writes_may():
    s = squares(10)
    s.reuse("D", of="C")  # C writes D, D reads and writes it
    with pytest.raises(td.ScheduleError, match="run twice"):
        s.split("D.i", 4, tail="shift")
    s.split("E.i", 4, tail="shift")
    s.split("B.i", 4, tail="shift")
    check(s)


@pytest.mark.parametrize("tensor", ["P.0", "P.1"])
def test_a_block_of_two_tensors_may_make_either_in_place(tensor):
    a = td.placeholder((10,), "float32", name="A")
    b = td.compute((10,), lambda i: a[i] + 1, name="B")
    p, q = td.compute((10,), lambda i: (b[i] * 3, b[i] * 2), name="P")
    s = scheduled(td.func("f", [a], [td.compute((10,), lambda i: p[i] - q[i], name="C")]))
    s.reuse(tensor, of="B")
    shown(s, nest(s))
    assert f"P.0[i] = {tensor}[i] * 3\n  P.1[i] = {tensor}[i] * 2" in nest(s)
    x = np.arange(10, dtype=np.float32)
    np.testing.assert_array_equal(td.build(s)(x), x + 1)  # both read what was there before
    with pytest.raises(td.ScheduleError, match="P would run twice on one instance"):
        s.split("P.i", 4, tail="shift")


def test_an_unsafe_reuse_is_not_proven():
    a, made = in_turn(
        lambda a, i: a[i] + 1, lambda a, b, i: b[3 - i] * 2, lambda a, b, c, i: c[i] * 3
    )
    s = scheduled(td.func("f", [a], made[-1:]))
    with pytest.raises(td.ScheduleError, match="C still reads B after C has written C") as caught:
        s.reuse("C", of="B")
    assert caught.value.hint == "only a tensor that is read for the last time can be taken over"
    s.reuse("C", of="B", unsafe=True)
    assert "C[i] = C[3 - i] * 2" in nest(s)


def converted():
    a = td.placeholder((4,), "float32", name="A")
    b = td.compute((4,), lambda i: a[i] + 1, name="B")
    return td.func("f", [a], [td.compute((4,), lambda i: td.cast(b[i], "int32"), name="C")])


def narrower():
    a = td.placeholder((4, 5), "float32", name="A")
    b = td.compute((4, 5), lambda i, j: a[i, j] + 1, name="B")
    return td.func("f", [a], [td.compute((4, 4), lambda i, j: b[i, j] * 2, name="C")])


def in_place():
    x = td.inout(td.placeholder((6,), "float32", name="C"))
    b = td.compute((6,), lambda i: x[i] + 1, name="B")
    r = td.reduce_axis(6, name="r")
    made = td.update(x, over=r, at=r, value=lambda cur: cur[r] * b[r], op="set", name="u")
    return td.func("f", [x], [made])


@pytest.mark.parametrize(
    ("algorithm", "tensor", "of", "reason"),
    [
        (converted, "C", "B", r"'C' is int32\[4\], and 'B' is float32\[4\]"),
        (narrower, "C", "B", r"'C' is float32\[4, 4\], and 'B' is float32\[4, 5\]"),
        (in_place, "C", "B", "'C' is an argument, and lives where the caller keeps it"),
        (lambda: recurrent(2, 3, 4), "rnn.h", "g", "'g' is made anew in each step of a recurrence"),
    ],
    ids=["dtype", "shape", "argument", "step"],
)
def test_tensors_that_cannot_be_one(algorithm, tensor, of, reason):
    s = scheduled(algorithm())
    with pytest.raises(td.ScheduleError, match=reason):
        s.reuse(tensor, of=of)


def test_tensors_of_one_symbolic_shape_are_one():
    n = td.sizes("N")
    a = td.placeholder((n,), "float32", name="A")
    b = td.compute((n,), lambda i: a[i] + 1, name="B")
    s = scheduled(td.func("f", [a], [td.compute((n,), lambda i: b[i] * 2, name="C")]))
    s.reuse("C", of="B")
    shown(s, """
        for i in N:
          C[i] = A[i] + 1
        for i in N:
          C[i] = C[i] * 2
    """, {"N": 5})  # fmt: skip
