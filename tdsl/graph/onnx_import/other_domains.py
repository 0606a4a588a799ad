"""Converters: operators of ONNX's domains for training and for classical machine learning."""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.movement import Gather

_TRAINING = "ai.onnx.preview.training"


@operator("ai.onnx.ml.Binarizer")
def binarizer(call: Call) -> Value:
    """1 above a threshold, else 0."""
    x, g = call[0], call.graph
    above = g.apply("greater", x, call.scalar(call.real("threshold", 0.0), x))
    return g.cast(above, x.dtype)


@operator("ai.onnx.ml.ArrayFeatureExtractor")
def feature_extractor(call: Call) -> Value:
    """Columns of a matrix at indices."""
    x, g = call[0], call.graph
    picked = g.one(Gather(len(x.shape) - 1), x, g.reshape(call[1], (call[1].count,)))
    return g.reshape(picked, (1, *picked.shape)) if len(picked.shape) == 1 else picked


@operator(f"{_TRAINING}.Momentum")
def momentum(call: Call) -> Sequence[Value]:
    """New parameters, then new velocities."""
    g, first = call.graph, call.number(1) == 0
    alpha, mode = call.real("alpha", 0.0), call.text("mode", "standard")
    beta = 1.0 if first else call.real("beta", 0.0)
    if mode not in ("standard", "nesterov"):
        raise GraphError(f"Momentum with mode {mode!r} is not supported")
    news, velocities = [], []
    for x, gradient, velocity in _triples(call, 3):
        steep = _regularised(call, x, gradient)
        new = g.apply("add", _times(call, velocity, alpha), _times(call, steep, beta))
        step = new
        if mode == "nesterov":
            step = g.apply("add", steep, _times(call, new, alpha))
        news.append(g.apply("sub", x, g.apply("mul", call[0], step)))
        velocities.append(new)
    return [*news, *velocities]


@operator(f"{_TRAINING}.Adagrad")
def adagrad(call: Call) -> Sequence[Value]:
    """New parameters, then new sums of squares."""
    g = call.graph
    rate = _decayed_rate(call)
    news, sums = [], []
    for x, gradient, total in _triples(call, 3):
        steep = _regularised(call, x, gradient)
        new = g.apply("add", total, g.apply("mul", steep, steep))
        root = g.apply("add", g.apply("sqrt", new), call.scalar(call.real("epsilon", 0.0), x))
        news.append(g.apply("sub", x, g.apply("div", g.apply("mul", rate, steep), root)))
        sums.append(new)
    return [*news, *sums]


def _decayed_rate(call: Call) -> Value:
    """rate / (1 + steps * decay)."""
    g, rate = call.graph, call[0]
    decay = call.scalar(call.real("decay_factor", 0.0), rate)
    steps = g.cast(call[1], rate.dtype)
    slow = g.apply("add", call.scalar(1.0, rate), g.apply("mul", steps, decay))
    return g.apply("div", rate, slow)


@operator(f"{_TRAINING}.Adam")
def adam(call: Call) -> Sequence[Value]:
    """New parameters, then new means of gradients, then of squares."""
    g = call.graph
    alpha, beta = call.real("alpha", 0.9), call.real("beta", 0.999)
    after = call.real("norm_coefficient_post", 0.0)
    rate = _corrected_rate(call, alpha, beta)
    results: list[list[Value]] = [[], [], []]
    for x, gradient, old_mean, old_square in _triples(call, 4):
        steep = _regularised(call, x, gradient)
        mean = _mixed(call, old_mean, steep, alpha)
        square = _mixed(call, old_square, g.apply("mul", steep, steep), beta)
        root = g.apply("add", g.apply("sqrt", square), call.scalar(call.real("epsilon", 0.0), x))
        new = g.apply("sub", x, g.apply("div", g.apply("mul", rate, mean), root))
        new = new if after == 0 else _times(call, new, 1.0 - after)
        for kept, value in zip(results, (new, mean, square), strict=True):
            kept.append(value)
    return [value for kept in results for value in kept]


def _corrected_rate(call: Call, alpha: float, beta: float) -> Value:
    """The rate, after the first step times sqrt(1 - beta^steps) / (1 - alpha^steps)."""
    g, rate = call.graph, call[0]
    steps = g.cast(call[1], rate.dtype)

    def left(base: float) -> Value:
        power = g.apply("pow", call.scalar(base, rate), steps)
        return g.apply("sub", call.scalar(1.0, rate), power)

    corrected = g.apply("div", g.apply("mul", rate, g.apply("sqrt", left(beta))), left(alpha))
    begun = g.apply("greater", steps, call.scalar(0.0, rate))
    return g.apply("where", begun, corrected, rate)


def _triples(call: Call, parts: int) -> list[tuple[Value, ...]]:
    """Operands after the rate and the step, each parameter with what belongs to it."""
    count, rest = divmod(len(call.operands) - 2, parts)
    if rest:
        raise GraphError(f"{call.op_type} of {len(call.operands)} operands")
    return [tuple(call[2 + n + count * k] for k in range(parts)) for n in range(count)]


def _regularised(call: Call, x: Value, gradient: Value) -> Value:
    factor = call.real("norm_coefficient", 0.0)
    if factor == 0:
        return gradient
    return call.graph.apply("add", gradient, _times(call, x, factor))


def _times(call: Call, x: Value, factor: float) -> Value:
    return call.graph.apply("mul", x, call.scalar(factor, x))


def _mixed(call: Call, old: Value, new: Value, share: float) -> Value:
    return call.graph.apply("add", _times(call, old, share), _times(call, new, 1.0 - share))
