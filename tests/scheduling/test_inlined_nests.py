"""inline and reverse_inline: what is left of the blocks, and which ones are kept apart."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import chain, increment, matmul, softmax
from tests.scheduling.running import scheduled, shown
from tests.scheduling.test_placing import rows_of_counts


def vector(name="A", n=6, dtype="float32"):
    return td.placeholder((n,), dtype, name=name)


def after(producer, *consumers, n=6):
    """B of A, then blocks C, D, ... of A and B."""
    a = vector(n=n)
    b = td.compute((n,), lambda i: producer(a, i), name="B")
    made = [
        td.compute((n,), lambda i, f=f: f(a, b, i), name=name)
        for name, f in zip("CDE", consumers, strict=False)
    ]
    return td.func("f", [a], made)


def plus_one(a, i):
    return a[i] + 1


def test_every_reader_gets_the_expression_at_its_own_indices():
    s = scheduled(
        after(
            plus_one,
            lambda a, b, i: b[i] * b[5 - i],
            lambda a, b, i: b[i] - a[i],
            lambda a, b, i: a[i] * 3,
        )
    )
    s.inline("B")
    shown(s, """
        for i in 6:
          C[i] = (A[i] + 1) * (A[5 - i] + 1)
        for i in 6:
          D[i] = A[i] + 1 - A[i]
        for i in 6:
          E[i] = A[i] * 3
    """)  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "left"),
    [
        (lambda p, q, i: p[i] * q[5 - i], "C[i] = (A[i] + 1) * (A[5 - i] * 2)"),
        (lambda p, q, i: q[5 - i], "C[i] = A[5 - i] * 2"),
    ],
    ids=["both", "one"],
)
def test_all_tensors_of_a_block_go_with_it(reader, left):
    a = vector()
    p, q = td.compute((6,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    c = td.compute((6,), lambda i: reader(p, q, i), name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.inline("P")
    shown(s, f"for i in 6:\n  {left}")


def test_copies_are_expressions_too():
    s = scheduled(matmul(3, 4, 5))
    before = str(s.nest)
    s.cache_read("C", "B")
    s.inline("B.C")
    shown(s, before)
    s = scheduled(increment(6))
    before = str(s.nest)
    s.cache_write("B", "global")
    s.reverse_inline("B.out")
    shown(s, before)


def test_the_pieces_of_a_reader_all_get_it():
    s = scheduled(after(plus_one, lambda a, b, i: b[i] * 2))
    s.partition("C.i", 2)
    s.inline("B")
    shown(s, """
        for i in 2:
          C[i] = (A[i] + 1) * 2
        for i in 4:
          C[2 + i] = (A[2 + i] + 1) * 2
    """)  # fmt: skip


def test_the_start_of_an_update_is_inlined_into_its_copy_but_the_copy_stays():
    s = scheduled(rows_of_counts())
    s.inline("start")
    shown(s, """
        alloc hist: i32[6, 8]
        for b0 in 6:
          for b1 in 8:
            hist[b0, b1] = i32(b1)
        for r in 6:  # reduction
          for c in 20:  # reduction
            hist[r, i64(X[r, c])] += 1_i32
        for i in 6:
          for j in 8:
            O[i, j] = hist[i, j] * 2
    """)  # fmt: skip
    with pytest.raises(td.ScheduleError, match=r"'hist' writes the tensor of 'hist\.base' too"):
        s.inline("hist.base")


def test_what_is_read_after_an_update_is_read_there_still():
    x = vector("X", 20, "int32")
    start = td.compute((8,), lambda j: td.cast(j, "int32"), name="start")
    r = td.reduce_axis(20, name="r")
    hist = td.update(start, over=r, at=x[r], value=1, op="add", name="hist")
    o = td.compute((8,), lambda i: hist[i] * 2, name="O")
    p = td.compute((8,), lambda i: o[i] + 1, name="P")
    s = scheduled(td.func("f", [x], [p]))
    s.inline("O")  # hist is changed, but before O
    assert str(s.nest).endswith("for i in 8:\n  P[i] = hist[i] * 2 + 1")
    shown(s, str(s.nest))


def doubled(readers):
    """B = X + 1, which `readers` read before and after X is doubled in place."""
    x = td.inout(vector("X"))
    b = td.compute((6,), lambda i: x[i] + 1, name="B")
    r = td.reduce_axis(6, name="r")
    made = []
    for kind in readers:
        if kind in {"before", "after"}:
            made.append(td.compute((6,), lambda i: b[i] * 3, name=kind))
        else:
            value = (lambda cur: cur[r] * 2) if kind == "alone" else (lambda cur: cur[r] * b[5 - r])
            made.append(td.update(x, over=r, at=r, value=value, op="set", name="U"))
    return td.func("doubled", [x], made)


def test_a_block_is_inlined_ahead_of_a_change_of_what_it_reads():
    s = scheduled(doubled(["before", "alone"]))
    s.inline("B")
    shown(s, """
        for i in 6:
          before[i] = (X[i] + 1) * 3
        for r in 6:  # in order
          X[r] = X[r] * 2
    """)  # fmt: skip


@pytest.mark.parametrize(
    "readers", [["alone", "after"], ["before", "alone", "after"], ["reading"]], ids="+".join
)
def test_a_block_is_not_inlined_behind_a_change_of_what_it_reads(readers):
    s = scheduled(doubled(readers))
    with pytest.raises(td.ScheduleError, match="'U' changes 'X', which 'B' reads as it was before"):
        s.inline("B")


def test_a_tensor_in_shared_storage_is_not_read_when_another_lies_there():
    a = vector()
    b = td.compute((6,), lambda i: a[i] + 1, name="B")
    c = td.compute((6,), lambda i: b[i] * 2, name="C")
    d = td.compute((6,), lambda i: a[i] * 3, name="D")
    e = td.compute((6,), lambda i: c[i] + d[i], name="E")
    s = scheduled(td.func("f", [a], [e]))
    s.reuse("D", of="B")
    with pytest.raises(td.ScheduleError, match="'D' changes 'D', which 'C' reads"):
        s.inline("C")


def steps_with_a_secret():
    """A scan of which a state `s` copies what each step keeps to itself."""
    x = td.placeholder((3, 2), "int32", name="X")
    t = td.scan_axis(3, name="t")

    def step(t, prev):
        secret = td.compute((2,), lambda i: x[t, i] * 5, name="secret")
        more = td.compute((2,), lambda i: secret[1 - i] + 1, name="more")
        return {"s": lambda i: secret[i], "h": lambda i: prev["h"][i] + more[i]}

    made = td.scan(t, {"s": ((2,), 7), "h": ((2,), 3)}, step, name="H")
    y = td.compute((3, 2), lambda i, j: made["h"][i, j] + made["s"][i, j], name="y")
    return td.func("f", [x], [y])


def test_what_a_step_keeps_to_itself_is_inlined_within_the_step_alone():
    s = scheduled(steps_with_a_secret())
    with pytest.raises(td.ScheduleError, match=r"'y' reads 'H\.s' of another step"):
        s.inline("H.s")
    with pytest.raises(td.ScheduleError, match=r"'H\.h' is a recurrence"):
        s.inline("H.h")
    s.inline("more")
    shown(s, """
        alloc H.s: i32[3, 2]
        alloc H.h: i32[3, 2]
        for t in 3:  # in order
          alloc secret: i32[3, 2]
          for i in 2:
            secret[t, i] = X[t, i] * 5
          for i in 2:
            H.s[t, i] = secret[t, i]
          for i in 2:
            H.h[t, i] = select(t == 0, 3, H.h[t - 1, i]) + (secret[t, 1 - i] + 1)
        for i in 3:
          for j in 2:
            y[i, j] = H.h[i, j] + H.s[i, j]
    """)  # fmt: skip
    s.inline("secret")
    s.inline("H.s")  # X is there at every step
    assert s.blocks() == ("H.h", "y")
    shown(s, str(s.nest))


def test_a_block_of_two_tensors_is_inlined_where_one_of_them_is_read():
    x = td.placeholder((3, 2), "int32", name="X")
    t = td.scan_axis(3, name="t")

    def step(t, prev):
        secret = td.compute((2,), lambda i: x[t, i] * 5, name="secret")
        p, _ = td.compute((2,), lambda i: (secret[i] + 1, secret[i] + 2), name="P")
        return {"h": lambda i: prev["h"][i] + p[1 - i]}

    made = td.scan(t, {"h": ((2,), 3)}, step, name="H")
    s = scheduled(td.func("f", [x], [made["h"]]))
    s.inline("P")
    shown(s, """
        for t in 3:  # in order
          alloc secret: i32[3, 2]
          for i in 2:
            secret[t, i] = X[t, i] * 5
          for i in 2:
            H.h[t, i] = select(t == 0, 3, H.h[t - 1, i]) + (secret[t, 1 - i] + 1)
    """)  # fmt: skip


def test_what_a_step_keeps_to_itself_is_not_read_in_the_next_step_either():
    x = td.placeholder((3, 2), "int32", name="X")
    t = td.scan_axis(3, name="t")

    def step(t, prev):
        secret = td.compute((2,), lambda i: x[t, i] * 5, name="secret")
        more = td.compute((2,), lambda i: secret[i] + prev["s"][1 - i], name="more")
        return {"s": lambda i: secret[i], "h": lambda i: prev["h"][i] + more[i]}

    made = td.scan(t, {"s": ((2,), 7), "h": ((2,), 3)}, step, name="H")
    s = scheduled(td.func("f", [x], [made["h"]]))
    with pytest.raises(td.ScheduleError, match=r"'more' reads 'H\.s' of another step"):
        s.inline("H.s")


def test_a_consumer_that_is_turned_and_smaller_runs_where_its_producer_did():
    a = td.placeholder((4, 3), "float32", name="A")
    b = td.compute((4, 3), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((3, 2), lambda j, i: b[i, j] * 2, name="C")
    s = scheduled(td.func("f", [a], [c]))
    assert [loop.name for loop in s.reverse_inline("C")] == ["i", "j"]
    shown(s, """
        for i in 4:
          for j in 3:
            if i < 2: C[j, i] = (A[i, j] + 1) * 2
    """)  # fmt: skip


def test_a_consumer_reads_its_producer_twice_and_arguments_beside_it():
    s = scheduled(after(plus_one, lambda a, b, i: td.maximum(b[i], b[i]) - a[5 - i]))
    s.reverse_inline("C")
    shown(s, """
        for i in 6:
          C[i] = max(A[i] + 1, A[i] + 1) - A[5 - i]
    """)  # fmt: skip


def test_a_consumer_takes_over_its_own_producer_and_no_other_block():
    a = vector()
    b = td.compute((6,), lambda i: a[i] + 1, name="B")
    c = td.compute((6,), lambda i: b[i] * 2, name="C")
    s = scheduled(td.func("f", [a], [td.compute((6,), lambda i: c[i] + 3, name="D")]))
    s.reverse_inline("D")
    shown(s, """
        alloc B: f32[6]
        for i in 6:
          B[i] = A[i] + 1
        for i in 6:
          D[i] = B[i] * 2 + 3
    """)  # fmt: skip


def test_pieces_and_requests_to_the_caches():
    s = scheduled(after(plus_one, lambda a, b, i: b[i] * 2))
    s.prefetch("B", "A", "i -> i + 2")  # of what B reads, by its variables: they are gone
    s.partition("B.i", 2)
    (first,) = s.reverse_inline("C")
    assert first.extent == 2
    shown(s, """
        for i in 2:
          C[i] = (A[i] + 1) * 2
        for i in 4:
          C[2 + i] = (A[2 + i] + 1) * 2
    """)  # fmt: skip


def read_at(*indices):
    """C[i, j] reads one element of B, which has two dimensions, at some of its own indices."""
    a = td.placeholder((4, 4), "float32", name="A")
    b = td.compute((4, 4), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((4, 4), lambda i, j: b[tuple((i, j)[n] for n in indices)] * 2, name="C")
    return td.func("f", [a], [c])


def two_places():
    a = td.placeholder((4, 4), "float32", name="A")
    b = td.compute((4, 4), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((4, 4), lambda i, j: b[i, j] * b[j, i], name="C")
    return td.func("f", [a], [c])


def repeated():
    a = vector()
    b = td.compute((6,), plus_one_of(a), name="B")
    return td.func("f", [a], [td.compute((6, 3), lambda i, j: b[i] * 2, name="C")])


def plus_one_of(a):
    return lambda i: a[i] + 1


def diagonal():
    a = td.placeholder((4, 4), "float32", name="A")
    b = td.compute((4, 4), lambda i, j: a[i, j] + 1, name="B")
    return td.func("f", [a], [td.compute((4,), lambda i: b[i, i] * 2, name="C")])


def read_elsewhere_too():
    return after(plus_one, lambda a, b, i: b[i] * 2, lambda a, b, i: b[i] * 3)


def summed():
    a = vector()
    b = td.compute((6,), plus_one_of(a), name="B")
    k = td.reduce_axis(6, name="k")
    return td.func("f", [a], [td.compute((), lambda: td.sum(b[k], axis=k), name="C")])


def of_a_sum():
    return matmul(3, 4, 5, relu=True)


@pytest.mark.parametrize(
    ("algorithm", "block", "reason"),
    [
        (softmax, "out", r"'out' reads 2 intermediate tensors \(E, total\), not one"),
        (lambda: increment(5), "B", r"'B' reads 0 intermediate tensors \(none\), not one"),
        (lambda: chain(4, 1), "D", "'D' does not read 'C' at its own indices, each once"),
        (two_places, "C", "'C' does not read 'B' at its own indices, each once"),
        (repeated, "C", "'C' does not read 'B' at its own indices, each once"),
        (diagonal, "C", "'C' does not read 'B' at its own indices, each once"),
        (lambda: read_at(0, 0), "C", "'C' does not read 'B' at its own indices, each once"),
        (read_elsewhere_too, "C", "'B' has other readers than 'C'"),
        (summed, "C", "'C' is a reduction, whose loops are its own"),
        (of_a_sum, "D", "'C' is a reduction, not one expression"),
    ],
    ids=[
        "two tensors", "none", "neighbours", "two places", "fewer", "diagonal", "one of two",
        "other readers", "sum", "of a sum",
    ],
)  # fmt: skip
def test_a_consumer_that_is_no_function_of_one_element_stays(algorithm, block, reason):
    s = scheduled(algorithm())
    before = str(s.nest)
    with pytest.raises(td.ScheduleError, match=reason):
        s.reverse_inline(block)
    assert str(s.nest) == before


def test_the_tensors_that_are_too_many_are_named_in_order():
    a = vector()
    made = [td.compute((6,), lambda i, n=n: a[i] + n, name=name) for n, name in enumerate("TRQPS")]
    c = td.compute((6,), lambda i: sum(b[i] for b in made), name="C")
    s = scheduled(td.func("f", [a], [c]))
    with pytest.raises(td.ScheduleError, match=r"reads 5 intermediate tensors \(P, Q, R, S, T\)"):
        s.reverse_inline("C")


def test_a_transposed_read_is_one_at_its_own_indices():
    s = scheduled(read_at(1, 0))
    s.reverse_inline("C")
    shown(s, """
        for i in 4:
          for j in 4:
            C[j, i] = (A[i, j] + 1) * 2
    """)  # fmt: skip
