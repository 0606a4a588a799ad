"""What rfactor and decompose_reduction write: partial results, their sum, and inits apart."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import histogram, matmul, rows
from tests.scheduling.running import check, nest, scheduled, text


def boxes():
    a = td.placeholder((3, 4, 5, 2), "float32", name="A")
    r, q, p = (td.reduce_axis(n, name=name) for n, name in ((4, "r"), (5, "q"), (2, "p")))
    c = td.compute((3,), lambda i: td.sum(a[i, r, q, p], axis=(r, q, p)), name="C")
    return td.func("boxes", [a], [c])


def split(s, loop, factor, which):
    return s.split(loop, factor)[which]


# what is factored -> the nest of the partial results and of their sum
FACTORED = {
    # each block of 4 sums for itself; the blocks are data-parallel now
    "outer part": (
        rows(), lambda s: s.rfactor(split(s, "k", 4, 0)), """
        for i in 4:
          alloc C.rf: f32[3, 4]
          for ko in 3:
            C.rf[ko, i] = 0
            for ki in 4:  # reduction
              if ko * 4 + ki < 10: C.rf[ko, i] += A[i, ko * 4 + ki]
          C[i] = 0
          for r in 3:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    # four sums over every fourth element; the condition is one of each element
    "inner part": (
        rows(), lambda s: s.rfactor(split(s, "k", 4, 1)), """
        for i in 4:
          alloc C.rf: f32[4, 4]
          for ki in 4:
            C.rf[ki, i] = 0
          for ko in 3:  # reduction
            for ki in 4:
              if ko * 4 + ki < 10: C.rf[ki, i] += A[i, ko * 4 + ki]
          C[i] = 0
          for r in 4:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    "last axis": (
        rows(), lambda s: s.rfactor(split(s, "k", 5, 0), -1), """
        for i in 4:
          alloc C.rf: f32[4, 2]
          for ko in 2:
            C.rf[i, ko] = 0
            for ki in 5:  # reduction
              C.rf[i, ko] += A[i, ko * 5 + ki]
          C[i] = 0
          for r in 2:  # reduction
            C[i] += C.rf[i, r]
        """,
    ),
    # nothing is left to reduce: the partial results are the elements themselves
    "only loop": (
        rows(), lambda s: s.rfactor("k"), """
        for i in 4:
          alloc C.rf: f32[10, 4]
          for k in 10:
            C.rf[k, i] = A[i, k]
          C[i] = 0
          for r in 10:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    "only loop under a condition": (
        rows(where=lambda a, i, k: k <= i), lambda s: s.rfactor("k"), """
        for i in 4:
          alloc C.rf: f32[10, 4]
          for k in 10:
            C.rf[k, i] = select(k <= i, A[i, k], 0)
          C[i] = 0
          for r in 10:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    "where": (
        rows(where=lambda a, i, k: k <= i), lambda s: s.rfactor(split(s, "k", 4, 1)), """
        for i in 4:
          alloc C.rf: f32[4, 4]
          for ki in 4:
            C.rf[ki, i] = 0
          for ko in 3:  # reduction
            for ki in 4:
              if ko * 4 + ki < 10 and ko * 4 + ki <= i: C.rf[ki, i] += A[i, ko * 4 + ki]
          C[i] = 0
          for r in 4:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    "where without a tail": (
        rows(where=lambda a, i, k: k <= i), lambda s: s.rfactor(split(s, "k", 5, 1)), """
        for i in 4:
          alloc C.rf: f32[5, 4]
          for ki in 5:
            C.rf[ki, i] = 0
          for ko in 2:  # reduction
            for ki in 5:
              if ko * 5 + ki <= i: C.rf[ki, i] += A[i, ko * 5 + ki]
          C[i] = 0
          for r in 5:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    # A[ko * 4 + ki, i] may lie outside, so it is asked for inside the guard only
    "where on data": (
        rows(10, 10, dtype="int32", where=lambda a, i, k: a[k, i] > 3),
        lambda s: s.rfactor(split(s, "k", 4, 1)), """
        for i in 10:
          alloc C.rf: i32[4, 10]
          for ki in 4:
            C.rf[ki, i] = 0
          for ko in 3:  # reduction
            for ki in 4:
              if select(ko * 4 + ki < 10, A[ko * 4 + ki, i] > 3, false):
              ... C.rf[ki, i] += A[i, ko * 4 + ki]
          C[i] = 0
          for r in 4:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    "one of three": (
        boxes(), lambda s: s.rfactor("q"), """
        for i in 3:
          alloc C.rf: f32[5, 3]
          for q in 5:
            C.rf[q, i] = 0
          for r in 4:  # reduction
            for q in 5:
              for p in 2:  # reduction
                C.rf[q, i] += A[i, r, q, p]
          C[i] = 0
          for r in 5:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    # other reduction loops stay fused, and a factored one is a dimension of 4 * 5
    "beside a fused one": (
        boxes(), lambda s: (s.fuse("r", "q"), s.rfactor("p"))[1], """
        for i in 3:
          alloc C.rf: f32[2, 3]
          for p in 2:
            C.rf[p, i] = 0
          for r, q in fused(4, 5):  # reduction
            for p in 2:
              C.rf[p, i] += A[i, r, q, p]
          C[i] = 0
          for r in 2:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    "a fused one": (
        boxes(), lambda s: s.rfactor(s.fuse("r", "q")), """
        for i in 3:
          alloc C.rf: f32[20, 3]
          for r, q in fused(4, 5):
            C.rf[r * 5 + q, i] = 0
            for p in 2:  # reduction
              C.rf[r * 5 + q, i] += A[i, (r * 5 + q) // 5, (r * 5 + q) % 5, p]
          C[i] = 0
          for r in 20:  # reduction
            C[i] += C.rf[r, i]
        """,
    ),
    # conditions on data stand at all three, those on what is reduced at the partial results
    "tiles": (
        matmul(5, 6, 7),
        lambda s: (s.split("i", 2), s.rfactor(split(s, "k", 3, 1)))[1], """
        for io in 3:
          for ii in 2:
            for j in 6:
              alloc C.rf: f32[3, 5, 6]
              for ki in 3:
                if io * 2 + ii < 5: C.rf[ki, io * 2 + ii, j] = 0
              for ko in 3:  # reduction
                for ki in 3:
                  if io * 2 + ii < 5 and ko * 3 + ki < 7:
                  ... C.rf[ki, io * 2 + ii, j] += A[io * 2 + ii, ko * 3 + ki] * B[ko * 3 + ki, j]
              if io * 2 + ii < 5: C[io * 2 + ii, j] = 0
              for r in 3:  # reduction
                if io * 2 + ii < 5: C[io * 2 + ii, j] += C.rf[r, io * 2 + ii, j]
        """,
    ),
    # an update factors as a whole: its target is unknown before the data are read
    "update": (
        histogram(10, 8), lambda s: s.rfactor(split(s, "hist.r", 4, 0)), """
        for b0 in 8:
          hist[b0] = zero[b0]
        alloc hist.rf: i32[3, 8]
        for d0 in 3:
          for d1 in 8:
            hist.rf[d0, d1] = 0
        for ro in 3:
          for ri in 4:  # reduction
            if ro * 4 + ri < 10: hist.rf[ro, i64(X[ro * 4 + ri])] += 1_i32
        for d0 in 8:
          for r in 3:  # reduction
            hist[d0] += hist.rf[r, d0]
        """,
    ),
    "update, last axis": (
        histogram(12, 8), lambda s: s.rfactor(split(s, "hist.r", 4, 0), 1), """
        for b0 in 8:
          hist[b0] = zero[b0]
        alloc hist.rf: i32[8, 3]
        for d0 in 8:
          for d1 in 3:
            hist.rf[d0, d1] = 0
        for ro in 3:
          for ri in 4:  # reduction
            hist.rf[i64(X[ro * 4 + ri]), ro] += 1_i32
        for d0 in 8:
          for r in 3:  # reduction
            hist[d0] += hist.rf[d0, r]
        """,
    ),
    "the sum of another one": (
        rows(2, 6), lambda s: (s.rfactor(split(s, "k", 3, 0)), s.rfactor("C.r"))[0], """
        for i in 2:
          alloc C.rf: f32[2, 2]
          for ko in 2:
            C.rf[ko, i] = 0
            for ki in 3:  # reduction
              C.rf[ko, i] += A[i, ko * 3 + ki]
          alloc C.rf.1: f32[2, 2]
          for r in 2:
            C.rf.1[r, i] = C.rf[r, i]
          C[i] = 0
          for r in 2:  # reduction
            C[i] += C.rf.1[r, i]
        """,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FACTORED)
def test_partial_results_and_their_sum(case):
    func, step, wanted = FACTORED[case]
    s = scheduled(func)
    made = step(s)
    assert made in s.blocks()
    assert nest(s) == text(wanted)
    check(s)


def test_partial_results_of_symbolic_extents():
    s = scheduled(matmul("M", "N", "K"))
    s.rfactor(split(s, "k", 4, 0))
    assert "alloc C.rf: f32[(K + 3) // 4, M, N]" in nest(s)
    assert "if ko * 4 + ki < K: C.rf[ko, i, j] += A[i, ko * 4 + ki] * B[ko * 4 + ki, j]" in nest(s)
    for k in (0, 1, 9):
        check(s, {"M": 2, "N": 3, "K": k})


def test_partial_results_of_several_values():
    x = td.placeholder((6,), "float32", name="x")
    k = td.reduce_axis(6, name="k")
    both = td.reducer(identity=(0.0, 1.0), combine=lambda a, b: (a[0] + b[0], a[1] * b[1]))
    first, second = td.compute((), lambda: both((x[k], x[k] + 1), axis=k), name="C")
    s = scheduled(td.func("f", [x], [first, second]))
    s.rfactor(split(s, "k", 3, 0))
    assert nest(s) == text("""
        alloc C.1.rf: f32[2]
        alloc C.0.rf: f32[2]
        for ko in 2:
          C.0.rf[ko] = 0
          C.1.rf[ko] = 1
          for ki in 3:  # reduction
            C.0.rf[ko] = C.0.rf[ko] + x[ko * 3 + ki]
            C.1.rf[ko] = C.1.rf[ko] * (x[ko * 3 + ki] + 1)
        C.0[] = 0
        C.1[] = 1
        for r in 2:  # reduction
          C.0[] = C.0[] + C.0.rf[r]
          C.1[] = C.1[] * C.1.rf[r]
    """)
    check(s)


def test_data_and_reduction_axes_that_are_walked_together_are_no_reduction_loop():
    s = scheduled(rows())
    with pytest.raises(td.ScheduleError, match="'i_k' walks data and reduction axes together"):
        s.rfactor(s.fuse("i", "k"))
    s = scheduled(matmul(3, 4, 6))
    ko, ki = s.split("k", 2)
    s.reorder("i", ko, "j", ki)
    s.fuse("j", ki)
    with pytest.raises(td.ScheduleError, match="'j_ki' walks data and reduction axes together"):
        s.rfactor(ko)
    with pytest.raises(td.ScheduleError, match="'j' walks data and reduction axes together"):
        s.decompose_reduction("C", "C.i")


def tiled(s):
    io, jo, ii, ji = s.tile("i", "j", 2, 4)
    s.reorder(io, jo, "k", ii, ji)
    s.vectorize(ji, 4)


INITS = {
    # at the loop that is reduced: the loops inside it that walk data are copied, with their marks
    "tile": (
        matmul(5, 6, 3),
        tiled, "C.k", """
        for io in 3:
          for jo in 2:
            for ii in 2:
              for ji in vectorized(4):
                if io * 2 + ii < 5 and jo * 4 + ji < 6: C[io * 2 + ii, jo * 4 + ji] = 0
            for k in 3:  # reduction
              for ii in 2:
                for ji in vectorized(4):
                  if io * 2 + ii < 5 and jo * 4 + ji < 6:
                  ... C[io * 2 + ii, jo * 4 + ji] += A[io * 2 + ii, k] * B[k, jo * 4 + ji]
        """,
    ),
    # conditions on what is reduced are none of the init
    "two tails": (
        matmul(3, 4, 5), lambda s: (s.split("k", 2), s.split("j", 3)), "C.jo", """
        for i in 3:
          for jo in 2:
            for ji in 3:
              if jo * 3 + ji < 4: C[i, jo * 3 + ji] = 0
          for jo in 2:
            for ji in 3:
              for ko in 3:  # reduction
                for ki in 2:  # reduction
                  if ko * 2 + ki < 5 and jo * 3 + ji < 4:
                  ... C[i, jo * 3 + ji] += A[i, ko * 2 + ki] * B[ko * 2 + ki, jo * 3 + ji]
        """,
    ),
    "fused": (
        matmul(3, 4, 5), lambda s: s.parallel(s.fuse("i", "j")), "C.i_j", """
        for i, j in parallel fused(3, 4):
          C[i, j] = 0
        for i, j in parallel fused(3, 4):
          for k in 5:  # reduction
            C[i, j] += A[i, k] * B[k, j]
        """,
    ),
    "fused reduction loops": (
        boxes(), lambda s: s.fuse("r", "q"), "C.i", """
        for i in 3:
          C[i] = 0
        for i in 3:
          for r, q in fused(4, 5):  # reduction
            for p in 2:  # reduction
              C[i] += A[i, r, q, p]
        """,
    ),
    "reduction outermost": (
        matmul(3, 4, 5), lambda s: s.reorder("k", "i", "j"), "C.k", """
        for i in 3:
          for j in 4:
            C[i, j] = 0
        for k in 5:  # reduction
          for i in 3:
            for j in 4:
              C[i, j] += A[i, k] * B[k, j]
        """,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INITS)
def test_an_init_with_loops_of_its_own(case):
    func, before, at, wanted = INITS[case]
    s = scheduled(func)
    before(s)
    assert s.decompose_reduction("C", at) == "C.init"
    assert nest(s) == text(wanted)
    check(s)


def test_inits_of_two_reductions_come_apart_one_by_one():
    a = td.placeholder((3, 4), "float32", name="A")
    k = td.reduce_axis(4, name="k")
    b = td.compute((3,), lambda i: td.sum(a[i, k], axis=k), name="B")
    c = td.compute((3,), lambda i: td.max(a[i, k], axis=k), name="C")
    s = scheduled(td.func("f", [a], [b, c]))
    assert [s.decompose_reduction(name, f"{name}.i") for name in "BC"] == ["B.init", "C.init"]
    assert s.blocks() == ("B.init", "B", "C.init", "C")
    with pytest.raises(td.ScheduleError, match="'B' is decomposed already"):
        s.decompose_reduction("B", "B.i")


def test_only_reductions_have_inits():
    s = scheduled(matmul(3, 4, 5, relu=True))
    with pytest.raises(td.ScheduleError, match="'D' is not a reduction"):
        s.decompose_reduction("D", "D.i")
    assert s.blocks() == ("C", "D")


def test_an_init_stands_before_a_loop_of_its_own_reduction():
    s = scheduled(matmul(3, 4, 5, relu=True))
    with pytest.raises(td.ScheduleError, match="'i' is not a loop of 'C'") as caught:
        s.decompose_reduction("C", "D.i")
    assert caught.value.hint == "one of 'i', 'j', 'k'"
    s.compute_at("C", "D.i")
    s.decompose_reduction("C", "C.j")
    assert nest(s) == text("""
        for i in 3:
          alloc C: f32[3, 4]
          for i_1 in 1:
            for j in 4:
              C[i + i_1, j] = 0
            for j in 4:
              for k in 5:  # reduction
                C[i + i_1, j] += A[i + i_1, k] * B[k, j]
          for j in 4:
            D[i, j] = max(C[i, j], 0)
    """)
    check(s)


def test_reduction_loops_of_parts_that_data_axes_share_are_none():
    s = scheduled(rows())
    outer, _ = s.split(s.fuse("i", "k"), 5)  # both parts walk i as well as k
    with pytest.raises(td.ScheduleError, match="'i_ko' walks data and reduction axes together"):
        s.rfactor(outer)
    s = scheduled(rows())
    s.skew("k", "i")
    with pytest.raises(td.ScheduleError, match="'k' walks data and reduction axes together"):
        s.rfactor("k")


def test_conditions_that_tie_a_reduction_to_data_are_none_of_its_own():
    a = td.placeholder((4, 10), "float32", name="A")
    b = td.compute((4, 10), lambda i, j: a[i, j] * 2, name="B")
    k = td.reduce_axis(10, name="k")
    c = td.compute((4,), lambda i: td.sum(b[i, k], axis=k), name="C")
    s = scheduled(td.func("f", [a], [c]))
    outer, _ = s.split("B.j", 4, tail="balance")
    s.reorder(outer, "B.i")
    s.reverse_compute_at("C", "B.i", unsafe=True)  # sums what there is so far: k < (jo + 1) * 3...
    assert "if k < (jo + 1) * 3 + min(jo + 1, 1): C[" in nest(s)
    with pytest.raises(td.ScheduleError, match="'k' walks data and reduction axes together"):
        s.rfactor("C.k", unsafe=True)


def test_partial_results_of_a_loop_that_starts_late():
    s = scheduled(rows())
    s.shift("k", 2)
    s.rfactor("k")
    assert "C.rf[k, i] = select(k - 2 >= 0, A[i, k - 2], 0)" in nest(s)
    check(s)


def test_new_blocks_and_tensors_have_names_of_their_own():
    x = td.placeholder((8,), "int32", name="X")
    k = td.reduce_axis(8, name="k")
    both = td.reducer(identity=(0, 1), combine=lambda a, b: (a[0] + b[0], a[1] * b[1]))
    made = td.compute((), lambda: both((x[k], x[k] + 1), axis=k), name="C")
    s = scheduled(td.func("several", [x], list(made)))
    names = [s.rfactor(split(s, "k", 4, 0)), s.rfactor("C.r"), s.rfactor("C.r")]
    assert names == ["C.rf", "C.rf.1", "C.rf.2"]
    tensors = [f"C.{n}.rf{more}" for more in ("", ".1", ".2") for n in (1, 0)]
    assert [buffer.name for buffer in s.index.allocs] == tensors  # not only as they are printed
    check(s)
    a = td.placeholder((4, 8), "int32", name="B.rf")  # the name that partial results of B have
    b = td.compute((4,), lambda i: td.sum(a[i, k], axis=k), name="B")
    s = scheduled(td.func("taken", [a], [b]))
    assert s.rfactor("k") == "B.rf.1"
    assert "B.rf.1[k, i] = B.rf[i, k]" in nest(s)
    check(s)
