"""Convolutions, pooling, and chains of stencils over images."""

from __future__ import annotations

import tdsl as td


def conv2d(F=2, C=2, H=3, W=3):
    X = td.placeholder((C, H + 2, W + 2), "float32", name="X")
    K = td.placeholder((F, C, 3, 3), "float32", name="K")
    c = td.reduce_axis(C, name="c")
    u, v = td.reduce_axis(3, name="u"), td.reduce_axis(3, name="v")
    Y = td.compute(
        (F, H, W),
        lambda f, y, x: td.sum(X[c, y + u, x + v] * K[f, c, u, v], axis=(c, u, v)),
        name="Y",
    )
    return td.func("conv2d", [X, K], [Y])


def padded_conv2d(F=2, C=2, H=3, W=3):
    X = td.placeholder((C, H, W), "int32", name="X")
    K = td.placeholder((F, C, 3, 3), "int32", name="K")
    P = td.pad(X, (0, 1, 1), (0, 1, 1), name="P")
    c = td.reduce_axis(C, name="c")
    u, v = td.reduce_axis(3, name="u"), td.reduce_axis(3, name="v")
    Y = td.compute(
        (F, H, W),
        lambda f, y, x: td.sum(P[c, y + u, x + v] * K[f, c, u, v], axis=(c, u, v)),
        name="Y",
    )
    R = td.compute((F, H, W), lambda f, y, x: td.maximum(Y[f, y, x], 0), name="R")
    return td.func("padded_conv2d", [X, K], [R])


def grouped_conv(F=2, C=2, H=2, W=3):
    X = td.placeholder((2, C, H + 1, W + 1), "int32", name="X")
    K = td.placeholder((2, F, C, 2, 2), "int32", name="K")
    c = td.reduce_axis(C, name="c")
    u, v = td.reduce_axis(2, name="u"), td.reduce_axis(2, name="v")
    Y = td.compute(
        (2, F, H, W),
        lambda g, f, y, x: td.sum(X[g, c, y + u, x + v] * K[g, f, c, u, v], axis=(c, u, v)),
        name="Y",
    )
    return td.func("grouped_conv", [X, K], [Y])


def depthwise_conv(C=3, H=3, W=3):
    X = td.placeholder((H + 2, W + 2, C), "float32", name="X")
    K = td.placeholder((3, 3, C), "float32", name="K")
    u, v = td.reduce_axis(3, name="u"), td.reduce_axis(3, name="v")
    Y = td.compute(
        (H, W, C), lambda y, x, c: td.sum(X[y + u, x + v, c] * K[u, v, c], axis=(u, v)), name="Y"
    )
    B = td.compute((H, W, C), lambda y, x, c: td.minimum(Y[y, x, c], 6.0), name="B")
    return td.func("depthwise_conv", [X, K], [B])


def strided_dilated_conv(C=2, N=5):
    X = td.placeholder((C, 2 * N + 4), "int32", name="X")
    K = td.placeholder((C, 3), "int32", name="K")
    c, u = td.reduce_axis(C, name="c"), td.reduce_axis(3, name="u")
    Y = td.compute((N,), lambda i: td.sum(X[c, 2 * i + 2 * u] * K[c, u], axis=(c, u)), name="Y")
    return td.func("strided_dilated_conv", [X, K], [Y])


