"""Recurrences, dynamic programs, and updates in place, whose order matters."""

from __future__ import annotations

import tdsl as td


def prefix_sum(N=9):
    X = td.placeholder((N,), "int32", name="X")
    t = td.scan_axis(N, name="t")
    S = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + X[t]}, name="S")
    out = S["s"]
    return td.func("prefix_sum", [X], [out])


def integral_image(H=4, W=5):
    X = td.placeholder((H, W), "int32", name="X")
    t = td.scan_axis(H, name="t")
    down = td.scan(
        t, {"s": ((W,), 0)}, lambda t, prev: {"s": lambda j: prev["s"][j] + X[t, j]}, name="down"
    )
    C = down["s"]
    u = td.scan_axis(W, name="u")
    right = td.scan(
        u, {"s": ((H,), 0)}, lambda u, prev: {"s": lambda i: prev["s"][i] + C[i, u]}, name="right"
    )
    I = right["s"]
    Y = td.compute((H, W), lambda i, j: I[j, i], name="Y")
    return td.func("integral_image", [X], [Y])


def biquad_filter(C=2, N=6):
    X = td.placeholder((N, C), "float32", name="X")
    t = td.scan_axis(N, name="t")
    S = td.scan(
        t,
        {"y": ((C,), 0.0), "z": ((C,), 0.0)},
        lambda t, prev: {
            "y": lambda c: X[t, c] * 0.5 + prev["y"][c] * 0.25 - prev["z"][c] * 0.125,
            "z": lambda c: prev["y"][c],
        },
        name="S",
    )
    y, z = S["y"], S["z"]
    out = td.compute((N, C), lambda i, c: y[i, c] + z[i, c], name="out")
    return td.func("biquad_filter", [X], [out])


def running_maximum(N=6, M=3):
    X = td.placeholder((N, M), "int32", name="X")
    t = td.scan_axis(N, name="t")
    R = td.scan(
        t, {"s": ((M,), -1000)},
        lambda t, prev: {"s": lambda i: td.maximum(prev["s"][i], X[t, i])}, name="R",
    )  # fmt: skip
    top = R["s"]
    fall = td.compute((N, M), lambda i, j: top[i, j] - X[i, j], name="fall")
    return td.func("running_maximum", [X], [fall])


def recurrent_network(T=3, N=2, H=3):
    X = td.placeholder((T, N), "float32", name="X")
    U = td.placeholder((H, N), "float32", name="U")
    W = td.placeholder((H, H), "float32", name="W")
    n = td.reduce_axis(N, name="n")
    P = td.compute((T, H), lambda t, h: td.sum(U[h, n] * X[t, n], axis=n), name="P")
    t = td.scan_axis(T, name="t")
    k = td.reduce_axis(H, name="k")

    def step(t, prev):
        Z = td.compute((H,), lambda h: td.sum(W[h, k] * prev["h"][k], axis=k), name="Z")
        return {"h": lambda h: td.tanh(Z[h] + P[t, h])}

    R = td.scan(t, {"h": ((H,), 0.0)}, step, name="R")
    states = R["h"]
    return td.func("recurrent_network", [X, U, W], [states])


def viterbi(T=4, S=3):
    E = td.placeholder((T, S), "int32", name="E")
    A = td.placeholder((S, S), "int32", name="A")
    t = td.scan_axis(T, name="t")
    k = td.reduce_axis(S, name="k")
    b = td.reduce_axis(S, name="b")

    def step(t, prev):
        top = td.compute((S,), lambda s: td.max(prev["v"][k] + A[k, s], axis=k), name="top")
        come = td.compute((S,), lambda s: td.argmax(prev["v"][b] + A[b, s], axis=b), name="come")
        return {"v": lambda s: top[s] + E[t, s], "p": lambda s: come[s]}

    V = td.scan(
        t, {"v": ((S,), td.cast(0, "int32")), "p": ((S,), td.cast(-1, "int64"))}, step, name="V"
    )
    score, path = V["v"], V["p"]
    return td.func("viterbi", [E, A], [score, path])


