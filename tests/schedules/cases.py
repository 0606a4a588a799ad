"""Random cases of every operator: a function of a random generator that gives a `Case`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import tdsl as td
from tdsl import schedules as ops
from tests.schedules import oracles

DIMS = [1, 1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 24, 31, 32, 33, 48, 64, 67, 100]


@dataclass
class Case:
    func: td.Func
    arrays: list
    want: object
    tolerance: float = 2e-5
    about: str = ""


CASES: dict[str, Callable] = {}


def case(make):
    CASES[make.__name__] = make
    return make


class Draw:
    """Random sizes, arrays and tensors."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.inputs, self.arrays = [], []

    def dim(self, most=100):
        return int(self.rng.choice([d for d in DIMS if d <= most]))

    def shape(self, low, high, most=33):
        return tuple(self.dim(most) for _ in range(self.integer(low, high)))

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def flag(self):
        return bool(self.rng.integers(2))

    def pick(self, *values):
        return values[self.integer(0, len(values) - 1)]

    def tensor(self, shape, dtype="float32", low=None, high=None):
        if dtype == "bool":
            array = self.rng.integers(0, 2, shape).astype(bool)
        elif low is not None and np.issubdtype(np.dtype(dtype), np.integer):
            array = self.rng.integers(low, high, shape).astype(dtype)
        elif low is not None:
            array = self.rng.uniform(low, high, shape).astype(dtype)
        elif np.issubdtype(np.dtype(dtype), np.integer):
            array = self.rng.integers(-20, 20, shape).astype(dtype)
        else:
            array = self.rng.standard_normal(shape).astype(dtype)
        made = td.placeholder(shape, dtype, name=f"in{len(self.inputs)}")
        self.inputs.append(made)
        self.arrays.append(array)
        return made, array

    def done(self, out, want, tolerance=2e-5, about=""):
        outs = out if isinstance(out, (tuple, list)) else [out]
        func = td.func("operator", self.inputs, outs)
        return Case(func, self.arrays, want, tolerance, about)

    def broadcast_pair(self, dtype="float32", **limits):
        shape = self.shape(0, 4)
        cut = self.integer(0, len(shape))
        other = tuple(1 if self.flag() else d for d in shape[cut:])
        first, second = (shape, other) if self.flag() else (other, shape)
        return self.tensor(first, dtype, **limits), self.tensor(second, dtype, **limits)


BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide,
    "minimum": np.minimum, "maximum": np.maximum, "equal": np.equal, "not_equal": np.not_equal,
    "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal,
}  # fmt: skip


@case
def binary(d):
    name = d.pick(*BINARY)
    (a, x), (b, y) = d.broadcast_pair()
    return d.done(getattr(ops, name)(a, b), BINARY[name](x, y), about=name)


@case
def integer_binary(d):
    (a, x), (b, y) = d.broadcast_pair(d.pick("int32", "int64", "int8"), low=-9, high=9)
    y[y == 0] = 3
    name = d.pick("divide", "remainder", "truncated", "bitwise_and", "bitwise_or", "bitwise_xor")
    if name == "divide":
        return d.done(ops.divide(a, b), np.trunc(x / y).astype(x.dtype), about=name)
    if name == "remainder":
        return d.done(ops.remainder(a, b), x % y, about=name)
    if name == "truncated":
        return d.done(ops.remainder(a, b, truncated=True), np.fmod(x, y), about=name)
    return d.done(getattr(ops, name)(a, b), getattr(np, name)(x, y), about=name)


@case
def float_power_and_remainder(d):
    (a, x), (b, y) = d.broadcast_pair(low=0.2, high=3.0)
    if d.flag():
        return d.done(ops.power(a, b), x**y, 1e-5)
    return d.done(ops.remainder(a, b), np.mod(x, y))


UNARY = {
    "negate": np.negative, "absolute": np.abs, "sign": np.sign, "identity": lambda x: x,
    "dropout": lambda x: x,
}  # fmt: skip


@case
def unary(d):
    name = d.pick(*UNARY)
    a, x = d.tensor(d.shape(0, 4))
    return d.done(getattr(ops, name)(a), UNARY[name](x), about=name)


@case
def maths(d):
    name = d.pick("exp", "log", "sqrt", "sin", "cos", "tanh", "floor", "ceil", "round", "erf")
    a, x = d.tensor(d.shape(0, 3), low=0.1, high=4)
    function = oracles.erf if name == "erf" else getattr(np, name)
    return d.done(ops.maths(getattr(td, name), a), function(x), about=name)


