"""Converters: attention and what stands around it in transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tdsl.dtypes import BY_NAME
from tdsl.graph.builder import Graph
from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.onnx_import.load import ELEMENT_TYPES
from tdsl.graph.ops.movement import Expand, Gather, Pad, Slice
from tdsl.graph.ops.recurrent import LinearAttention
from tdsl.graph.ops.reductions import ReduceKind


@operator("Attention")
def attention(call: Call) -> Sequence[Value]:
    """softmax(q k' + bias) v for each head, of keys and values that a cache may begin with."""
    g = call.graph
    q, k, v = (_heads(call, n, name) for n, name in enumerate(("q", "kv", "kv")))
    past = call.has(4)
    if past:
        k, v = g.concat([call[4], k], 2), g.concat([call[5], v], 2)
    present = k, v
    bias = _Bias(call, q, k.shape[2]).value()
    repeats = q.shape[1] // k.shape[1]
    k, v = (_repeated(g, x, repeats) for x in (k, v))
    scores = _scores(call, q, k)
    raw = scores
    cap = call.real("softcap", 0.0)
    if cap > 0:
        capped = g.apply("tanh", g.apply("div", scores, call.scalar(cap, scores)))
        scores = g.apply("mul", capped, call.scalar(cap, scores))
    biased = scores if bias is None else g.apply("add", scores, bias)
    weights = _weights(call, biased, bias)
    made = g.matmul(weights, v)
    if len(call[0].shape) == 3:
        batch, heads, rows, width = made.shape
        made = g.reshape(g.transpose(made, (0, 2, 1, 3)), (batch, rows, heads * width))
    stages = (raw, scores, biased, weights)
    return [made, *present, stages[call.integer("qk_matmul_output_mode")]]


def _heads(call: Call, n: int, kind: str) -> Value:
    """An operand as [batch, heads, rows, width]."""
    x, g = call[n], call.graph
    if len(x.shape) == 4:
        return x
    batch, rows, width = x.shape
    heads = call.integer(f"{kind}_num_heads")
    if heads < 1 or width % heads:
        raise GraphError(f"Attention: {width} columns do not divide into {heads} heads")
    return g.transpose(g.reshape(x, (batch, rows, heads, width // heads)), (0, 2, 1, 3))


def _repeated(g: Graph, x: Value, repeats: int) -> Value:
    """Each head so many times in a row: several heads of queries share one of keys."""
    if repeats == 1:
        return x
    batch, heads, rows, width = x.shape
    wide = Expand((batch, heads, repeats, rows, width))
    apart = g.one(wide, g.reshape(x, (batch, heads, 1, rows, width)))
    return g.reshape(apart, (batch, heads * repeats, rows, width))


def _scores(call: Call, q: Value, k: Value) -> Value:
    """q k' times the scale, half of which goes to either side, as the standard rounds it."""
    g = call.graph
    scale = call.real("scale", 0.0) or 1.0 / math.sqrt(max(1, q.shape[3]))
    half = call.scalar(math.sqrt(scale), q)
    return g.matmul(g.apply("mul", q, half), g.apply("mul", k, half), transpose_b=True)


def _weights(call: Call, scores: Value, bias: Value | None) -> Value:
    """Softmax of rows; a row of which every key is masked has weights of 0."""
    g, precise = call.graph, call.integer("softmax_precision")
    dtype = scores.dtype
    if precise:
        if precise not in ELEMENT_TYPES:
            raise GraphError(f"Attention: softmax_precision {precise} is no element type")
        scores = g.cast(scores, BY_NAME[ELEMENT_TYPES[precise].name])
    weights = g.cast(g.softmax(scores), dtype)
    if bias is None:
        return weights
    known = g.known(bias)
    if known is not None and not np.isneginf(known.astype(np.float64).max(-1)).any():
        return weights
    top = g.reduce(ReduceKind.MAX, bias, [-1])
    masked = g.apply("equal", top, call.scalar(-math.inf, top))
    return g.apply("where", masked, call.scalar(0.0, weights), weights)


class _Bias:
    """What is added to scores: masks as minus infinity."""

    def __init__(self, call: Call, q: Value, keys: int) -> None:
        self._call, self._g, self._q = call, call.graph, q
        self._queries, self._keys = q.shape[2], keys
        self._lengths = call.optional(6)

    def value(self) -> Value | None:
        """The sum of all that apply; None where none does."""
        causal = bool(self._call.integer("is_causal"))
        left, right = (self._call.integer(f"{s}_window_size", -1) for s in ("left", "right"))
        parts = [self._mask()]
        if causal or left >= 0 or right >= 0:
            parts.append(self._band(left, 0 if causal else right))
        if self._lengths is not None:
            columns = self._g.constant(np.arange(self._keys))
            lengths = self._g.reshape(self._lengths, (self._lengths.count, 1, 1, 1))
            parts.append(self._where(self._g.apply("less", columns, lengths)))
        total: Value | None = None
        for part in parts:
            if part is not None:
                total = part if total is None else self._g.apply("add", total, part)
        return total

    def _mask(self) -> Value | None:
        mask = self._call.optional(3)
        if mask is None:
            return None
        missing = self._keys - mask.shape[-1]
        if missing > 0:
            zeros, fill = (0,) * (len(mask.shape) - 1), 0.0 if mask.dtype.is_bool else -math.inf
            pad = Pad((*zeros, 0), (*zeros, missing), "constant", fill)
            mask = self._g.one(pad, mask)
        return self._where(mask) if mask.dtype.is_bool else mask

    def _band(self, left: int, right: int) -> Value:
        """Keys up to `left` before and `right` behind a query's own place; -1: any number."""
        self._call.bounded(self._queries, self._keys)
        columns = np.arange(self._keys)
        rows = np.arange(self._queries)[:, None]
        if self._lengths is None:
            past = self._call[4].shape[2] if self._call.has(4) else 0
            ahead = columns - (rows + past)
            low, high = (
                -left if left >= 0 else ahead.min(initial=0),
                right if right >= 0 else self._keys,
            )
            inside = (ahead >= low) & (ahead <= high)
            zero = np.zeros((), self._q.dtype.numpy)
            return self._g.constant(np.where(inside, zero, -np.inf).astype(self._q.dtype.numpy))
        g, lengths = self._g, self._lengths
        wide = g.reshape(g.cast(lengths, "int64"), (lengths.count, 1, 1, 1))
        own = g.constant((columns - rows + self._queries).astype(np.int64))
        ahead_of = g.apply("sub", own, wide)
        kept: Value | None = None
        for function, limit in (("less_equal", right), ("greater_equal", -left)):
            if (right if function == "less_equal" else left) >= 0:
                near = g.apply(function, ahead_of, g.constant(np.int64(limit)))
                kept = near if kept is None else g.apply("and", kept, near)
        assert kept is not None
        return self._where(kept)

    def _where(self, kept: Value) -> Value:
        zero, never = (self._call.scalar(x, self._q) for x in (0.0, -math.inf))
        return self._g.apply("where", kept, zero, never)


@operator("ai.onnx.preview.FlexAttention")
def flex_attention(call: Call) -> Value:
    """Attention whose scores and weights go through graphs that the model brings along."""
    g, q = call.graph, call[0]
    k, v = (_repeated(g, x, q.shape[1] // x.shape[1]) for x in (call[1], call[2]))
    wide = "float32" if q.dtype.bits < 32 else q.dtype.name
    precise = call.integer("softmax_precision")
    if precise:
        wide = ELEMENT_TYPES[precise].name if precise in ELEMENT_TYPES else wide
    scores = g.cast(_scores(call, q, k), wide)
    if call.given("score_mod"):
        (scores,) = call.body("score_mod", [scores])
    weights = g.softmax(scores)
    if call.given("prob_mod"):
        (weights,) = call.body("prob_mod", [weights])
    return g.cast(g.matmul(weights, g.cast(v, wide)), v.dtype)


@operator("RotaryEmbedding")
def rotary_embedding(call: Call) -> Value:
    """Pairs of columns turned by angles that depend on the position."""
    x, g = call[0], call.graph
    flat = len(x.shape) == 3
    if flat:
        batch, rows, columns = x.shape
        heads = call.integer("num_heads")
        x = g.reshape(x, (batch, rows, heads, columns // heads))
    else:
        x = g.transpose(x, (0, 2, 1, 3))
    batch, rows, heads, width = x.shape
    turned = call.integer("rotary_embedding_dim") or width
    cos, sin = (_angles(call, n) for n in (1, 2))
    step = 2 if call.integer("interleaved") else 1
    starts = (0, 1) if step == 2 else (0, turned // 2)
    one, two = (_columns(g, x, start, turned // 2, step) for start in starts)
    real = g.apply("sub", g.apply("mul", cos, one), g.apply("mul", sin, two))
    imaginary = g.apply("add", g.apply("mul", sin, one), g.apply("mul", cos, two))
    if step == 2:
        pair = (batch, rows, heads, turned // 2, 1)
        both = g.concat([g.reshape(real, pair), g.reshape(imaginary, pair)], 4)
        made = g.reshape(both, (batch, rows, heads, turned))
    else:
        made = g.concat([real, imaginary], 3)
    if turned < width:
        made = g.concat([made, _columns(g, x, turned, width - turned, 1)], 3)
    return g.reshape(made, call[0].shape) if flat else g.transpose(made, (0, 2, 1, 3))


def _angles(call: Call, n: int) -> Value:
    g, cache = call.graph, call[n]
    if call.has(3):
        cache = g.one(Gather(0), cache, call[3])
    batch, rows, width = cache.shape
    return g.reshape(cache, (batch, rows, 1, width))


def _columns(g: Graph, x: Value, start: int, count: int, step: int) -> Value:
    lead = x.shape[:-1]
    zeros, ones = (0,) * len(lead), (1,) * len(lead)
    return g.one(Slice((*zeros, start), (*lead, count), (*ones, step)), x)


@operator("LinearAttention")
def linear_attention(call: Call) -> Sequence[Value]:
    """A state of keys times values that decays; queries read it."""
    g, q, v = call.graph, call[0], call[2]
    heads, states = call.integer("q_num_heads"), call.integer("kv_num_heads")
    rule = call.text("update_rule", "gated_delta")
    if heads < 1 or states < 1 or heads % states:
        raise GraphError(f"LinearAttention: {heads} heads of queries, {states} of keys")
    if rule not in ("linear", "gated", "delta", "gated_delta"):
        raise GraphError(f"LinearAttention: update_rule {rule!r}")
    depth, width = q.shape[2] // heads, v.shape[2] // states
    scale = call.real("scale", 0.0) or 1.0 / math.sqrt(max(1, depth))
    old = call.optional(3)
    state = (q.shape[0], states, depth, width)
    operands = [call[0], call[1], call[2]]
    operands.append(g.constant(np.zeros(state, q.dtype.numpy)) if old is None else old)
    operands += [x for x in (call.optional(4), call.optional(5)) if x is not None]
    op = LinearAttention(heads, states, rule.startswith("gated"), rule.endswith("delta"), scale)
    return g.op(op, *operands)


@operator("CausalConvWithState")
def causal_conv(call: Call) -> Sequence[Value]:
    """A convolution of each channel over the past, of which the state keeps the end."""
    g, x, w = call.graph, call[0], call[1]
    batch, channels, _ = x.shape
    before = w.shape[2] - 1
    past = call.optional(3)
    if past is None:
        past = g.constant(np.zeros((batch, channels, before), x.dtype.numpy))
    whole = g.concat([past, x], 2) if before else x
    wide = BY_NAME["float32"] if x.dtype.bits < 32 else x.dtype
    made = g.conv(g.cast(whole, wide), g.cast(w, wide), groups=channels)
    bias = call.optional(2)
    if bias is not None:
        made = g.apply("add", made, g.cast(g.reshape(bias, (channels, 1)), wide))
    activation = call.text("activation", "none")
    if activation not in ("none", "silu", "swish"):
        raise GraphError(f"CausalConvWithState: activation {activation!r}")
    if activation != "none":
        made = g.apply("swish", made, numbers=(1.0,))
    made = g.cast(made, x.dtype)
    return [made, _columns(g, whole, whole.shape[2] - before, before, 1)]


@operator("SwiGLU")
def swiglu(call: Call) -> Value:
    """The swish of one operand times the other."""
    gate = call.graph.apply("swish", call[0], numbers=(call.real("alpha", 1.0),))
    return call.graph.apply("mul", gate, call[1])
