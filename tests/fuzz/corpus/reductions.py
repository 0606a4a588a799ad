"""Normalisations, extremes and where they are, sums of several values at once."""

from __future__ import annotations

import tdsl as td


def softmax(M=4, N=6):
    X = td.placeholder((M, N), "float32", name="X")
    k = td.reduce_axis(N, name="k")
    top = td.compute((M,), lambda i: td.max(X[i, k], axis=k), name="top")
    E = td.compute((M, N), lambda i, j: td.exp(X[i, j] - top[i]), name="E")
    n = td.reduce_axis(N, name="n")
    total = td.compute((M,), lambda i: td.sum(E[i, n], axis=n), name="total")
    Y = td.compute((M, N), lambda i, j: E[i, j] / total[i], name="Y")
    return td.func("softmax", [X], [Y])


def layernorm(M=4, N=6):
    X = td.placeholder((M, N), "float32", name="X")
    g = td.placeholder((N,), "float32", name="g")
    k = td.reduce_axis(N, name="k")
    mean = td.compute((M,), lambda i: td.sum(X[i, k], axis=k) * 0.125, name="mean")
    n = td.reduce_axis(N, name="n")
    var = td.compute(
        (M,), lambda i: td.sum((X[i, n] - mean[i]) * (X[i, n] - mean[i]), axis=n), name="var"
    )
    Y = td.compute(
        (M, N), lambda i, j: (X[i, j] - mean[i]) / td.sqrt(var[i] + 1.0) * g[j], name="Y"
    )
    return td.func("layernorm", [X, g], [Y])


def float16_rms_norm(M=3, N=5):
    X = td.placeholder((M, N), "float16", name="X")
    k = td.reduce_axis(N, name="k")
    S = td.compute((M,), lambda i: td.sum(X[i, k] * X[i, k], axis=k), name="S")
    Y = td.compute(
        (M, N),
        lambda i, j: X[i, j] / td.cast(td.sqrt(S[i] + 1.0), "float16"),
        name="Y",
    )
    return td.func("float16_rms_norm", [X], [Y])


def row_argmax(M=4, N=6):
    X = td.placeholder((M, N), "int32", name="X")
    k = td.reduce_axis(N, name="k")
    at = td.compute((M,), lambda i: td.argmax(X[i, k], axis=k), name="at")
    n = td.reduce_axis(N, name="n")
    top = td.compute((M,), lambda i: td.max(X[i, n], axis=n), name="top")
    return td.func("row_argmax", [X], [at, top])


def nearest_centre(N=4, K=3, D=2):
    X = td.placeholder((N, D), "int32", name="X")
    C = td.placeholder((K, D), "int32", name="C")
    d = td.reduce_axis(D, name="d")
    dist = td.compute(
        (N, K), lambda i, c: td.sum((X[i, d] - C[c, d]) * (X[i, d] - C[c, d]), axis=d), name="dist"
    )
    k = td.reduce_axis(K, name="k")
    near = td.compute((N,), lambda i: td.argmin(dist[i, k], axis=k), name="near")
    return td.func("nearest_centre", [X, C], [near])


def best_pair(M=4, N=5):
    X = td.placeholder((M, N), "int32", name="X")
    k = td.reduce_axis(N, name="k")
    best = td.reducer(
        identity=(-1000, -1),
        combine=lambda a, b: (
            td.maximum(a[0], b[0]),
            td.select((b[0] > a[0]) | ((b[0] == a[0]) & (b[1] > a[1])), b[1], a[1]),
        ),
    )
    value, place = td.compute(
        (M,), lambda i: best((X[i, k], td.cast(k, "int32")), axis=k), name="best"
    )
    return td.func("best_pair", [X], [value, place])


def moments(M=3, N=6):
    X = td.placeholder((M, N), "int64", name="X")
    k = td.reduce_axis(N, name="k")
    both = td.reducer(identity=(0, 0), combine=lambda a, b: (a[0] + b[0], a[1] + b[1]))
    first, second = td.compute((M,), lambda i: both((X[i, k], X[i, k] * X[i, k]), axis=k), name="m")
    var = td.compute((M,), lambda i: 6 * second[i] - first[i] * first[i], name="var")
    return td.func("moments", [X], [first, var])


def masked_mean(M=4, N=5):
    X = td.placeholder((M, N), "int32", name="X")
    keep = td.placeholder((M, N), "bool", name="keep")
    k = td.reduce_axis(N, name="k")
    total = td.compute((M,), lambda i: td.sum(X[i, k], axis=k, where=keep[i, k]), name="total")
    n = td.reduce_axis(N, name="n")
    count = td.compute((M,), lambda i: td.sum(td.cast(keep[i, n], "int32"), axis=n), name="count")
    mean = td.compute((M,), lambda i: total[i] // td.maximum(count[i], 1), name="mean")
    return td.func("masked_mean", [X, keep], [mean])


def norms(N=6):
    X = td.placeholder((N,), "float64", name="X")
    k = td.reduce_axis(N, name="k")
    one = td.compute((), lambda: td.sum(td.abs(X[k]), axis=k), name="one")
    n = td.reduce_axis(N, name="n")
    most = td.compute((), lambda: td.max(td.abs(X[n]), axis=n), name="most")
    Y = td.compute((N,), lambda i: X[i] / (one[()] + most[()] + 1.0), name="Y")
    return td.func("norms", [X], [one, Y])


def any_and_all(M=4, N=5):
    X = td.placeholder((M, N), "int8", name="X")
    k = td.reduce_axis(N, name="k")
    some = td.compute((M,), lambda i: td.any(X[i, k] > 50, axis=k), name="some")
    n = td.reduce_axis(M, name="n")
    every = td.compute((N,), lambda j: td.all(X[n, j] != 3, axis=n), name="every")
    Y = td.compute((M, N), lambda i, j: some[i] ^ every[j], name="Y")
    return td.func("any_and_all", [X], [Y])


def polynomial(N=6, K=4):
    x = td.placeholder((N,), "int64", name="x")
    c = td.placeholder((K,), "int64", name="c")
    k = td.reduce_axis(K, name="k")
    p = td.reduce_axis(K, name="p")
    powers = td.compute((N, K), lambda i, d: td.prod(x[i], axis=p, where=p < d), name="powers")
    y = td.compute((N,), lambda i: td.sum(powers[i, k] * c[k], axis=k), name="y")
    return td.func("polynomial", [x, c], [y])
