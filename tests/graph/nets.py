"""Small nets of the shapes that whole models have."""

import numpy as np

from tests.graph.onnx_models import ModelBuilder


def residual_net(batch=1):
    """Convolutions with batch normalisation, a residual, depthwise and grouped ones, pooling."""
    b = ModelBuilder()

    def block(x, w, **attributes):
        channels = int(b.constants[int(w[1:])].dims[0])
        y = b.op("Conv", x, w, **attributes)
        norms = [b.random.uniform(0.5, 1.5, channels).astype(np.float32) for _ in range(2)]
        shifts = [b.random.normal(0, 0.1, channels).astype(np.float32) for _ in range(2)]
        scale, bias, mean, variance = norms[0], shifts[0], shifts[1], norms[1]
        return b.op(
            "BatchNormalization", y, *(b.constant(a) for a in (scale, bias, mean, variance))
        )

    x = b.op("Relu", block("x", b.weight(8, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]))
    x = b.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    y = b.op("Relu", block(x, b.weight(8, 1, 3, 3), group=8, pads=[1, 1, 1, 1]))
    y = block(y, b.weight(8, 8, 1, 1))
    x = b.op("Relu", b.op("Add", x, y))
    y = block(x, b.weight(16, 4, 3, 3), group=2, dilations=[2, 2], pads=[2, 2, 2, 2])
    y = b.op("Clip", y, b.constant(np.float32(0)), b.constant(np.float32(6)))
    x = b.op("Flatten", b.op("GlobalAveragePool", y))
    x = b.op("Gemm", x, b.weight(10, 16), b.weight(10), transB=1)
    inputs = {"x": ("float32", [batch, 3, 32, 32])}
    return b.model(inputs, [x], opset=13), inputs


def encoder(length=12, width=16, heads=2):
    """One layer of a transformer, normalisation and gelu written out as exporters do."""
    b = ModelBuilder()
    depth = width // heads

    def number(value):
        return b.constant(np.float32(value))

    def linear(x, rows, columns):
        return b.op("Add", b.op("MatMul", x, b.weight(rows, columns)), b.weight(columns))

    def normalised(x):
        centred = b.op("Sub", x, b.op("ReduceMean", x, axes=[-1], keepdims=1))
        square = b.op("Pow", centred, number(2))
        variance = b.op("ReduceMean", square, axes=[-1], keepdims=1)
        y = b.op("Div", centred, b.op("Sqrt", b.op("Add", variance, number(1e-5))))
        return b.op("Add", b.op("Mul", y, b.weight(width)), b.weight(width))

    def split(x, order):
        shape = b.constant(np.array([0, 0, heads, depth]))
        return b.op("Transpose", b.op("Reshape", x, shape), perm=order)

    emb = b.op("Gather", b.weight(50, width), "ids")
    x = normalised(b.op("Add", emb, b.weight(1, length, width)))
    q = split(linear(x, width, width), [0, 2, 1, 3])
    k = split(linear(x, width, width), [0, 2, 3, 1])
    v = split(linear(x, width, width), [0, 2, 1, 3])
    scores = b.op("Div", b.op("MatMul", q, k), number(np.sqrt(depth)))
    mixed = b.op("MatMul", b.op("Softmax", scores, axis=-1), v)
    mixed = b.op("Transpose", mixed, perm=[0, 2, 1, 3])
    mixed = b.op("Reshape", mixed, b.constant(np.array([0, 0, width])))
    x = normalised(b.op("Add", linear(mixed, width, width), x))
    y = linear(x, width, 4 * width)
    erf = b.op("Erf", b.op("Div", y, number(np.sqrt(2))))
    y = b.op("Mul", b.op("Mul", y, b.op("Add", erf, number(1))), number(0.5))
    x = normalised(b.op("Add", linear(y, 4 * width, width), x))
    inputs = {"ids": ("int64", ["batch", length])}
    return b.model(inputs, [x], opset=13), inputs
