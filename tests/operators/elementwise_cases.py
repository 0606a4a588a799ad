"""Functions of single elements, reductions, casts, and matrix products."""

import numpy as np

from tests.operators.cases import FLOATS, NUMBERS, case

BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
    "less": np.less, "less_equal": np.less_equal, "greater": np.greater, "equal": np.equal,
    "greater_equal": np.greater_equal,
}  # fmt: skip


def _pair(d, dtype, low=-3, high=3):
    shape = d.shape(0, 5, 17)
    cut = d.integer(0, len(shape))
    other = tuple(1 if d.flag(0.3) else n for n in shape[cut:])
    both = [shape, other]
    if d.flag():
        both.reverse()
    return [d.tensor(s, dtype, low, high) for s in both]


@case
def binary(d):
    name, dtype = d.pick(*BINARY), d.pick(*NUMBERS)
    (a, x), (b, y) = _pair(d, dtype)
    return d.done(d.g.apply(name, a, b), BINARY[name](x, y), about=name)


@case
def division(d):
    dtype = d.pick(*NUMBERS)
    (a, x), (b, y) = _pair(d, dtype, 1, 9)
    if np.dtype(dtype).kind == "f":
        return d.done(d.g.apply("div", a, b), x.astype("d") / y)
    sign = d.array(y.shape, "bool") if np.dtype(dtype).kind == "i" else np.zeros(y.shape, bool)
    y = np.where(sign, -y, y).astype(dtype)
    d.feeds["x1"] = y
    return d.done(d.g.apply("div", a, b), np.trunc(x.astype("d") / y))


@case
def remainder(d):
    dtype, name = d.pick(*NUMBERS), d.pick("mod", "fmod")
    (a, x), (b, y) = _pair(d, dtype, 1, 9)
    if np.dtype(dtype).kind != "u":
        sign = d.array(x.shape, "bool")
        x = np.where(sign, -x, x).astype(dtype)
        d.feeds["x0"] = x
    want = (np.mod if name == "mod" else np.fmod)(x, y)
    return d.done(d.g.apply(name, a, b), want, about=name)


UNARY = {
    "abs": np.abs, "neg": np.negative, "exp": np.exp, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh, "atan": np.arctan, "asinh": np.arcsinh,
    "floor": np.floor, "ceil": np.ceil, "round": np.round, "sign": np.sign,
    "relu": lambda x: np.maximum(x, 0), "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, 0), "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}  # fmt: skip
POSITIVE = {
    "log": np.log, "sqrt": np.sqrt, "reciprocal": lambda x: 1 / x, "rsqrt": lambda x: x**-0.5,
}  # fmt: skip


@case
def unary(d):
    name = d.pick(*UNARY)
    a, x = d.tensor(d.shape(0, 5, 17), d.pick(*FLOATS), -1.4, 1.4)
    return d.done(d.g.apply(name, a), UNARY[name](x.astype("d")), about=name)


@case
def unary_of_positive(d):
    name = d.pick(*POSITIVE)
    a, x = d.tensor(d.shape(0, 5, 17), d.pick(*FLOATS), 0.3, 4)
    return d.done(d.g.apply(name, a), POSITIVE[name](x.astype("d")), about=name)


@case
def chains(d):
    """Several functions that become one kernel."""
    shape = d.shape(1, 4, 17)
    a, x = d.tensor(shape)
    want = x.astype("d")
    for _ in range(d.integer(2, 6)):
        if d.flag():
            name = d.pick("tanh", "relu", "sigmoid", "softsign")
            a, want = d.g.apply(name, a), UNARY[name](want)
        else:
            b, y = d.tensor(tuple(1 if d.flag() else n for n in shape))
            a, want = d.g.apply("add", a, b), want + y
    return d.done(a, want)


@case
def casts(d):
    source, to = d.pick(*NUMBERS, "bool"), d.pick(*NUMBERS, "bool")
    a, x = d.tensor(d.shape(0, 4), source, 0, 100)
    return d.done(d.g.cast(a, to), x.astype(to), about=f"{source} to {to}")


@case
def where(d):
    (a, x), (b, y) = _pair(d, d.pick(*NUMBERS))
    c, test = d.tensor(np.broadcast_shapes(x.shape, y.shape), "bool")
    return d.done(d.g.apply("where", c, a, b), np.where(test, x, y))


