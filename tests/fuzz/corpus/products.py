"""Products of matrices and their kin."""

from __future__ import annotations

import tdsl as td


def matmul(M=4, N=5, K=6):
    A = td.placeholder((M, K), "float32", name="A")
    B = td.placeholder((K, N), "float32", name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    return td.func("matmul", [A, B], [C])


def batched_matmul(B=2, M=3, N=4, K=3):
    X = td.placeholder((B, M, K), "int32", name="X")
    Y = td.placeholder((B, K, N), "int32", name="Y")
    k = td.reduce_axis(K, name="k")
    Z = td.compute((B, M, N), lambda b, i, j: td.sum(X[b, i, k] * Y[b, k, j], axis=k), name="Z")
    return td.func("batched_matmul", [X, Y], [Z])


def matmul_bias_relu(M=4, N=5, K=3):
    A = td.placeholder((M, K), "float32", name="A")
    B = td.placeholder((K, N), "float32", name="B")
    bias = td.placeholder((N,), "float32", name="bias")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    D = td.compute((M, N), lambda i, j: td.maximum(C[i, j] + bias[j], 0.0), name="D")
    return td.func("matmul_bias_relu", [A, B, bias], [D])


def quantized_matmul(M=4, N=4, K=5):
    A = td.placeholder((M, K), "int8", name="A")
    B = td.placeholder((N, K), "int8", name="B")
    bias = td.placeholder((N,), "int32", name="bias")
    k = td.reduce_axis(K, name="k")
    C = td.compute(
        (M, N),
        lambda i, j: td.sum(td.cast(A[i, k], "int32") * td.cast(B[j, k], "int32"), axis=k),
        name="C",
    )
    Q = td.compute(
        (M, N),
        lambda i, j: td.saturating_cast(td.rounding_shift_right(C[i, j] + bias[j], 7), "int8"),
        name="Q",
    )
    return td.func("quantized_matmul", [A, B, bias], [Q])


def bfloat16_matmul(M=4, N=4, K=4):
    A = td.placeholder((M, K), "bfloat16", name="A")
    B = td.placeholder((K, N), "bfloat16", name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute(
        (M, N),
        lambda i, j: td.sum(td.cast(A[i, k], "float32") * td.cast(B[k, j], "float32"), axis=k),
        name="C",
    )
    D = td.compute((M, N), lambda i, j: td.cast(C[i, j], "bfloat16"), name="D")
    return td.func("bfloat16_matmul", [A, B], [D])


def triangular_matmul(N=4, M=4):
    L = td.placeholder((N, N), "float64", name="L")
    B = td.placeholder((N, M), "float64", name="B")
    k = td.reduce_axis(N, name="k")
    C = td.compute((N, M), lambda i, j: td.sum(L[i, k] * B[k, j], axis=k, where=k <= i), name="C")
    return td.func("triangular_matmul", [L, B], [C])


def gram_of_a_triangle(N=5, K=4):
    A = td.placeholder((N, K), "int64", name="A")
    k = td.reduce_axis(K, name="k")
    G = td.compute((N, N), lambda i, j: td.sum(A[i, k] * A[j, k], axis=k, where=j <= i), name="G")
    S = td.compute((N, N), lambda i, j: td.select(j <= i, G[i, j], G[j, i]), name="S")
    return td.func("gram_of_a_triangle", [A], [S])


def banded_matvec(N=7):
    A = td.placeholder((N, N), "int32", name="A")
    x = td.placeholder((N,), "int32", name="x")
    k = td.reduce_axis(N, name="k")
    y = td.compute(
        (N,),
        lambda i: td.sum(A[i, k] * x[k], axis=k, where=(k >= i - 1) & (k <= i + 1)),
        name="y",
    )
    return td.func("banded_matvec", [A, x], [y])


def band_by_diagonals(N=6):
    D = td.placeholder((N, 3), "float32", name="D")
    x = td.placeholder((N + 2,), "float32", name="x")
    d = td.reduce_axis(3, name="d")
    y = td.compute((N,), lambda i: td.sum(D[i, d] * x[i + d], axis=d), name="y")
    z = td.compute((N,), lambda i: y[i] - D[i, 1], name="z")
    return td.func("band_by_diagonals", [D, x], [z])


def chain_of_three(I=3, J=3, K=3, L=4):
    A = td.placeholder((I, J), "int32", name="A")
    B = td.placeholder((J, K), "int32", name="B")
    C = td.placeholder((K, L), "int32", name="C")
    D = td.einsum("ij,jk,kl->il", A, B, C, name="D")
    return td.func("chain_of_three", [A, B, C], [D])


def perceptron(B=3, N=3, H=4, O=2):
    X = td.placeholder((B, N), "float32", name="X")
    V = td.placeholder((N, H), "float32", name="V")
    W = td.placeholder((H, O), "float32", name="W")
    k = td.reduce_axis(N, name="k")
    P = td.compute((B, H), lambda b, h: td.sum(X[b, k] * V[k, h], axis=k), name="P")
    R = td.compute((B, H), lambda b, h: td.maximum(P[b, h], 0.0), name="R")
    h = td.reduce_axis(H, name="h")
    Y = td.compute((B, O), lambda b, o: td.sum(R[b, h] * W[h, o], axis=h), name="Y")
    return td.func("perceptron", [X, V, W], [Y])


def attention(S=4, D=3):
    Q = td.placeholder((S, D), "float32", name="Q")
    K = td.placeholder((S, D), "float32", name="K")
    V = td.placeholder((S, D), "float32", name="V")
    d = td.reduce_axis(D, name="d")
    P = td.compute((S, S), lambda i, j: td.sum(Q[i, d] * K[j, d], axis=d) * 0.5, name="P")
    m = td.reduce_axis(S, name="m")
    top = td.compute((S,), lambda i: td.max(P[i, m], axis=m), name="top")
    E = td.compute((S, S), lambda i, j: td.exp(P[i, j] - top[i]), name="E")
    n = td.reduce_axis(S, name="n")
    total = td.compute((S,), lambda i: td.sum(E[i, n], axis=n), name="total")
    s = td.reduce_axis(S, name="s")
    Y = td.compute((S, D), lambda i, c: td.sum(E[i, s] / total[i] * V[s, c], axis=s), name="Y")
    return td.func("attention", [Q, K, V], [Y])


def complex_product(N=4, M=3):
    ar = td.placeholder((N, M), "float32", name="ar")
    ai = td.placeholder((N, M), "float32", name="ai")
    br = td.placeholder((N, M), "float32", name="br")
    bi = td.placeholder((N, M), "float32", name="bi")
    cr, ci = td.compute(
        (N, M),
        lambda i, j: (
            ar[i, j] * br[i, j] - ai[i, j] * bi[i, j],
            ar[i, j] * bi[i, j] + ai[i, j] * br[i, j],
        ),
        name="c",
    )
    size = td.compute((N, M), lambda i, j: cr[i, j] * cr[i, j] + ci[i, j] * ci[i, j], name="size")
    return td.func("complex_product", [ar, ai, br, bi], [cr, ci, size])