def jacobi_in_time(T=4, N=6):
    X = td.placeholder((N,), "float32", name="X")
    t = td.scan_axis(T, name="t")

    def step(t, prev):
        u = prev["u"]
        return {
            "u": lambda i: (u[td.maximum(i - 1, 0)] + u[i] + u[td.minimum(i + 1, N - 1)]) * 0.25
        }

    J = td.scan(t, {"u": ((N,), X)}, step, name="J")
    every = J["u"]
    return td.func("jacobi_in_time", [X], [every], assume=["N >= 1"])


def heat_on_a_plate(T=2, H=3, W=4):
    X = td.placeholder((H, W), "int32", name="X")
    t = td.scan_axis(T, name="t")

    def step(t, prev):
        u = prev["u"]
        return {
            "u": lambda i, j: u[i, j] + u[td.maximum(i - 1, 0), j] + u[i, td.minimum(j + 1, W - 1)]
        }

    S = td.scan(t, {"u": ((H, W), X)}, step, name="S")
    every = S["u"]
    return td.func("heat_on_a_plate", [X], [every], assume=["H >= 1", "W >= 1"])


def wave_in_time(T=4, N=5):
    X = td.placeholder((N,), "int32", name="X")
    t = td.scan_axis(T, name="t")
    S = td.scan(
        t,
        {"now": ((N,), X), "old": ((N,), X)},
        lambda t, prev: {
            "now": lambda i: (
                prev["now"][td.maximum(i - 1, 0)]
                + prev["now"][td.minimum(i + 1, N - 1)]
                - prev["old"][i]
            ),
            "old": lambda i: prev["now"][i],
        },
        name="S",
    )
    now, old = S["now"], S["old"]
    Y = td.compute((T, N), lambda i, j: now[i, j] - old[i, j], name="Y")
    return td.func("wave_in_time", [X], [Y], assume=["N >= 1"])


def floyd_warshall(N=4):
    D = td.placeholder((N, N), "int32", name="D")
    k, i, j = (td.reduce_axis(N, name=name) for name in "kij")
    P = td.update(
        D, over=(k, i, j), at=(i, j),
        value=lambda cur: td.minimum(cur[i, j], cur[i, k] + cur[k, j]), op="set", name="P",
    )  # fmt: skip
    return td.func("floyd_warshall", [D], [P])


def forward_substitution(N=5):
    L = td.placeholder((N, N), "int32", name="L")
    b = td.placeholder((N,), "int32", name="b")
    i, k = td.reduce_axis(N, name="i"), td.reduce_axis(N, name="k")
    x = td.update(
        b, over=(i, k), at=i,
        value=lambda cur: td.select(k < i, cur[i] - L[i, k] * cur[k], cur[i]), op="set", name="x",
    )  # fmt: skip
    return td.func("forward_substitution", [L, b], [x])


def gauss_seidel(T=3, N=5):
    X = td.placeholder((N + 2,), "int32", name="X")
    t, i = td.reduce_axis(T, name="t"), td.reduce_axis(N, name="i")
    Y = td.update(
        X, over=(t, i), at=i + 1, value=lambda cur: (cur[i] + cur[i + 2]) // 2, op="set", name="Y"
    )
    return td.func("gauss_seidel", [X], [Y])


def edit_distance(N=4, M=4):
    a = td.placeholder((N,), "uint8", name="a")
    b = td.placeholder((M,), "uint8", name="b")
    start = td.compute(
        (N + 1, M + 1), lambda i, j: td.cast(td.maximum(i, j), "int32"), name="start"
    )
    i, j = td.reduce_axis(N, name="i"), td.reduce_axis(M, name="j")
    D = td.update(
        start, over=(i, j), at=(i + 1, j + 1),
        value=lambda cur: td.minimum(
            td.minimum(cur[i, j + 1], cur[i + 1, j]) + 1,
            cur[i, j] + td.select(a[i] % 2 == b[j] % 2, td.cast(0, "int32"), 1),
        ),
        op="set", name="D",
    )  # fmt: skip
    return td.func("edit_distance", [a, b], [D])


def rank_one_update(M=4, N=4):
    A = td.inout(td.placeholder((M, N), "int32", name="A"))
    x = td.placeholder((M,), "int32", name="x")
    y = td.placeholder((N,), "int32", name="y")
    i, j = td.reduce_axis(M, name="i"), td.reduce_axis(N, name="j")
    U = td.update(A, over=(i, j), at=(i, j), value=x[i] * y[j], op="add", name="U")
    return td.func("rank_one_update", [A, x, y], [U])