@case
def clip(d):
    a, x = d.tensor(d.shape(0, 4), d.pick(*NUMBERS))
    low, high = sorted((d.integer(0, 2), d.integer(0, 2)))
    return d.done(d.g.apply("clip", a, numbers=(low, high)), np.clip(x, low, high))


REDUCTIONS = {
    "sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod,
    "l1": lambda x, **k: np.abs(x).sum(**k), "l2": lambda x, **k: np.sqrt((x * x).sum(**k)),
    "sum_square": lambda x, **k: (x * x).sum(**k), "log_sum": lambda x, **k: np.log(x.sum(**k)),
    "log_sum_exp": lambda x, **k: np.log(np.exp(x).sum(**k)),
}  # fmt: skip


@case
def reductions(d):
    name = d.pick(*REDUCTIONS)
    integers = name in ("sum", "max", "min", "sum_square", "l1") and d.flag(0.3)
    a, x = d.tensor(d.shape(1, 5, 13, least=1), "int64" if integers else d.pick(*FLOATS), 1, 3)
    axes = [n for n in range(x.ndim) if d.flag()] or [d.axis(x.ndim)]
    keep = d.flag()
    if name == "prod":
        axes = axes[:1]
    wide = x if integers else x.astype("d")
    want = REDUCTIONS[name](wide, axis=tuple(axes), keepdims=keep)
    signed = [n - x.ndim if d.flag() else n for n in axes]
    return d.done(d.g.reduce(name, a, signed, keep=keep), want, about=f"{name} {axes}")


@case
def empty_sums(d):
    a, x = d.tensor((d.extent(5), 0, d.extent(5)), d.pick(*FLOATS))
    name = d.pick("sum", "prod", "sum_square", "l1")
    want = REDUCTIONS[name](x.astype("d"), axis=1)
    return d.done(d.g.reduce(name, a, [1], keep=False), want, about=name)


@case
def matmul(d):
    m, n, k = d.extent(), d.extent(), d.extent()
    batch = d.shape(0, 2, 4, 1)
    one = tuple(1 if d.flag(0.3) else b for b in batch[d.integer(0, len(batch)) :])
    left, right = (batch, one) if d.flag() else (one, batch)
    dtype, ta, tb = d.pick(*FLOATS, "int32"), d.flag(), d.flag()
    a, x = d.tensor((*left, *((k, m) if ta else (m, k))), dtype)
    b, y = d.tensor((*right, *((n, k) if tb else (k, n))), dtype)
    wide = np.int64 if dtype == "int32" else np.float64
    x, y = x.astype(wide), y.astype(wide)
    want = (x.swapaxes(-1, -2) if ta else x) @ (y.swapaxes(-1, -2) if tb else y)
    made = d.g.matmul(a, b, transpose_a=ta, transpose_b=tb)
    if d.flag() and want.dtype == np.float64:
        made, want = d.g.apply("relu", made), np.maximum(want, 0)
    return d.done(made, want, about=f"{ta} {tb}")


@case
def softmax(d):
    a, x = d.tensor((*d.shape(0, 2, 7, 1), d.extent(33, 1), *d.shape(0, 1, 7, 1)), d.pick(*FLOATS))
    axis, log = d.integer(-x.ndim, x.ndim - 1), d.flag()
    wide = x.astype("d")
    e = np.exp(wide - wide.max(axis, keepdims=True))
    want = e / e.sum(axis, keepdims=True)
    return d.done(d.g.softmax(a, axis, log=log), np.log(want) if log else want)


@case
def layer_norm(d):
    shape = (*d.shape(1, 2, 7, 1), d.extent(33, 2))
    a, x = d.tensor(shape)
    axis = d.pick(-1, -2)
    s, scale = d.tensor(shape[axis:])
    b, bias = d.tensor(shape[axis:])
    over = tuple(range(x.ndim + axis, x.ndim))
    wide = x.astype("d")
    centred = wide - wide.mean(over, keepdims=True)
    want = centred / np.sqrt((centred**2).mean(over, keepdims=True) + 1e-5) * scale + bias
    return d.done(d.g.layer_norm(a, s, b, axis), want, 1e-4)
