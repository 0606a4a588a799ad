"""What moves data: gathers, scatters, histograms, tables, and other orders of dimensions."""

from __future__ import annotations

import tdsl as td


def transpose(M=5, N=4):
    A = td.placeholder((M, N), "float32", name="A")
    B = td.compute((N, M), lambda i, j: A[j, i], name="B")
    return td.func("transpose", [A], [B])


def transpose_and_add(N=5):
    A = td.placeholder((N, N), "int16", name="A")
    B = td.compute((N, N), lambda i, j: A[j, i], name="B")
    C = td.compute((N, N), lambda i, j: A[i, j] + B[i, j], name="C")
    return td.func("transpose_and_add", [A], [C])


def space_to_depth(C=2, H=2, W=3):
    X = td.placeholder((2 * H, 2 * W, C), "uint8", name="X")
    Y = td.compute((H, W, 2, 2, C), lambda y, x, u, v, c: X[2 * y + u, 2 * x + v, c], name="Y")
    Z = td.compute((H, W, 2, 2, C), lambda y, x, u, v, c: Y[y, x, v, u, c] ^ 1, name="Z")
    return td.func("space_to_depth", [X], [Z])


def flatten_and_weigh(B=3):
    X = td.placeholder((B, 2, 3), "int32", name="X")
    W = td.placeholder((6, 2), "int32", name="W")
    F = td.reshape(X, (B, 6), name="F")
    k = td.reduce_axis(6, name="k")
    Y = td.compute((B, 2), lambda b, o: td.sum(F[b, k] * W[k, o], axis=k), name="Y")
    return td.func("flatten_and_weigh", [X, W], [Y])


def concatenate(N=4, M=3):
    A = td.placeholder((N,), "int32", name="A")
    B = td.placeholder((N,), "int32", name="B")
    C = td.compute(
        (2 * N, M),
        lambda i, j: (
            td.select(i < N, A[td.minimum(i, N - 1)], B[td.maximum(i - N, 0)]) + td.cast(j, "int32")
        ),
        name="C",
    )
    D = td.compute((M, 2 * N), lambda j, i: C[2 * N - 1 - i, j] * 2, name="D")
    return td.func("concatenate", [A, B], [D], assume=["N >= 1"])


def rotary_embedding(S=4, D=3):
    X = td.placeholder((S, 2 * D), "float32", name="X")
    c = td.placeholder((S, D), "float32", name="c")
    s = td.placeholder((S, D), "float32", name="s")
    Y = td.compute(
        (S, 2 * D),
        lambda t, d: td.select(
            d % 2 == 0,
            X[t, d] * c[t, d // 2] - X[t, td.minimum(d + 1, 2 * D - 1)] * s[t, d // 2],
            X[t, d] * c[t, d // 2] + X[t, td.maximum(d - 1, 0)] * s[t, d // 2],
        ),
        name="Y",
    )
    return td.func("rotary_embedding", [X, c, s], [Y], assume=["D >= 1"])


def embedding(N=5, V=6, D=3):
    table = td.placeholder((V, D), "float32", name="table")
    at = td.placeholder((N,), "int64", name="at")
    E = td.compute((N, D), lambda i, d: table[at[i], d], name="E")
    Y = td.compute((N, D), lambda i, d: E[i, d] * 2.0 + 1.0, name="Y")
    return td.func("embedding", [table, at], [Y], assume=["V >= 1"])


def gradient_of_embedding(N=5, V=4, D=3):
    G = td.placeholder((N, D), "int32", name="G")
    at = td.placeholder((N,), "int32", name="at")
    zero = td.compute((V, D), lambda v, d: td.cast(0, "int32"), name="zero")
    r, c = td.reduce_axis(N, name="r"), td.reduce_axis(D, name="c")
    W = td.update(zero, over=(r, c), at=(at[r], c), value=G[r, c], op="add", name="W")
    return td.func("gradient_of_embedding", [G, at], [W], assume=["V >= 1"])


def histogram(N=9, B=4):
    X = td.placeholder((N,), "int32", name="X")
    zero = td.compute((B,), lambda b: td.cast(0, "int32"), name="zero")
    r = td.reduce_axis(N, name="r")
    H = td.update(zero, over=r, at=X[r], value=1, op="add", name="H")
    return td.func("histogram", [X], [H], assume=["B >= 1"])


def equalized_image(N=8):
    X = td.placeholder((N,), "uint8", name="X")
    zero = td.compute((8,), lambda b: td.cast(0, "int32"), name="zero")
    r = td.reduce_axis(N, name="r")
    H = td.update(zero, over=r, at=td.cast(X[r], "int32") >> 5, value=1, op="add", name="H")
    t = td.scan_axis(8, name="t")
    S = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + H[t]}, name="S")
    C = S["s"]
    Y = td.compute((N,), lambda i: C[td.cast(X[i], "int32") >> 5], name="Y")
    return td.func("equalized_image", [X], [Y])


