"""Scaled dot-product attention."""

from __future__ import annotations

from math import sqrt

import tdsl as td
from tdsl.errors import DeclarationError
from tdsl.schedules.dims import broadcast_at, declare, known, same, unique
from tdsl.schedules.distributions import softmax


def attention(
    q: td.Tensor,
    k: td.Tensor,
    v: td.Tensor,
    bias: td.Tensor | None = None,
    *,
    scale: float | None = None,
    causal: bool = False,
    name: str | None = None,
) -> td.Tensor:
    """softmax(scale q k^T + bias) v, for each batch and head.

    Args:
        q: [batch..., queries, depth].
        k: [batch..., keys, depth].
        v: [batch..., keys, values].
        bias: added to the scores, broadcast to [batch..., queries, keys]; bool: False hides a key.
        scale: None: 1 / sqrt(depth).
        causal: each query sees the keys up to its own position, the last query all of them.
        name: of the result.

    >>> import tdsl as td
    >>> Q, K, V = (td.placeholder((2, 4, 8, 16), name=n) for n in "QKV")
    >>> attention(Q, K, V, name="Y")
    <tensor Y: float32[2, 4, 8, 16]>

    Raises:
        DeclarationError: shapes that do not fit.
    """
    label = unique("attention", name)
    _check(label, q, k, v)
    batch = q.ndim - 2
    queries, keys = q.shape[-2], k.shape[-2]
    depth = q.shape[-1]
    factor = 1.0 / sqrt(known(depth, "depth")) if scale is None else scale
    d = td.reduce_axis(depth, name="d")
    products = declare(
        (*q.shape[:-1], keys),
        lambda i: td.sum(q[(*i[:-1], d)] * k[(*i[:batch], i[-1], d)], axis=d),
        f"{label}.products",
    )

    def score(i: tuple[td.Value, ...]) -> td.Value:
        value = products[i] * factor
        if bias is not None:
            added = broadcast_at(bias, i)
            hidden = td.select(added, value, value.dtype.min) if added.dtype.is_bool else None
            value = value + td.cast(added, value.dtype) if hidden is None else hidden
        if causal:
            seen = i[-1] <= i[-2] + (keys - queries)
            value = td.select(seen, value, value.dtype.min)
        return value

    scores = declare(products.shape, score, f"{label}.scores")
    weights = softmax(scores, name=f"{label}.weights")
    p = td.reduce_axis(keys, name="p")

    def element(i: tuple[td.Value, ...]) -> td.Value:
        value = td.cast(v[(*i[:batch], p, i[-1])], weights.dtype)
        return td.sum(weights[(*i[:-1], p)] * value, axis=p)

    shape = (*q.shape[:-1], v.shape[-1])
    if weights.dtype is q.dtype:
        return declare(shape, element, label)
    wide = declare(shape, element, f"{label}.wide")
    return declare(shape, lambda i: td.cast(wide[i], q.dtype), label)


def _check(label: str, q: td.Tensor, k: td.Tensor, v: td.Tensor) -> None:
    fits = (
        q.ndim == k.ndim == v.ndim >= 2
        and same(q.shape[-1], k.shape[-1])
        and same(k.shape[-2], v.shape[-2])
        and all(same(a, b) and same(a, c) for a, b, c in zip(
            q.shape[:-2], k.shape[:-2], v.shape[:-2], strict=True))
    )  # fmt: skip
    if not fits:
        raise DeclarationError(
            f"{label}: {q!r}, {k!r} and {v!r} do not fit",
            hint="[batch..., queries, depth], [batch..., keys, depth], [batch..., keys, values]",
        )