@case
def reciprocal_and_clip(d):
    a, x = d.tensor(d.shape(1, 3), low=0.3, high=2)
    if d.flag():
        return d.done(ops.reciprocal(a), 1 / x)
    return d.done(ops.clip(a, 0.5, 1.5), np.clip(x, 0.5, 1.5))


@case
def invert(d):
    a, x = d.tensor(d.shape(1, 3), d.pick("bool", "int32"))
    return d.done(ops.invert(a), ~x)


@case
def cast(d):
    a, x = d.tensor(d.shape(1, 3), d.pick("float32", "int32", "int8", "float64"), -99, 99)
    to = d.pick("float32", "float64", "int32", "int16", "bool", "float16")
    return d.done(ops.cast(a, to), x.astype(to), 1e-3, about=to)


@case
def where(d):
    (a, x), (b, y) = d.broadcast_pair()
    c, test = d.tensor(np.broadcast_shapes(x.shape, y.shape), "bool")
    return d.done(ops.where(c, a, b), np.where(test, x, y))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "thresholded_relu": lambda x: np.where(x > 1, x, 0),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "celu": lambda x: np.maximum(x, 0) + np.minimum(np.expm1(x), 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh,
    "gelu": lambda x: x * 0.5 * (1 + oracles.erf(x / np.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
}  # fmt: skip


@case
def activation(d):
    name = d.pick(*ACTIVATIONS)
    a, x = d.tensor(d.shape(1, 4))
    return d.done(getattr(ops, name)(a), ACTIVATIONS[name](x * np.float64(1)), about=name)


@case
def gelu_by_tanh(d):
    a, x = d.tensor(d.shape(1, 2))
    want = x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return d.done(ops.gelu(a, "tanh"), want)


@case
def prelu(d):
    a, x = d.tensor((d.dim(5), d.dim(17), d.dim(17)))
    b, y = d.tensor((x.shape[1], 1))
    return d.done(ops.prelu(a, b), np.where(x < 0, x * y, x))


@case
def matmul(d):
    m, n, k = d.dim(), d.dim(), d.dim()
    batch = d.shape(0, 2, 5)
    one = tuple(1 if d.flag() else b for b in batch[d.integer(0, len(batch)) :])
    left, right = (batch, one) if d.flag() else (one, batch)
    dtype = d.pick("float32", "float32", "float64", "int32")
    a, x = d.tensor((k,) if d.integer(0, 7) == 0 else (*left, m, k), dtype)
    b, y = d.tensor((k,) if d.integer(0, 7) == 0 else (*right, k, n), dtype)
    return d.done(ops.matmul(a, b), x @ y, 1e-4, about=dtype)


@case
def half_matmul(d):
    m, n, k = d.dim(), d.dim(), d.dim()
    a, x = d.tensor((m, k), "float16")
    b, y = d.tensor((k, n), "float16")
    return d.done(ops.matmul(a, b), (x.astype("f") @ y.astype("f")).astype("float16"), 4e-3)


@case
def gemm(d):
    m, n, k = d.dim(), d.dim(), d.dim()
    ta, tb = d.flag(), d.flag()
    a, x = d.tensor((k, m) if ta else (m, k))
    b, y = d.tensor((n, k) if tb else (k, n))
    alpha, beta = d.pick(1.0, 0.5), d.pick(1.0, 2.0)
    want = alpha * (x.T if ta else x) @ (y.T if tb else y)
    c = None
    if d.flag():
        c, z = d.tensor(d.pick((), (n,), (m, 1), (m, n)))
        want = want + beta * z
    out = ops.gemm(a, b, c, alpha=alpha, beta=beta, transpose_a=ta, transpose_b=tb)
    return d.done(out, want, 1e-4)


@case
def dense_layer(d):
    shape = (*d.shape(0, 2, 17), d.dim())
    a, x = d.tensor(shape)
    w, y = d.tensor((d.dim(), shape[-1]))
    b, z = d.tensor((y.shape[0],)) if d.flag() else (None, 0)
    out = ops.dense(a, w, b)
    if d.flag():
        return d.done(ops.relu(out), np.maximum(x @ y.T + z, 0), 1e-4)
    return d.done(out, x @ y.T + z, 1e-4)


def spatial(d, rank, least=1):
    return tuple(max(least, d.dim(24 if rank < 3 else 8)) for _ in range(rank))


@case
def conv(d):
    rank = d.pick(1, 2, 2, 2, 3)
    groups = d.pick(1, 1, 1, 2, 4)
    depth, each = d.dim(8 if rank > 2 else 17), d.dim(17)
    kernel = tuple(d.integer(1, 4) for _ in range(rank))
    stride = tuple(d.integer(1, 3) for _ in range(rank))
    dilation = tuple(d.integer(1, 2) for _ in range(rank))
    before = tuple(d.integer(0, k // 2) for k in kernel)
    after = tuple(d.integer(0, k // 2) for k in kernel)
    reach = max(e * (k - 1) + 1 for k, e in zip(kernel, dilation, strict=True))
    a, x = d.tensor((d.integer(1, 2), depth * groups, *spatial(d, rank, reach)))
    w, y = d.tensor((each * groups, depth, *kernel))
    b, z = d.tensor((each * groups,)) if d.flag() else (None, None)
    out = ops.conv(a, w, b, stride=stride, pad=(*before, *after), dilation=dilation, groups=groups)
    want = oracles.conv(x, y, z, stride, before, after, dilation, groups)
    if d.flag():
        out, want = ops.relu(out), np.maximum(want, 0)
    return d.done(out, want, 1e-4)


@case
def pointwise_conv(d):
    a, x = d.tensor((d.integer(1, 2), d.dim(64), *spatial(d, 2)))
    w, y = d.tensor((d.dim(64), x.shape[1], 1, 1))
    stride = (d.integer(1, 2),) * 2
    want = oracles.conv(x, y, None, stride, (0, 0), (0, 0), (1, 1), 1)
    return d.done(ops.conv(a, w, stride=stride), want, 1e-4)


@case
def depthwise_conv(d):
    k, stride, dilation = d.integer(1, 5), d.integer(1, 2), d.integer(1, 2)
    reach = dilation * (k - 1) + 1
    a, x = d.tensor((d.integer(1, 2), d.dim(33), *(max(n, reach) for n in spatial(d, 2))))
    w, y = d.tensor((x.shape[1], 1, k, k))
    b, z = d.tensor((x.shape[1],)) if d.flag() else (None, None)
    pads = (k // 2, k // 2)
    want = oracles.conv(x, y, z, (stride,) * 2, pads, pads, (dilation,) * 2, x.shape[1])
    out = ops.conv(a, w, b, stride=stride, pad=pads, dilation=dilation, groups=x.shape[1])
    return d.done(ops.relu6(out), np.clip(want, 0, 6), 1e-4)


@case
def conv_transpose(d):
    rank, groups = d.pick(1, 2), d.pick(1, 1, 2)
    depth, each = d.dim(8), d.dim(8)
    kernel = tuple(d.integer(1, 4) for _ in range(rank))
    stride = tuple(d.integer(1, 3) for _ in range(rank))
    dilation = tuple(d.integer(1, 2) for _ in range(rank))
    pads = tuple(d.integer(0, (k - 1) // 2) for k in kernel)
    extra = tuple(d.integer(0, s - 1) for s in stride)
    a, x = d.tensor((d.integer(1, 2), depth * groups, *(d.integer(2, 7) for _ in range(rank))))
    w, y = d.tensor((depth * groups, each, *kernel))
    b, z = d.tensor((each * groups,)) if d.flag() else (None, None)
    out = ops.conv_transpose(
        a, w, b, stride=stride, pad=pads, output_pad=extra, dilation=dilation, groups=groups
    )
    want = oracles.conv_transpose(x, y, z, stride, pads, pads, extra, dilation, groups)
    return d.done(out, want, 1e-4)


@case
def pooling(d):
    rank = d.pick(1, 2, 2, 3)
    kernel = tuple(d.integer(1, 4) for _ in range(rank))
    stride = tuple(d.integer(1, 3) for _ in range(rank))
    before = tuple(d.integer(0, k - 1) for k in kernel)
    after = tuple(d.integer(0, k - 1) for k in kernel)
    a, x = d.tensor((d.integer(1, 2), d.dim(17), *spatial(d, rank, 4)))
    ones = (1,) * rank
    inner = tuple(range(-rank, 0))
    pads = (*before, *after)
    if d.flag():
        view = oracles.windows(x, kernel, stride, ones, before, after, -np.inf)
        return d.done(ops.max_pool(a, kernel, stride=stride, pad=pads), view.max(inner))
    counted = d.flag()
    view = oracles.windows(x.astype("d"), kernel, stride, ones, before, after, 0)
    weight = oracles.windows(np.ones_like(x), kernel, stride, ones, before, after, int(counted))
    want = view.sum(inner) / np.maximum(weight.sum(inner), 1)
    out = ops.average_pool(a, kernel, stride=stride, pad=pads, count_padding=counted)
    want = np.where(weight.sum(inner) > 0, want, np.nan)
    return d.done(out, want)


@case
def global_pooling(d):
    a, x = d.tensor((d.integer(1, 3), d.dim(64), *spatial(d, 2)))
    if d.flag():
        return d.done(ops.global_average_pool(a), x.mean((2, 3), keepdims=True))
    return d.done(ops.global_max_pool(a), x.max((2, 3), keepdims=True))


@case
def softmax(d):
    a, x = d.tensor((*d.shape(0, 2, 17), d.dim(), *d.shape(0, 1, 33)))
    axis = d.integer(-x.ndim, x.ndim - 1)
    if d.flag():
        return d.done(ops.softmax(a, axis), oracles.softmax(x, axis))
    return d.done(ops.log_softmax(a, axis), np.log(oracles.softmax(x, axis)))


@case
def layer_norm(d):
    a, x = d.tensor((*d.shape(0, 2, 17), d.dim(), d.dim()))
    axis = d.pick(-1, -2)
    g, scale = d.tensor(x.shape[axis:]) if d.flag() else (None, 1)
    b, bias = d.tensor(x.shape[axis:]) if d.flag() else (None, 0)
    want = oracles.normalise(x, tuple(range(axis, 0))) * scale + bias
    return d.done(ops.layer_norm(a, g, b, axis=axis), want, 1e-4)


@case
def rms_norm(d):
    a, x = d.tensor((*d.shape(1, 2, 17), d.dim()))
    g, scale = d.tensor(x.shape[-1:])
    root = np.sqrt((x.astype("d") ** 2).mean(-1, keepdims=True) + 1e-5)
    return d.done(ops.rms_norm(a, g), x / root * scale, 1e-4)


@case
def channel_norms(d):
    groups = d.pick(1, 2, 4)
    a, x = d.tensor((d.integer(1, 3), groups * d.dim(8), *spatial(d, d.pick(1, 2), 2)))
    c = x.shape[1]
    g, scale = d.tensor((c,))
    b, bias = d.tensor((c,))
    wide = (1, c, *[1] * (x.ndim - 2))
    kind = d.pick("instance", "group", "training")
    if kind == "instance":
        out, normal = ops.instance_norm(a, g, b), oracles.normalise(x, tuple(range(2, x.ndim)))
    elif kind == "group":
        out = ops.group_norm(a, groups, g, b)
        parts = x.reshape(x.shape[0], groups, -1)
        normal = oracles.normalise(parts, 2).reshape(x.shape)
    else:
        out = ops.batch_norm_training(a, g, b)
        normal = oracles.normalise(x, (0, *range(2, x.ndim)))
    return d.done(out, normal * scale.reshape(wide) + bias.reshape(wide), 1e-3, about=kind)


@case
def batch_norm(d):
    a, x = d.tensor((d.integer(1, 3), d.dim(33), *spatial(d, 2)))
    vectors = [d.tensor((x.shape[1],), low=0.3, high=2) for _ in range(4)]
    scale, bias, mean, variance = (v[1].reshape(1, -1, 1, 1) for v in vectors)
    want = (x - mean) / np.sqrt(variance + 1e-5) * scale + bias
    return d.done(ops.batch_norm(a, *(v[0] for v in vectors)), want, 1e-4)


@case
def local_response_norm(d):
    size = d.pick(1, 3, 5)
    a, x = d.tensor((1, d.dim(17), *spatial(d, 2)))
    low, c = (size - 1) // 2, x.shape[1]
    squares = np.stack([(x[:, max(0, i - low) : i - low + size] ** 2).sum(1) for i in range(c)], 1)
    want = x / (1 + 1e-4 / size * squares) ** 0.75
    return d.done(ops.local_response_norm(a, size), want)


@case
def attention(d):
    batch = d.shape(0, 2, 4)
    queries, keys, depth, width = d.dim(48), d.dim(48), d.dim(33), d.dim(33)
    causal = d.flag()
    keys = max(keys, queries) if causal else keys
    q, x = d.tensor((*batch, queries, depth))
    k, y = d.tensor((*batch, keys, depth))
    v, z = d.tensor((*batch, keys, width))
    bias = mask = None
    if d.flag() and not causal:
        shape = d.pick((queries, keys), (keys,), (1, keys))
        if d.flag():
            bias, mask = d.tensor(shape)
        else:
            bias, mask = d.tensor(shape, "bool")
            mask[..., 0] = True
    out = ops.attention(q, k, v, bias, causal=causal)
    return d.done(out, oracles.attention(x, y, z, mask, None, causal=causal), 1e-4)
