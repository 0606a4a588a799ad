"""Small algorithms and templates for the tuner's tests."""

import tdsl as td
from tdsl.autotune.tasks import Task

TARGET = td.target("llvm -mcpu=znver4")


def matmul(m=64, n=64, k=64, relu=False):
    A = td.placeholder((m, k), "float32", name="A")
    B = td.placeholder((k, n), "float32", name="B")
    r = td.reduce_axis(k, name="k")
    C = td.compute((m, n), lambda i, j: td.sum(A[i, r] * B[r, j], axis=r), name="C")
    if not relu:
        return td.func("matmul", [A, B], [C])
    D = td.compute((m, n), lambda i, j: td.maximum(C[i, j], 0.0), name="D")
    return td.func("matmul_relu", [A, B], [D])


def matmul_space(s, knob):
    out = s.cache_write("C", "register")
    i, j = s.loops(out)
    ti, tj = knob.tile("ti", i, max_inner=8), knob.tile("tj", j, max_inner=64)
    knob.require(ti[1] * tj[1] <= 256)
    jo, ji = s.split(j, tj, tail="mask")
    io, ii = s.split(i, ti)
    s.reorder(jo, io, ii, ji)
    s.compute_at("C", at=io)
    ci, cj, k = s.loops("C")[-3:]
    s.reorder(k, ci, cj)
    wide = [ji, cj]
    if knob.choice("pack", [True, False]):
        wide.append(s.loops(s.cache_read("C", "B", at=jo))[-1])
    for loop in wide:
        s.vectorize(loop)
    s.unroll(ii)
    s.unroll(ci)
    s.parallel(jo)


def increment(n=1024):
    A = td.placeholder((n,), "float32", name="A")
    return td.func("increment", [A], [td.compute((n,), lambda i: A[i] + 1.0, name="B")])


def cheap_space(s, knob):
    """Many candidates that are proven in no time."""
    (i,) = s.loops("B")
    _, _, inner = s.split(i, knob.tile("t", i, parts=3))
    if knob.choice("unroll", [True, False]):
        s.unroll(inner)


def increment_space(s, knob):
    (i,) = s.loops("B")
    if knob.choice("order", ["split", "plain"]) == "split":
        _, inner = s.split(i, knob.tile("t", i))
        s.unroll(inner)


def cheap_task():
    return task(increment(), cheap_space)


def task(func=None, space=matmul_space, threads=1):
    return Task(func or matmul(), space, "test", TARGET, threads)