def largest_of_each_group(N=7, G=3):
    X = td.placeholder((N,), "int64", name="X")
    group = td.placeholder((N,), "int32", name="group")
    least = td.compute((G,), lambda g: td.cast(-500, "int64"), name="least")
    r = td.reduce_axis(N, name="r")
    top = td.update(least, over=r, at=group[r], value=X[r], op="max", name="top")
    Y = td.compute((N,), lambda i: top[group[i]] - X[i], name="Y")
    return td.func("largest_of_each_group", [X, group], [Y], assume=["G >= 1"])


def compaction(N=7):
    X = td.placeholder((N,), "int32", name="X")
    t = td.scan_axis(N, name="t")
    S = td.scan(
        t, {"n": ((), 0)},
        lambda t, prev: {"n": prev["n"] + td.select(X[t] > 0, 1, 0)}, name="S",
    )  # fmt: skip
    count = S["n"]
    zero = td.compute((N + 1,), lambda i: td.cast(0, "int32"), name="zero")
    r = td.reduce_axis(N, name="r")
    Y = td.update(
        zero, over=r, at=td.select(X[r] > 0, count[r] - 1, N), value=X[r], op="set", name="Y"
    )
    return td.func("compaction", [X], [Y])


def permutation(N=6):
    X = td.placeholder((N,), "float32", name="X")
    to = td.placeholder((N,), "int64", name="to")
    base = td.placeholder((N,), "float32", name="base")
    r = td.reduce_axis(N, name="r")
    Y = td.update(base, over=r, at=to[r], value=X[r] * 2.0, op="set", name="Y")
    return td.func("permutation", [X, to, base], [Y])


def sparse_matvec(M=5, N=6, K=3):
    value = td.placeholder((M, K), "float32", name="value")
    column = td.placeholder((M, K), "int32", name="column")
    x = td.placeholder((N,), "float32", name="x")
    k = td.reduce_axis(K, name="k")
    y = td.compute((M,), lambda i: td.sum(value[i, k] * x[column[i, k]], axis=k), name="y")
    return td.func("sparse_matvec", [value, column, x], [y], assume=["N >= 1"])


def lookup_table(H=4, W=4):
    X = td.placeholder((H, W), "uint8", name="X")
    T = td.placeholder((16,), "int16", name="T")
    L = td.compute((16,), lambda b: T[b] * 3 - 7, name="L")
    Y = td.compute((H, W), lambda y, x: L[td.cast(X[y, x], "int32") >> 4], name="Y")
    return td.func("lookup_table", [X, T], [Y])


def warp(H=3, W=4):
    X = td.placeholder((H, W), "int32", name="X")
    row = td.placeholder((H, W), "int32", name="row")
    Y = td.compute(
        (H, W), lambda y, x: X[row[y, x], x] + X[row[y, x], td.minimum(x + 1, W - 1)], name="Y"
    )
    return td.func("warp", [X, row], [Y], assume=["H >= 1", "W >= 1"])
