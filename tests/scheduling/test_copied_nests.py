"""cache_read and cache_write: the blocks that copy, where they stand and over which box."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import histogram, matmul
from tests.scheduling.running import nest, scheduled, shown
from tests.scheduling.test_shapes_of_programs import recurrent


def doubled(rows=4):
    """Two results of one argument, in one loop."""
    a = td.placeholder((rows,), "float32", name="A")
    b = td.compute((rows,), lambda i: a[i] + 1, name="B")
    c = td.compute((rows,), lambda i: a[i] * 2, name="C")
    s = scheduled(td.func("doubled", [a], [b, c]))
    s.compute_with("C", at="B.i")
    return s


def test_a_copy_has_the_loops_of_the_first_read():
    a = td.placeholder((4, 5), "float32", name="A")
    b = td.compute((4, 4), lambda i, j: a[i, j] + a[j, i], name="B")
    s = scheduled(td.func("f", [a], [b]))
    assert s.cache_read("B", "A", "stack") == "A.B"
    shown(s, """
        alloc A.B: f32[4, 5] in stack
        for i in 4:
          for j in 5:
            A.B[i, j] = A[i, j]
        for i in 4:
          for j in 4:
            B[i, j] = A.B[i, j] + A.B[j, i]
    """)  # fmt: skip


def test_a_copy_at_a_loop_stands_before_its_reader_alone():
    s = doubled()
    s.cache_read("C", "A", at="B.i")
    shown(s, """
        for i in 4:
          alloc A.C: f32[4]
          B[i] = A[i] + 1
          for i_1 in 1:
            A.C[i + i_1] = A[i + i_1]
          C[i] = A.C[i] * 2
    """)  # fmt: skip


def test_a_copy_of_what_a_loop_makes_is_made_in_that_loop():
    a = td.placeholder((7,), "float32", name="A")
    b = td.compute((7,), lambda i: a[i] + 1, name="B")
    c = td.compute((6,), lambda i: b[i] * b[i + 1], name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.compute_at("B", at="C.i")
    s.cache_read("C", "B")
    shown(s, """
        for i in 6:
          alloc B.C: f32[7]
          alloc B: f32[7]
          for i_1 in 2:
            B[i + i_1] = A[i + i_1] + 1
          for i_1 in 2:
            B.C[i + i_1] = B[i + i_1]
          C[i] = B.C[i] * B.C[i + 1]
    """)  # fmt: skip


def test_scalars_are_copied_without_loops():
    a = td.placeholder((), "float32", name="A")
    s = scheduled(td.func("f", [a], [td.compute((), lambda: a[()] + 1, name="B")]))
    s.cache_read("B", "A")
    s.cache_write("B")
    shown(s, """
        alloc B.cache: f32[] in register
        alloc A.B: f32[]
        A.B[] = A[]
        B.cache[] = A.B[] + 1
        B[] = B.cache[]
    """)  # fmt: skip


def test_a_step_copies_arguments_before_the_first_step_or_in_one_of_its_loops():
    s = scheduled(recurrent(2, 3, 4))
    s.cache_read("g", "w")
    assert nest(s).splitlines()[:5] == [
        "alloc w.g: f32[4, 4]",
        "for k in 4:",
        "  for h in 4:",
        "    w.g[k, h] = w[k, h]",
        "for t in 2:  # in order",
    ]
    s = scheduled(recurrent(2, 3, 4))
    s.cache_read("g", "w", at="g.b")
    assert nest(s).splitlines()[2:7] == [
        "  for b in 3:",
        "    alloc w.g: f32[4, 4]",
        "    for k in 4:",
        "      for h in 4:",
        "        w.g[k, h] = w[k, h]",
    ]


@pytest.mark.parametrize(("reader", "tensor"), [("rnn.h", "g"), ("g", "rnn.h")])
def test_what_the_steps_of_a_scan_make_is_not_copied_for_them(reader, tensor):
    s = scheduled(recurrent(2, 3, 4))
    with pytest.raises(td.ScheduleError, match=f"'{tensor}' is made in the same recurrence in whi"):
        s.cache_read(reader, tensor)


def test_what_a_block_reads_is_named_in_order():
    z, a = (td.placeholder((4,), "float32", name=name) for name in "ZA")
    b = td.compute((4,), lambda i: z[i] * 2 + a[i], name="B")
    c = td.compute((4,), lambda i: b[i] + 1, name="C")
    s = scheduled(td.func("f", [z, a], [c]))
    with pytest.raises(td.ScheduleError, match="block 'B' does not read 'C'") as caught:
        s.cache_read("B", "C")
    assert caught.value.hint == "it reads A, Z"
    s = scheduled(histogram(50, 8))
    with pytest.raises(td.ScheduleError, match="block 'hist' writes 'hist'") as caught:
        s.cache_read("hist", "hist")
    assert caught.value.hint == "it reads X"


@pytest.mark.parametrize("apart", [False, True])
def test_a_sum_and_its_init_work_on_the_copy(apart):
    s = scheduled(matmul(3, 4, 5))
    if apart:
        s.decompose_reduction("C", "C.i")
    s.cache_write("C", "stack")
    assert nest(s).startswith(
        "alloc C.cache: f32[3, 4] in stack\nfor i in 3:\n  for j in 4:\n    C.c"
    )
    assert nest(s).endswith("\nfor i in 3:\n  for j in 4:\n    C[i, j] = C.cache[i, j]")
    assert nest(s).count("C.cache[i, j] = 0") == 1
    shown(s, nest(s))


def test_results_are_copied_back_inside_a_loop():
    s = scheduled(matmul(3, 4, 5))
    s.cache_write("C", "stack", at="C.i")
    shown(s, """
        for i in 3:
          alloc C.cache: f32[3, 4] in stack
          for j in 4:
            C.cache[i, j] = 0
            for k in 5:  # reduction
              C.cache[i, j] += A[i, k] * B[k, j]
          for i_1 in 1:
            for j in 4:
              C[i + i_1, j] = C.cache[i + i_1, j]
    """)  # fmt: skip


def test_a_tensor_private_to_a_loop_is_copied_back_in_that_loop():
    s = scheduled(matmul(3, 4, 5, relu=True))
    s.compute_at("C", at="D.i")
    s.cache_write("C", "stack")
    shown(s, """
        for i in 3:
          alloc C.cache: f32[3, 4] in stack
          alloc C: f32[3, 4]
          for i_1 in 1:
            for j in 4:
              C.cache[i + i_1, j] = 0
              for k in 5:  # reduction
                C.cache[i + i_1, j] += A[i + i_1, k] * B[k, j]
          for i_1 in 1:
            for j in 4:
              C[i + i_1, j] = C.cache[i + i_1, j]
          for j in 4:
            D[i, j] = max(C[i, j], 0)
    """)  # fmt: skip


def test_a_block_behind_others_is_cached_alone():
    s = scheduled(matmul(3, 4, 5, relu=True))
    s.cache_write("D", "stack")
    assert nest(s).splitlines()[-6:] == [
        "for i in 3:",
        "  for j in 4:",
        "    D.cache[i, j] = max(C[i, j], 0)",
        "for i in 3:",
        "  for j in 4:",
        "    D[i, j] = D.cache[i, j]",
    ]
    assert "C[i, j] += A[i, k] * B[k, j]" in nest(s)


def test_an_update_and_its_base_share_the_copy_and_a_base_may_have_one_of_its_own():
    s = scheduled(histogram(50, 8))
    s.cache_write("hist", "stack")
    shown(s, """
        alloc hist.cache: i32[8] in stack
        for b0 in 8:
          hist.cache[b0] = zero[b0]
        for r in 50:  # reduction
          hist.cache[i64(X[r])] += 1_i32
        for d0 in 8:
          hist[d0] = hist.cache[d0]
    """)  # fmt: skip
    s = scheduled(histogram(50, 8))
    s.cache_write("hist.base", "global")
    shown(s, """
        alloc hist.cache: i32[8]
        for b0 in 8:
          hist.cache[b0] = zero[b0]
        for b0 in 8:
          hist[b0] = hist.cache[b0]
        for r in 50:  # reduction
          hist[i64(X[r])] += 1_i32
    """)  # fmt: skip


def test_a_part_of_a_step_is_copied_back_in_the_step():
    s = scheduled(recurrent(2, 3, 4))
    s.cache_write("g", "stack")
    shown(s, """
        for t in 2:  # in order
          alloc g.cache: f32[2, 3, 4] in stack
          alloc g: f32[2, 3, 4]
          for b in 3:
            for h in 4:
              g.cache[t, b, h] = 0
              for k in 4:  # reduction
                g.cache[t, b, h] += select(t == 0, 0, rnn.h[t - 1, b, k]) * w[k, h]
          for b in 3:
            for h in 4:
              g[t, b, h] = g.cache[t, b, h]
          for b in 3:
            for h in 4:
              rnn.h[t, b, h] = tanh(g[t, b, h] + x[t, b, h])
    """)  # fmt: skip


def test_a_state_is_copied_back_after_the_last_step_in_any_order():
    s = scheduled(recurrent(2, 3, 4))
    s.cache_write("rnn.h", "stack")
    assert nest(s).splitlines()[-5:] == [
        "      rnn.h.cache[t, b, h] = tanh(g[t, b, h] + x[t, b, h])",
        "for t in 2:",
        "  for b in 3:",
        "    for h in 4:",
        "      rnn.h[t, b, h] = rnn.h.cache[t, b, h]",
    ]
    assert "select(t == 0, 0, rnn.h.cache[t - 1, b, k])" in nest(s)


def in_place():
    """C of X, which then is doubled in place."""
    x = td.inout(td.placeholder((6,), "float32", name="X"))
    c = td.compute((6,), lambda i: x[i] + 1, name="C")
    r = td.reduce_axis(6, name="r")
    u = td.update(x, over=r, at=r, value=lambda cur: cur[r] * 2, op="set", name="U")
    return scheduled(td.func("f", [x], [c, u]))


def test_an_argument_that_is_changed_in_place_has_no_copy_but_others_do():
    s = in_place()
    with pytest.raises(td.ScheduleError, match="'U' updates the argument 'X' in place"):
        s.cache_write("U")
    s.cache_write("C", "global")
    shown(s, """
        alloc C.cache: f32[6]
        for i in 6:
          C.cache[i] = X[i] + 1
        for i in 6:
          C[i] = C.cache[i]
        for r in 6:  # in order
          X[r] = X[r] * 2
    """)  # fmt: skip


def test_a_block_of_two_tensors_has_two_copies_and_one_block_that_copies_back():
    a = td.placeholder((6,), "float32", name="A")
    p, q = td.compute((6,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    s = scheduled(td.func("f", [a], [p, q]))
    assert s.cache_write("P", "stack") == "P.out"
    shown(s, """
        alloc P.1.cache: f32[6] in stack
        alloc P.0.cache: f32[6] in stack
        for i in 6:
          P.0.cache[i] = A[i] + 1
          P.1.cache[i] = A[i] * 2
        for i in 6:
          P.0[i] = P.0.cache[i]
          P.1[i] = P.1.cache[i]
    """)  # fmt: skip
