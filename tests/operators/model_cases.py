"""Models of one ONNX operator: windows, recurrences, sampling, quantization, signals."""

import numpy as np

from tests.operators.cases import case
from tests.schedules import oracles


@case
def conv(d):
    rank, groups = d.pick(1, 2, 2, 2, 3), d.pick(1, 1, 2, 3)
    depth, each = d.extent(5, 1), d.extent(7, 1)
    kernel, stride = ([d.integer(1, 4) for _ in range(rank)] for _ in range(2))
    dilation = [d.integer(1, 2) for _ in range(rank)]
    before, after = ([d.integer(0, k - 1) for k in kernel] for _ in range(2))
    spatial = [d.extent(13, (k - 1) * e + 1) if (k - 1) * e < 13 else 13
               for k, e in zip(kernel, dilation, strict=True)]  # fmt: skip
    _, x = d.tensor((d.integer(1, 2), depth * groups, *spatial))
    _, w = d.tensor((each * groups, depth, *kernel))
    bias = d.tensor((each * groups,))[1] if d.flag() else None
    want = oracles.conv(x, w, bias, stride, before, after, dilation, groups)
    return d.onnx(
        "Conv", [want], tolerance=1e-4, strides=stride, pads=[*before, *after],
        dilations=dilation, group=groups,
    )  # fmt: skip


