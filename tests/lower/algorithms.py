"""Small algorithms for the tests of lowering, as canonical programs."""

import tdsl as td


def matmul(M=None, N=None, K=None):
    sizes = [td.sizes(n) if e is None else e for n, e in zip("MNK", (M, N, K), strict=True)]
    M, N, K = sizes
    A = td.placeholder((M, K), "float32", name="A")
    B = td.placeholder((K, N), "float32", name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    return td.func("matmul", inputs=[A, B], outputs=[C]).program


def relu_of_sum(N=None, M=None):
    N = td.sizes("N") if N is None else N
    M = td.sizes("M") if M is None else M
    a = td.placeholder((N, M), "float32", name="a")
    b = td.placeholder((N, M), "float32", name="b")
    y = td.compute((N, M), lambda i, j: td.maximum(a[i, j] + b[i, j], 0.0), name="y")
    return td.func("relu_of_sum", inputs=[a, b], outputs=[y]).program


def blur(N=None):
    """A padded three-point stencil, inlined: the select stands in the reader."""
    N = td.sizes("N") if N is None else N
    x = td.placeholder((N,), "float32", name="x")
    y = td.compute(
        (N,),
        lambda i: td.select(i >= 1, x[i - 1], 0.0) + x[i] + td.select(i < N - 1, x[i + 1], 0.0),
        name="y",
    )
    return td.func("blur", inputs=[x], outputs=[y]).program


def triangular(N=None):
    N = td.sizes("N") if N is None else N
    x = td.placeholder((N, N), "float32", name="x")
    k = td.reduce_axis(N, name="k")
    y = td.compute((N,), lambda i: td.sum(x[i, k], axis=k, where=k <= i), name="y")
    return td.func("triangular", inputs=[x], outputs=[y]).program


def best(N=None, M=None):
    N = td.sizes("N") if N is None else N
    M = td.sizes("M") if M is None else M
    x = td.placeholder((N, M), "float32", name="x")
    k = td.reduce_axis(M, name="k")
    y = td.compute((N,), lambda i: td.argmax(x[i, k], axis=k), name="y")
    return td.func("best", inputs=[x], outputs=[y]).program


def convolution(H=None, W=None):
    """A padded 3 by 3 convolution with the padding as a tensor of its own."""
    H = td.sizes("H") if H is None else H
    W = td.sizes("W") if W is None else W
    x = td.placeholder((H, W), "float32", name="x")
    f = td.placeholder((3, 3), "float32", name="f")
    p = td.pad(x, (1, 1), (1, 1), name="p")
    r, s = td.reduce_axis(3, name="r"), td.reduce_axis(3, name="s")
    y = td.compute((H, W), lambda i, j: td.sum(p[i + r, j + s] * f[r, s], axis=(r, s)), name="y")
    return td.func("convolution", inputs=[x, f], outputs=[y]).program


def histogram(N=None, bins=8):
    N = td.sizes("N") if N is None else N
    x = td.placeholder((N,), "int32", name="x")
    zero = td.compute((bins,), lambda i: td.cast(0, "int32"), name="zero")
    i = td.reduce_axis(N, name="i")
    h = td.update(zero, over=i, at=(x[i],), value=td.cast(1, "int32"), op="add", name="h")
    return td.func("histogram", inputs=[x], outputs=[h]).program


def softmax(N=None, M=None):
    N = td.sizes("N") if N is None else N
    M = td.sizes("M") if M is None else M
    x = td.placeholder((N, M), "float32", name="x")
    k = td.reduce_axis(M, name="k")
    m = td.compute((N,), lambda i: td.max(x[i, k], axis=k), name="m")
    e = td.compute((N, M), lambda i, j: td.exp(x[i, j] - m[i]), name="e")
    s = td.compute((N,), lambda i: td.sum(e[i, k], axis=k), name="s")
    y = td.compute((N, M), lambda i, j: e[i, j] / s[i], name="y")
    return td.func("softmax", inputs=[x], outputs=[y]).program
