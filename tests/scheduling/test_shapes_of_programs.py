"""Steps on algorithms of every shape: several outputs, scans, gathers, updates in place."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import matmul, softmax
from tests.scheduling.running import check, scheduled


def pair(n=16):
    a = td.placeholder((n,), "float32", name="A")
    p, q = td.compute((n,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    c = td.compute((n - 2,), lambda i: p[i] + q[i + 2], name="C")
    return td.func("pair", [a], [c])


def conv(channels=3, h=8, w=9, outputs=4):
    x = td.placeholder((channels, h, w), "float32", name="X")
    f = td.placeholder((outputs, channels, 3, 3), "float32", name="W")
    rc, r, q = (td.reduce_axis(n, name=s) for n, s in ((channels, "rc"), (3, "r"), (3, "q")))
    p = td.pad(x, (0, 1, 1), (0, 1, 1), name="P")
    y = td.compute(
        (outputs, h, w),
        lambda o, i, j: td.sum(p[rc, i + r, j + q] * f[o, rc, r, q], axis=(rc, r, q)),
        name="Y",
    )
    z = td.compute((outputs, h, w), lambda o, i, j: td.maximum(y[o, i, j], 0), name="Z")
    return td.func("conv", [x, f], [z])


def recurrent(steps=6, batch=3, hidden=4):
    x = td.placeholder((steps, batch, hidden), "float32", name="x")
    w = td.placeholder((hidden, hidden), "float32", name="w")
    t = td.scan_axis(steps, name="t")
    k = td.reduce_axis(hidden, name="k")

    def step(t, prev):
        g = td.compute(
            (batch, hidden), lambda b, h: td.sum(prev["h"][b, k] * w[k, h], axis=k), name="g"
        )
        return {"h": lambda b, h: td.tanh(g[b, h] + x[t, b, h])}

    out = td.scan(t, states={"h": ((batch, hidden), 0.0)}, step=step, name="rnn")
    return td.func("rnn", [x, w], [out["h"]])


def argmax_plus_one(m=6, n=12):
    a = td.placeholder((m, n), "float32", name="A")
    k = td.reduce_axis(n, name="k")
    b = td.compute((m,), lambda i: td.argmax(a[i, k], axis=k), name="B")
    c = td.compute((m,), lambda i: b[i] + 1, name="C")
    return td.func("argmax", [a], [c])


def unary(n, m, index):
    a = td.placeholder((n,), "float32", name="A")
    b = td.compute((n,), lambda i: a[i] + 1, name="B")
    c = td.compute((m,), lambda i: index(b, i) * 2, name="C")
    return td.func("unary", [a], [c])


@pytest.mark.parametrize(
    "step",
    [
        lambda s: s.compute_at("P", s.split("C.i", 5)[0]),
        lambda s: s.inline("P"),
        lambda s: s.cache_write("P", "stack"),
        lambda s: s.set_scope("P", "stack"),
        lambda s: s.cache_read("C", "P.1"),
    ],
    ids=["compute_at", "inline", "cache_write", "set_scope", "cache_read"],
)
def test_blocks_of_several_tensors(step):
    s = scheduled(pair())
    step(s)
    check(s)


def test_reductions_of_several_values_are_placed():
    s = scheduled(argmax_plus_one())
    io, _ = s.split("C.i", 4)
    s.compute_at("B", io)
    s.parallel(io)
    check(s)


def test_convolution_tiles_with_its_padding():
    s = scheduled(conv())
    _, i, j = s.loops("Z")
    _, jo, _, _ = s.tile(i, j, 4, 4)
    s.compute_at("Y", jo)
    s.compute_at("P", jo)
    assert [loop.extent for loop in s.loops("P")[-3:]] == [3, 6, 6]
    s.parallel("Z.o")
    check(s)


def test_convolution_inlines_its_padding():
    s = scheduled(conv())
    s.inline("P")
    _, i, j, rc, r, q = s.loops("Y")
    s.reverse_compute_at("Z", i)
    s.reorder(rc, r, q, j)
    check(s)


def test_steps_inside_a_scan():
    s = scheduled(recurrent())
    t, b, _, k = s.loops("g")
    s.parallel(b)
    s.split(k, 2)
    assert s.cache_read("g", "w") == "w.g"
    check(s)
    with pytest.raises(td.ScheduleError):
        s.parallel(t)


def test_a_scan_computes_its_parts_row_by_row():
    s = scheduled(recurrent())
    s.compute_at("g", s.loops("rnn.h")[1])
    s.parallel(s.loops("rnn.h")[1])
    check(s)


def test_a_scan_reads_copies_of_one_step():
    s = scheduled(recurrent())
    t = s.loops("rnn.h")[0]
    assert s.cache_read("rnn.h", "x", "stack", at=t) == "x.rnn.h"
    check(s)


def test_rfactor_and_cache_write_inside_a_scan():
    s = scheduled(recurrent())
    _, ki = s.split("g.k", 2)
    s.rfactor(ki)
    check(s)
    s = scheduled(recurrent())
    s.cache_write("g", "stack")
    check(s)


def test_a_recurrence_is_not_inlined():
    s = scheduled(recurrent())
    with pytest.raises(td.ScheduleError, match=r"is an output|is a recurrence"):
        s.inline("rnn.h")
    x = td.placeholder((4,), "float32", name="x")
    t = td.scan_axis(4, name="t")
    h = td.scan(t, states={"h": ((), 0.0)}, step=lambda t, p: {"h": p["h"] + x[t]}, name="r")
    y = td.compute((4,), lambda i: h["h"][i] * 2, name="y")
    s = scheduled(td.func("f", [x], [y]))
    with pytest.raises(td.ScheduleError, match="is a recurrence"):
        s.inline("r.h")


def test_an_update_in_place():
    a = td.inout(td.placeholder((8,), "float32", name="A"))
    r = td.reduce_axis(7, name="r")
    u = td.update(a, over=r, at=r, value=lambda cur: cur[r] + cur[r + 1], op="set", name="U")
    s = scheduled(td.func("smear", [a], [u]))
    ro, ri = s.split("U.r", 3)
    check(s)
    with pytest.raises(td.ScheduleError, match="in place"):
        s.cache_write("U")
    with pytest.raises(td.ScheduleError):
        s.reorder(ri, ro)


def test_a_scalar_is_placed_and_broadcast():
    x = td.placeholder((9,), "float32", name="x")
    k = td.reduce_axis(9, name="k")
    m = td.compute((), lambda: td.sum(x[k], axis=k), name="m")
    y = td.compute((9,), lambda i: x[i] - m[()], name="y")
    s = scheduled(td.func("f", [x], [y]))
    s.compute_at("m", "y.i")
    s.parallel("y.i")
    check(s)


@pytest.mark.parametrize(
    ("n", "m", "index"),
    [
        (17, 8, lambda b, i: b[2 * i] + b[2 * i + 1]),
        (8, 16, lambda b, i: b[i // 2]),
        (8, 8, lambda b, i: b[7 - i]),
        (9, 8, lambda b, i: b[i] + b[8]),
        (12, 5, lambda b, i: b[i + 7] * b[i]),
    ],
    ids=["strided", "repeated", "mirrored", "fixed", "distant"],
)
def test_boxes_of_strided_repeated_and_mirrored_reads(n, m, index):
    s = scheduled(unary(n, m, index))
    io, _ = s.split("C.i", 3)
    s.compute_at("B", io)
    check(s)


def test_gathered_producers_are_computed_whole():
    a = td.placeholder((8,), "float32", name="A")
    at = td.placeholder((5,), "int32", name="at")
    b = td.compute((8,), lambda i: a[i] + 1, name="B")
    c = td.compute((5,), lambda i: b[at[i]] * 2, name="C")
    s = scheduled(td.func("f", [a, at], [c]))
    (i,) = s.compute_at("B", "C.i")
    assert i.extent == 8
    check(s)
    s = scheduled(td.func("f", [a, at], [c]))
    s.inline("B")
    check(s)


def test_triangular_reductions_reorder():
    a = td.placeholder((7, 7), "float32", name="A")
    k = td.reduce_axis(7, name="k")
    c = td.compute((7,), lambda i: td.sum(a[i, k], axis=k, where=k <= i), name="C")
    s = scheduled(td.func("f", [a], [c]))
    io, ii = s.split("i", 3)
    s.reorder(io, "k", ii)
    check(s)


def test_an_output_that_is_also_read_is_placed_without_an_allocation():
    a = td.placeholder((8,), "float32", name="A")
    b = td.compute((8,), lambda i: a[i] + 1, name="B")
    c = td.compute((8,), lambda i: b[i] * 2, name="C")
    s = scheduled(td.func("f", [a], [b, c]))
    s.compute_at("B", s.split("C.i", 3)[0])
    check(s)


def test_a_gemm_with_packed_tiles_in_every_loop():
    s = scheduled(matmul(10, 12, 9, relu=True))
    io, jo, ii, ji = s.tile("D.i", "D.j", 4, 6)
    s.compute_at("C", jo)
    ci, cj, k = s.loops("C")[2:]
    ko, ki = s.split(k, 4)
    s.reorder(ko, ki, ci, cj)
    s.cache_read("C", "A", "stack", at=ko)
    s.cache_read("C", "B", "stack", at=ko)
    s.vectorize(cj, 4)
    s.unroll(ci)
    s.vectorize(ji, 4)
    s.parallel(s.fuse(io, jo))
    assert s.numerics.value == "exact"
    assert ii.is_alive
    check(s)


def test_softmax_by_rows_with_vector_accumulators():
    s = scheduled(softmax(5, 19))
    i = s.loops("out")[0]
    for block in ("total", "E", "top"):
        s.compute_at(block, i)
    for block in ("total", "top"):
        _, ki = s.split(f"{block}.k", 8, tail="mask")
        s.rfactor(ki)
        s.vectorize(f"{block}.rf.ki")
        s.unroll(f"{block}.r")
    s.vectorize(s.loops("E")[-1], 8)
    s.vectorize("out.j", 8)
    s.parallel(i)
    assert s.numerics.value == "reassociates"
    check(s)


def test_caches_that_are_inlined_leave_no_trace():
    s = scheduled(matmul(4, 4, 4, relu=True))
    s.cache_read("C", "A")
    s.inline("A.C")
    s.cache_write("C")
    s.inline("C.out")
    assert s.blocks() == ("C", "D")
    check(s)
