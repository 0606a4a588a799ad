"""What operators mean, in numpy: written apart from the library, element by element where short."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

erf = np.vectorize(__import__("math").erf, otypes=[np.float64])


def windows(x, kernel, stride, dilation, before, after, value):
    """[batch, channels, out..., window...] of a padded tensor."""
    pads = [(0, 0), (0, 0), *zip(before, after, strict=True)]
    x = np.pad(x, pads, constant_values=value)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    axes = tuple(range(2, x.ndim))
    view = sliding_window_view(x, reach, axis=axes)
    steps = [slice(None)] * 2 + [slice(None, None, s) for s in stride]
    view = view[tuple(steps)]
    inner = [slice(None)] * (2 + len(kernel)) + [slice(None, None, d) for d in dilation]
    return view[tuple(inner)]


def conv(x, w, bias, stride, before, after, dilation, groups):
    x, w = x.astype(np.float64), w.astype(np.float64)
    kernel = w.shape[2:]
    view = windows(x, kernel, stride, dilation, before, after, 0)
    n, c = view.shape[:2]
    spatial = view.shape[2 : 2 + len(kernel)]
    view = view.reshape(n, groups, c // groups, *view.shape[2:])
    weights = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    s, r = "xyz"[: len(kernel)], "rst"[: len(kernel)]
    out = np.einsum(f"ngc{s}{r},goc{r}->ngo{s}", view, weights)
    out = out.reshape(n, w.shape[0], *spatial)
    return out if bias is None else out + bias.reshape(1, -1, *[1] * len(kernel))


def conv_transpose(x, w, bias, stride, before, after, extra, dilation, groups):
    x, w = x.astype(np.float64), w.astype(np.float64)
    rank = x.ndim - 2
    n, c = x.shape[:2]
    each = w.shape[1]
    full = [
        (m - 1) * s + d * (k - 1) + 1 + e
        for m, s, d, k, e in zip(x.shape[2:], stride, dilation, w.shape[2:], extra, strict=True)
    ]
    out = np.zeros((n, each * groups, *full))
    depth = c // groups
    for at in np.ndindex(*x.shape[2:]):
        for r in np.ndindex(*w.shape[2:]):
            to = tuple(a * s + k * d for a, s, k, d in zip(at, stride, r, dilation, strict=True))
            for g in range(groups):
                part = slice(g * depth, (g + 1) * depth)
                add = x[(slice(None), part, *at)] @ w[(part, slice(None), *r)]
                out[(slice(None), slice(g * each, (g + 1) * each), *to)] += add
    cut = [slice(b, m - a) for b, a, m in zip(before, after, full, strict=True)]
    out = out[(slice(None), slice(None), *cut)]
    return out if bias is None else out + bias.reshape(1, -1, *[1] * rank)


def softmax(x, axis):
    e = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normalise(x, axes, epsilon=1e-5):
    x = x.astype(np.float64)
    mean = x.mean(axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def attention(q, k, v, bias, scale, *, causal):
    q, k, v = (t.astype(np.float64) for t in (q, k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if bias is not None:
        scores = np.where(bias, scores, -3e38) if bias.dtype == bool else scores + bias
    if causal:
        rows, columns = scores.shape[-2:]
        seen = np.arange(columns) <= np.arange(rows)[:, None] + (columns - rows)
        scores = np.where(seen, scores, -3e38)
    return softmax(scores, -1) @ v
