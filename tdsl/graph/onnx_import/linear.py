"""Converters: matrix products."""

from __future__ import annotations

import numpy as np

from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.linear import Einsum


@operator("MatMul")
def matmul(call: Call) -> Value:
    """numpy's matmul: vectors are rows or columns whose extent 1 is dropped."""
    a, b, g = call[0], call[1], call.graph
    left, right = len(a.shape) == 1, len(b.shape) == 1
    made = g.matmul(
        g.reshape(a, (1, *a.shape)) if left else a,
        g.reshape(b, (*b.shape, 1)) if right else b,
    )
    shape = list(made.shape)
    if right:
        shape.pop()
    if left:
        shape.pop(-1 if right else -2)
    return g.reshape(made, shape)


@operator("Gemm")
def gemm(call: Call) -> Value:
    """alpha * A @ B + beta * C, of which factors of 1 cost nothing."""
    g = call.graph
    made = g.matmul(
        call[0], call[1],
        transpose_a=bool(call.integer("transA")), transpose_b=bool(call.integer("transB")),
    )  # fmt: skip
    made = _scaled(call, made, call.real("alpha", 1.0))
    if not call.has(2):
        return made
    return g.apply("add", made, _scaled(call, call[2], call.real("beta", 1.0)))


@operator("Einsum")
def einsum(call: Call) -> Value:
    """Sums of products by subscripts."""
    operands = [call[n] for n in range(len(call.operands))]
    return call.graph.one(Einsum(call.text("equation", "")), *operands)


def _scaled(call: Call, value: Value, factor: float) -> Value:
    if factor == 1.0:
        return value
    return call.graph.apply("mul", value, call.scalar(np.float32(factor).item(), value))
