"""Operators of given sizes as closed algorithms: what `tdsl tune NAME -s SIZES` names.

Each function takes its sizes in the order of -s and returns a Func of float32 tensors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import tdsl as td
from tdsl import schedules as ops


def _inputs(**shapes: tuple[int, ...]) -> list[td.Tensor]:
    return [td.placeholder(shape, "float32", name=name) for name, shape in shapes.items()]


def _same_pad(window: int) -> int:
    """The padding that keeps an image's size under a window.

    Raises:
        DeclarationError: the window is even, so that there is none.
    """
    if window % 2 == 0:
        raise td.DeclarationError(
            f"a window of {window} x {window} has no middle: R is odd",
            hint=f"R = {window - 1} or {window + 1}",
        )
    return window // 2


def matmul(M: int, N: int, K: int) -> td.Func:
    """C[M, N] = A[M, K] B[K, N]."""
    a, b = _inputs(A=(M, K), B=(K, N))
    return td.func("matmul", [a, b], [ops.matmul(a, b, name="C")])


def batch_matmul(B: int, M: int, N: int, K: int) -> td.Func:
    """C[B, M, N] = X[B, M, K] Y[B, K, N], for each of B."""
    x, y = _inputs(X=(B, M, K), Y=(B, K, N))
    return td.func("batch_matmul", [x, y], [ops.matmul(x, y, name="C")])


def dense(M: int, N: int, K: int) -> td.Func:
    """A dense layer: Y[M, N] = X[M, K] times the transpose of W[N, K], plus a bias of N."""
    x, w, b = _inputs(X=(M, K), W=(N, K), b=(N,))
    return td.func("dense", [x, w, b], [ops.dense(x, w, b, name="Y")])


def dense_relu(M: int, N: int, K: int) -> td.Func:
    """As dense, followed by relu."""
    x, w, b = _inputs(X=(M, K), W=(N, K), b=(N,))
    return td.func("dense_relu", [x, w, b], [ops.relu(ops.dense(x, w, b, name="P"), name="Y")])


def conv2d(N: int, C: int, H: int, W: int, O: int, R: int) -> td.Func:
    """A convolution of N images of C channels, H x W; O outputs, an odd window R x R, stride 1."""
    x, w = _inputs(X=(N, C, H, W), W=(O, C, R, R))
    return td.func("conv2d", [x, w], [ops.conv(x, w, pad=_same_pad(R), name="Y")])


def depthwise_conv2d(N: int, C: int, H: int, W: int, R: int) -> td.Func:
    """A convolution of each of C channels on its own, an odd window R x R, stride 1."""
    x, w = _inputs(X=(N, C, H, W), W=(C, 1, R, R))
    return td.func(
        "depthwise_conv2d", [x, w], [ops.conv(x, w, pad=_same_pad(R), groups=C, name="Y")]
    )


def max_pool2d(N: int, C: int, H: int, W: int, R: int) -> td.Func:
    """The maximum over windows R x R, as far apart as they are wide."""
    (x,) = _inputs(X=(N, C, H, W))
    return td.func("max_pool2d", [x], [ops.max_pool(x, (R, R), stride=R, name="Y")])


def softmax(R: int, C: int) -> td.Func:
    """Softmax of each of R rows of C elements."""
    (x,) = _inputs(X=(R, C))
    return td.func("softmax", [x], [ops.softmax(x, name="Y")])


def layer_norm(R: int, C: int) -> td.Func:
    """Layer normalisation of each of R rows of C elements, with scale and bias."""
    x, scale, bias = _inputs(X=(R, C), scale=(C,), bias=(C,))
    return td.func("layer_norm", [x, scale, bias], [ops.layer_norm(x, scale, bias, name="Y")])


def row_sum(R: int, C: int) -> td.Func:
    """The sum of each of R rows of C elements."""
    (x,) = _inputs(X=(R, C))
    k = td.reduce_axis(C, name="k")
    return td.func("row_sum", [x], [td.compute((R,), lambda i: td.sum(x[i, k], axis=k), name="Y")])


def transpose(R: int, C: int) -> td.Func:
    """The transpose of a matrix of R rows and C columns."""
    (x,) = _inputs(X=(R, C))
    return td.func("transpose", [x], [ops.transpose(x, name="Y")])


def add(N: int) -> td.Func:
    """The sum of two vectors of N elements."""
    a, b = _inputs(A=(N,), B=(N,))
    return td.func("add", [a, b], [ops.add(a, b, name="Y")])


def relu(N: int) -> td.Func:
    """The positive part of N elements."""
    (x,) = _inputs(X=(N,))
    return td.func("relu", [x], [ops.relu(x, name="Y")])


def gelu(N: int) -> td.Func:
    """gelu of N elements."""
    (x,) = _inputs(X=(N,))
    return td.func("gelu", [x], [ops.gelu(x, name="Y")])


def cumulative_sum(R: int, C: int) -> td.Func:
    """Running sums along each of R rows of C elements."""
    (x,) = _inputs(X=(R, C))
    return td.func("cumulative_sum", [x], [ops.cumulative_sum(x, axis=1, name="Y")])


def attention(B: int, H: int, S: int, D: int) -> td.Func:
    """Attention of B sequences, H heads, S positions and D elements a head."""
    q, k, v = _inputs(Q=(B, H, S, D), K=(B, H, S, D), V=(B, H, S, D))
    return td.func("attention", [q, k, v], [ops.attention(q, k, v, name="Y")])


WORKLOADS: dict[str, Callable[..., td.Func]] = {
    function.__name__: function
    for function in (
        matmul,
        batch_matmul,
        dense,
        dense_relu,
        conv2d,
        depthwise_conv2d,
        max_pool2d,
        softmax,
        layer_norm,
        row_sum,
        transpose,
        add,
        relu,
        gelu,
        cumulative_sum,
        attention,
    )
}


def size_names(name: str) -> tuple[str, ...]:
    """What the numbers of -s stand for.

    >>> size_names("matmul")
    ('M', 'N', 'K')
    """
    return tuple(inspect.signature(WORKLOADS[name]).parameters)