@case
def conv_transpose(d):
    rank, groups = d.pick(1, 2), d.pick(1, 1, 2)
    depth, each = d.extent(5, 1), d.extent(5, 1)
    kernel, stride = ([d.integer(1, 4) for _ in range(rank)] for _ in range(2))
    dilation = [d.integer(1, 2) for _ in range(rank)]
    pads = [d.integer(0, (k - 1) // 2) for k in kernel]
    extra = [d.integer(0, s - 1) for s in stride]
    _, x = d.tensor((d.integer(1, 2), depth * groups, *(d.integer(2, 7) for _ in range(rank))))
    _, w = d.tensor((depth * groups, each, *kernel))
    want = oracles.conv_transpose(x, w, None, stride, pads, pads, extra, dilation, groups)
    return d.onnx(
        "ConvTranspose", [want], tolerance=1e-4, strides=stride, pads=[*pads, *pads],
        dilations=dilation, group=groups, output_padding=extra,
    )  # fmt: skip


def _pool_window(d, rank):
    kernel, stride = ([d.integer(1, 4) for _ in range(rank)] for _ in range(2))
    before, after = ([d.integer(0, (k - 1) // 2) for k in kernel] for _ in range(2))
    shape = (d.integer(1, 2), d.extent(5, 1), *(d.integer(4, 13) for _ in range(rank)))
    return kernel, stride, before, after, shape


@case
def max_pool(d):
    rank = d.pick(1, 2, 2, 3)
    kernel, stride, before, after, shape = _pool_window(d, rank)
    _, x = d.tensor(shape)
    ones, inner = (1,) * rank, tuple(range(-rank, 0))
    view = oracles.windows(x, kernel, stride, ones, before, after, -np.inf)
    wants = [view.max(inner)]
    if d.flag():
        numbered = np.arange(x.size, dtype="d").reshape(x.shape)
        places = oracles.windows(numbered, kernel, stride, ones, before, after, 0)
        flat = view.reshape(*view.shape[:-rank], -1).argmax(-1)[..., None]
        wants.append(
            np.take_along_axis(places.reshape(*view.shape[:-rank], -1), flat, -1)[..., 0].astype(
                int
            )
        )
    return d.onnx("MaxPool", wants, kernel_shape=kernel, strides=stride, pads=[*before, *after])


@case
def average_pool(d):
    rank = d.pick(1, 2, 2, 3)
    kernel, stride, before, after, shape = _pool_window(d, rank)
    _, x = d.tensor(shape)
    counted, ones, inner = d.flag(), (1,) * rank, tuple(range(-rank, 0))
    view = oracles.windows(x.astype("d"), kernel, stride, ones, before, after, 0)
    weight = oracles.windows(np.ones_like(x), kernel, stride, ones, before, after, int(counted))
    return d.onnx(
        "AveragePool", [view.sum(inner) / weight.sum(inner)], kernel_shape=kernel, strides=stride,
        pads=[*before, *after], count_include_pad=int(counted),
    )  # fmt: skip


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _cell(kind, gates, state, cell, weights, bias, hidden, *, late):
    """The next state and cell; `gates` are those of the input with all biases, unless late."""
    product = state @ weights.T
    if kind == "RNN":
        return np.tanh(gates + product), cell
    if kind == "LSTM":
        i, o, f, c = np.split(gates + product, 4, 1)
        cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(c)
        return _sigmoid(o) * np.tanh(cell), cell
    z, r = (_sigmoid(g) for g in np.split((gates + product)[:, : 2 * hidden], 2, 1))
    last = weights[2 * hidden :].T
    share = r * (state @ last + bias[2 * hidden :]) if late else (r * state) @ last
    return (1 - z) * np.tanh(gates[:, 2 * hidden :] + share) + z * state, cell


@case
def recurrent(d):
    kind = d.pick("RNN", "GRU", "LSTM")
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    steps, batch, width, hidden = d.integer(1, 5), d.integer(1, 3), d.extent(7, 1), d.extent(8, 1)
    direction = d.pick("forward", "reverse", "bidirectional")
    count = 2 if direction == "bidirectional" else 1
    late = kind == "GRU" and d.flag()
    x = d.tensor((steps, batch, width), low=-1, high=1)[1].astype("d")
    w = d.tensor((count, gates * hidden, width), low=-1, high=1)[1].astype("d")
    r = d.tensor((count, gates * hidden, hidden), low=-1, high=1)[1].astype("d")
    b = d.tensor((count, 2 * gates * hidden), low=-1, high=1)[1].astype("d")
    lengths = np.full(batch, steps)
    if d.flag():
        lengths = d.tensor((batch,), "int32", 0, steps + 1)[1]
    else:
        d.skip()
    first = d.tensor((count, batch, hidden), low=-1, high=1)[1].astype("d")
    whole = np.zeros((steps, count, batch, hidden))
    last, cells = np.zeros((2, count, batch, hidden))
    for n in range(count):
        own, again = np.split(b[n], 2)
        backward = n == 1 or direction == "reverse"
        for row in range(batch):
            order = range(lengths[row])
            state, cell = first[n, row : row + 1], np.zeros((1, hidden))
            for t in reversed(order) if backward else order:
                early = again.copy()
                if late:
                    early[2 * hidden :] = 0
                gate = x[t, row : row + 1] @ w[n].T + own + early
                state, cell = _cell(kind, gate, state, cell, r[n], again, hidden, late=late)
                whole[t, n, row] = state[0]
            last[n, row], cells[n, row] = state[0], cell[0]
    wants = [whole, last] + ([cells] if kind == "LSTM" else [])
    more = {"linear_before_reset": 1} if late else {}
    return d.onnx(kind, wants, tolerance=1e-4, hidden_size=hidden, direction=direction, **more)


@case
def resize_by_interpolation(d):
    """Between elements whose centres lie at whole numbers, along each axis by itself."""
    shape = (1, d.integer(1, 2), d.integer(2, 9), d.integer(2, 9))
    sizes = (*shape[:2], d.integer(1, 15), d.integer(1, 15))
    _, x = d.tensor(shape)
    d.skip()
    d.skip()
    d.given(np.asarray(sizes))
    mode = d.pick("half_pixel", "asymmetric", "align_corners")
    want = x.astype("d")
    for axis in (2, 3):
        n, m = shape[axis], sizes[axis]
        at = np.arange(m)
        place = {
            "half_pixel": (at + 0.5) * n / m - 0.5, "asymmetric": at * n / m,
            "align_corners": at * (n - 1) / max(1, m - 1),
        }[mode]  # fmt: skip
        want = np.apply_along_axis(
            lambda row, place=place, n=n: np.interp(place, np.arange(n), row), axis, want
        )
    return d.onnx(
        "Resize", [want], mode="linear", coordinate_transformation_mode=mode, constants=("x1",)
    )


@case
def resize_to_nearest(d):
    shape = (d.integer(1, 2), d.integer(1, 3), d.integer(1, 9), d.integer(1, 9))
    factors = [d.integer(1, 3) for _ in shape]
    _, x = d.tensor(shape, d.pick("float32", "uint8", "int32"))
    d.skip()
    d.given(np.asarray(factors, "f"))
    want = x
    for axis, factor in enumerate(factors):
        want = np.repeat(want, factor, axis)
    return d.onnx(
        "Resize", [want], mode="nearest", coordinate_transformation_mode="asymmetric",
        nearest_mode="floor", constants=("x1",),
    )  # fmt: skip


@case
def grid_sample(d):
    _, x = d.tensor((d.integer(1, 2), d.integer(1, 3), d.integer(2, 7), d.integer(2, 7)))
    _, grid = d.tensor((x.shape[0], d.integer(1, 5), d.integer(1, 5), 2), low=-1.4, high=1.4)
    corners, border = d.flag(), d.flag()
    extents = np.asarray(x.shape[2:])
    at = grid[..., ::-1].astype("d")
    at = (at + 1) / 2 * (extents - 1) if corners else ((at + 1) * extents - 1) / 2
    at = np.clip(at, 0, extents - 1) if border else at
    low = np.floor(at).astype(int)
    part = at - low
    want = np.zeros((*x.shape[:2], *grid.shape[1:3]))
    for dy, dx in np.ndindex(2, 2):
        weight = np.where([dy, dx], part, 1 - part).prod(-1)
        y, z = low[..., 0] + dy, low[..., 1] + dx
        inside = (y >= 0) & (y < extents[0]) & (z >= 0) & (z < extents[1])
        for n in range(x.shape[0]):
            picked = x[n][:, np.clip(y[n], 0, extents[0] - 1), np.clip(z[n], 0, extents[1] - 1)]
            want[n] += picked * np.where(inside[n], weight[n], 0)
    return d.onnx(
        "GridSample", [want], tolerance=1e-4, mode="linear", align_corners=int(corners),
        padding_mode="border" if border else "zeros",
    )  # fmt: skip


@case
def quantize(d):
    shape = d.shape(1, 4, 13)
    _, x = d.tensor(shape, low=-9, high=9)
    axis = d.axis(len(shape))
    dtype = d.pick("uint8", "int8", "uint16", "int16")
    own = (shape[axis],) if d.flag() else ()
    _, scale = d.tensor(own, low=0.01, high=0.2)
    _, zero = d.tensor(own, dtype, 0, 20)
    along = [-1 if n == axis else 1 for n in range(len(shape))] if own else []
    scale, zero = scale.reshape(along), zero.reshape(along)
    limits = np.iinfo(dtype)
    want = np.clip(np.rint(x / scale) + zero.astype("d"), limits.min, limits.max).astype(dtype)
    return d.onnx("QuantizeLinear", [want], axis=axis)


@case
def dequantize(d):
    shape = d.shape(1, 4, 13)
    dtype = d.pick("uint8", "int8", "int16", "int32")
    _, x = d.tensor(shape, dtype, 0, 100)
    axis = d.axis(len(shape))
    own = (shape[axis],) if d.flag() else ()
    _, scale = d.tensor(own, low=0.01, high=0.2)
    _, zero = d.tensor(own, dtype, 0, 1 if dtype == "int32" else 20)
    along = [-1 if n == axis else 1 for n in range(len(shape))] if own else []
    want = (x.astype("d") - zero.reshape(along)) * scale.reshape(along)
    return d.onnx("DequantizeLinear", [want], axis=axis)


@case
def integer_products(d):
    m, n, k = d.extent(17, 1), d.extent(17, 1), d.extent(17, 1)
    batch = d.shape(0, 1, 3, 1)
    _, x = d.tensor((*batch, m, k), "uint8", 0, 255)
    _, y = d.tensor((k, n), d.pick("uint8", "int8"), 0, 100)
    _, zero = d.tensor((), "uint8", 0, 255)
    _, other = d.tensor((), y.dtype.name, 0, 100)
    want = (x.astype(int) - int(zero)) @ (y.astype(int) - int(other))
    return d.onnx("MatMulInteger", [want])


@case
def fourier(d):
    n, real = d.integer(1, 17), d.flag()
    shape = (d.integer(1, 3), n, d.integer(1, 3), 1 if real else 2)
    _, x = d.tensor(shape, d.pick("float32", "float64"))
    length = d.integer(1, 20)
    d.given(np.asarray(length))
    d.given(np.asarray(1))
    inverse = d.flag()
    onesided = real and not inverse and d.flag()
    z = x[..., 0] if real else x[..., 0] + 1j * x[..., 1]
    want = (np.fft.ifft if inverse else np.fft.fft)(z, length, 1)
    want = want[:, : length // 2 + 1] if onesided else want
    return d.onnx(
        "DFT", [np.stack([want.real, want.imag], -1)], tolerance=1e-4, inverse=int(inverse),
        onesided=int(onesided), constants=("x1", "x2"),
    )  # fmt: skip


@case
def attention(d):
    batch, heads, share = d.integer(1, 2), d.integer(1, 3), d.integer(1, 2)
    rows, keys, depth, width = d.integer(1, 9), d.integer(1, 9), d.integer(1, 9), d.integer(1, 9)
    q = d.tensor((batch, heads * share, rows, depth))[1].astype("d")
    k = d.tensor((batch, heads, keys, depth))[1].astype("d")
    v = d.tensor((batch, heads, keys, width))[1].astype("d")
    bias = np.zeros((rows, keys))
    if d.flag():
        dtype = d.pick("bool", "float32")
        mask = d.tensor(d.pick((rows, keys), (batch, 1, rows, keys), (1, keys)), dtype)[1]
        bias = np.where(mask, 0, -np.inf) if dtype == "bool" else mask.astype("d")
    causal = d.flag(0.3)
    if causal:
        bias = bias + np.where(np.arange(keys) > np.arange(rows)[:, None], -np.inf, 0)
    scores = q @ np.repeat(k, share, 1).swapaxes(-1, -2) / np.sqrt(depth) + bias
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    want = e / np.where(total == 0, 1, total) @ np.repeat(v, share, 1)
    return d.onnx("Attention", [want], tolerance=1e-4, opset=23, is_causal=int(causal))


@case
def blocks_to_image(d):
    kernel = [d.integer(1, 3), d.integer(1, 3)]
    stride, dilation = ([d.integer(1, 2) for _ in kernel] for _ in range(2))
    pads = [d.integer(0, k - 1) for k in kernel]
    counts = [d.integer(1, 4), d.integer(1, 4)]
    image = [
        (c - 1) * s + e * (k - 1) + 1 - 2 * p + d.integer(0, s - 1)
        for c, s, e, k, p in zip(counts, stride, dilation, kernel, pads, strict=True)
    ]
    if min(image) < 1:
        return blocks_to_image(d)
    batch, channels = d.integer(1, 2), d.integer(1, 3)
    columns = d.array((batch, channels * kernel[0] * kernel[1], counts[0] * counts[1]))
    d.given(columns)
    d.given(np.asarray(image))
    d.given(np.asarray(kernel))
    wide = np.zeros((batch, channels, image[0] + 2 * pads[0] + 2, image[1] + 2 * pads[1] + 2))
    parts = columns.reshape(batch, channels, *kernel, *counts)
    for a, b, i, j in np.ndindex(*kernel, *counts):
        y, x = i * stride[0] + a * dilation[0], j * stride[1] + b * dilation[1]
        wide[:, :, y, x] += parts[:, :, a, b, i, j]
    want = wide[:, :, pads[0] : pads[0] + image[0], pads[1] : pads[1] + image[1]]
    return d.onnx(
        "Col2Im", [want], strides=stride, dilations=dilation, pads=[*pads, *pads],
        constants=("x1", "x2"),
    )  # fmt: skip