def transposed_conv(N=5):
    X = td.placeholder((N + 1,), "int32", name="X")
    K = td.placeholder((3,), "int32", name="K")
    u = td.reduce_axis(3, name="u")
    Y = td.compute(
        (2 * N,),
        lambda i: td.sum(X[(i + u) // 2] * K[u], axis=u, where=(i + u) % 2 == 0),
        name="Y",
    )
    return td.func("transposed_conv", [X, K], [Y])


def padded_max_pool(C=2, H=2, W=3):
    X = td.placeholder((C, 2 * H, 2 * W), "float32", name="X")
    P = td.pad(X, (0, 1, 1), (0, 1, 1), value=-100.0, name="P")
    u, v = td.reduce_axis(2, name="u"), td.reduce_axis(2, name="v")
    Y = td.compute(
        (C, H + 1, W + 1),
        lambda c, y, x: td.max(P[c, 2 * y + u, 2 * x + v], axis=(u, v)),
        name="Y",
    )
    return td.func("padded_max_pool", [X], [Y])


def average_pool(H=3, W=3):
    X = td.placeholder((3 * H, 2 * W), "uint8", name="X")
    u, v = td.reduce_axis(3, name="u"), td.reduce_axis(2, name="v")
    S = td.compute((H, W), lambda y, x: td.sum(X[3 * y + u, 2 * x + v], axis=(u, v)), name="S")
    Y = td.compute((H, W), lambda y, x: td.cast((S[y, x] + 3) // 6, "uint8"), name="Y")
    return td.func("average_pool", [X], [Y])


def separable_blur(H=4, W=5):
    X = td.placeholder((H + 2, W + 2), "float32", name="X")
    B = td.compute((H + 2, W), lambda y, x: (X[y, x] + X[y, x + 1] + X[y, x + 2]) * 0.25, name="B")
    C = td.compute((H, W), lambda y, x: B[y, x] + B[y + 1, x] + B[y + 2, x], name="C")
    return td.func("separable_blur", [X], [C])


def saturating_blur(H=3, W=5):
    X = td.placeholder((H + 2, W), "uint8", name="X")
    G = td.placeholder((3,), "uint8", name="G")
    u = td.reduce_axis(3, name="u")
    B = td.compute(
        (H, W),
        lambda y, x: td.sum(td.widening_mul(X[y + u, x], G[u]), axis=u, dtype="uint32"),
        name="B",
    )
    Y = td.compute((H, W), lambda y, x: td.saturating_cast(B[y, x] >> 6, "uint8"), name="Y")
    Z = td.compute((H, W), lambda y, x: td.saturating_add(Y[y, x], X[y + 1, x]), name="Z")
    return td.func("saturating_blur", [X, G], [Z])


def unsharp_mask(H=3, W=4):
    X = td.placeholder((H, W), "float32", name="X")
    P = td.pad(X, 1, 1, mode="edge", name="P")
    B = td.compute(
        (H, W),
        lambda y, x: (
            (P[y, x + 1] + P[y + 2, x + 1] + P[y + 1, x] + P[y + 1, x + 2] + P[y + 1, x + 1]) * 0.2
        ),
        name="B",
    )
    S, D = td.compute(
        (H, W), lambda y, x: (X[y, x] * 2.0 - B[y, x], td.abs(X[y, x] - B[y, x])), name="S"
    )
    return td.func("unsharp_mask", [X], [S, D], assume=["H >= 1", "W >= 1"])


def stencil_chain(N=6):
    X = td.placeholder((N + 8,), "int32", name="X")
    A = td.compute((N + 6,), lambda i: X[i] + 2 * X[i + 1] + X[i + 2], name="A")
    B = td.compute((N + 4,), lambda i: td.maximum(A[i], A[i + 2]) - A[i + 1], name="B")
    C = td.compute((N + 2,), lambda i: B[i] + B[i + 1] // 2 + B[i + 2], name="C")
    D = td.compute((N,), lambda i: C[i] - C[i + 2] + X[i + 4], name="D")
    return td.func("stencil_chain", [X], [D])


def harris_corners(H=3, W=3):
    I = td.placeholder((H + 4, W + 4), "float32", name="I")
    dx = td.compute((H + 2, W + 2), lambda y, x: I[y + 1, x + 2] - I[y + 1, x], name="dx")
    dy = td.compute((H + 2, W + 2), lambda y, x: I[y + 2, x + 1] - I[y, x + 1], name="dy")
    u, v = td.reduce_axis(3, name="u"), td.reduce_axis(3, name="v")
    xx = td.compute(
        (H, W), lambda y, x: td.sum(dx[y + u, x + v] * dx[y + u, x + v], axis=(u, v)), name="xx"
    )
    r, s = td.reduce_axis(3, name="r"), td.reduce_axis(3, name="s")
    xy = td.compute(
        (H, W), lambda y, x: td.sum(dx[y + r, x + s] * dy[y + r, x + s], axis=(r, s)), name="xy"
    )
    R = td.compute((H, W), lambda y, x: xx[y, x] * 0.5 - xy[y, x] * xy[y, x], name="R")
    return td.func("harris_corners", [I], [R])


def pyramid(N=3, C=2):
    X = td.placeholder((4 * N + 4, C), "int32", name="X")
    A = td.compute(
        (2 * N + 1, C), lambda i, c: (X[2 * i, c] + 2 * X[2 * i + 1, c] + X[2 * i + 2, c]) // 4,
        name="A",
    )  # fmt: skip
    B = td.compute((N, C), lambda i, c: (A[2 * i, c] + A[2 * i + 1, c]) // 2, name="B")
    U = td.compute((2 * N, C), lambda i, c: B[i // 2, c], name="U")
    L = td.compute((2 * N, C), lambda i, c: A[i, c] - U[i, c], name="L")
    return td.func("pyramid", [X], [B, L])


def bilateral_grid(N=8):
    X = td.placeholder((N,), "uint8", name="X")
    zero = td.compute((N + 2, 6), lambda i, z: td.cast(0, "int32"), name="zero")
    r = td.reduce_axis(N, name="r")
    grid = td.update(
        zero, over=r, at=(r // 2 + 1, td.cast(X[r], "int32") // 64 + 1),
        value=td.cast(X[r], "int32"), op="add", name="grid",
    )  # fmt: skip
    blurred = td.compute(
        (N, 4),
        lambda i, z: grid[i, z + 1] + 2 * grid[i + 1, z + 1] + grid[i + 2, z + 1] + grid[i + 1, z],
        name="blurred",
    )
    Y = td.compute((N,), lambda i: blurred[i // 2, td.cast(X[i], "int32") // 64], name="Y")
    return td.func("bilateral_grid", [X], [Y])


def erosion_of_a_mask(H=4, W=4):
    X = td.placeholder((H + 2, W + 2), "uint8", name="X")
    M = td.compute((H + 2, W + 2), lambda y, x: X[y, x] > 60, name="M")
    u, v = td.reduce_axis(3, name="u"), td.reduce_axis(3, name="v")
    E = td.compute((H, W), lambda y, x: td.all(M[y + u, x + v], axis=(u, v)), name="E")
    edge = td.compute((H, W), lambda y, x: M[y + 1, x + 1] & ~E[y, x], name="edge")
    return td.func("erosion_of_a_mask", [X], [edge, E])
