"""Small algorithms that the tests of this folder schedule."""

import tdsl as td


def matmul(m="M", n="N", k="K", dtype="float32", relu=False):
    sizes = {name: td.sizes(name) for name in (m, n, k) if isinstance(name, str)}
    rows, cols, depth = (sizes.get(x, x) for x in (m, n, k))
    a = td.placeholder((rows, depth), dtype, name="A")
    b = td.placeholder((depth, cols), dtype, name="B")
    axis = td.reduce_axis(depth, name="k")
    c = td.compute((rows, cols), lambda i, j: td.sum(a[i, axis] * b[axis, j], axis=axis), name="C")
    if not relu:
        return td.func("matmul", [a, b], [c])
    d = td.compute((rows, cols), lambda i, j: td.maximum(c[i, j], 0), name="D")
    return td.func("matmul_relu", [a, b], [d])


def increment(n=100, dtype="float32"):
    n = td.sizes(n) if isinstance(n, str) else n
    a = td.placeholder((n,), dtype, name="A")
    b = td.compute((n,), lambda i: a[i] + 1, name="B")
    return td.func("increment", [a], [b])


def chain(n=64, halo=2):
    a = td.placeholder((n + 2 * halo,), "float32", name="A")
    b = td.compute((n + 2 * halo,), lambda i: a[i] * a[i], name="B")
    c = td.compute((n + halo,), lambda i: b[i] + b[i + halo], name="C")
    d = td.compute((n,), lambda i: c[i] * c[i + halo], name="D")
    return td.func("chain", [a], [d])


def blur(h="H", w="W"):
    h = td.sizes(h) if isinstance(h, str) else h
    w = td.sizes(w) if isinstance(w, str) else w
    a = td.placeholder((h + 2, w + 2), "float32", name="A")
    x = td.compute((h + 2, w), lambda i, j: a[i, j] + a[i, j + 1] + a[i, j + 2], name="X")
    y = td.compute((h, w), lambda i, j: x[i, j] + x[i + 1, j] + x[i + 2, j], name="Y")
    return td.func("blur", [a], [y])


def rows(m=4, n=10, op=td.sum, dtype="float32", where=None):
    """C[i] reduces row i of A, or what of it `where(a, i, k)` chooses."""
    a = td.placeholder((m, n), dtype, name="A")
    k = td.reduce_axis(n, name="k")
    c = td.compute(
        (m,),
        lambda i: op(a[i, k], axis=k, where=None if where is None else where(a, i, k)),
        name="C",
    )
    return td.func("rows", [a], [c])


def histogram(n=1000, bins=8, dtype="int32"):
    x = td.placeholder((n,), "int32", name="X")
    zero = td.placeholder((bins,), dtype, name="zero")
    r = td.reduce_axis(n, name="r")
    hist = td.update(zero, over=r, at=x[r], value=1, op="add", name="hist")
    return td.func("histogram", [x, zero], [hist])


def softmax(m=7, n=19):
    a = td.placeholder((m, n), "float32", name="A")
    k = td.reduce_axis(n, name="k")
    top = td.compute((m,), lambda i: td.max(a[i, k], axis=k), name="top")
    e = td.compute((m, n), lambda i, j: td.exp(a[i, j] - top[i]), name="E")
    total = td.compute((m,), lambda i: td.sum(e[i, k], axis=k), name="total")
    out = td.compute((m, n), lambda i, j: e[i, j] / total[i], name="out")
    return td.func("softmax", [a], [out])


def cumsum(n=20):
    x = td.placeholder((n,), "float32", name="x")
    t = td.scan_axis(n, name="t")
    out = td.scan(t, states={"h": ((), 0.0)}, step=lambda t, prev: {"h": prev["h"] + x[t]})
    return td.func("cumsum", [x], [out["h"]])
