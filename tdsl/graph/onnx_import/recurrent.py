"""Converters: recurrent layers, one direction after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.movement import Slice
from tdsl.graph.ops.recurrent import Activation, Cell, Recurrence

_DEFAULTS = {
    Cell.RNN: ("Tanh",), Cell.GRU: ("Sigmoid", "Tanh"), Cell.LSTM: ("Sigmoid", "Tanh", "Tanh"),
}  # fmt: skip

# functions by ONNX's names, with the defaults of alpha and beta as far as they have these
_FUNCTIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "relu": ("relu", ()), "tanh": ("tanh", ()), "sigmoid": ("sigmoid", ()),
    "softsign": ("softsign", ()), "softplus": ("softplus", ()), "elu": ("elu", (1.0,)),
    "leakyrelu": ("leaky_relu", (0.01,)), "thresholdedrelu": ("thresholded_relu", (1.0,)),
    "hardsigmoid": ("hard_sigmoid", (0.2, 0.5)),
}  # fmt: skip


@operator("RNN", "GRU", "LSTM")
def recurrent(call: Call) -> Sequence[Value]:
    """States of all steps, the last ones, and the last cells of an LSTM."""
    g, cell = call.graph, Cell(call.op_type.lower())
    first = bool(call.integer("layout"))  # the batch comes first
    x = g.transpose(call[0], (1, 0, 2)) if first else call[0]
    count, hidden = call[1].shape[0], call[2].shape[2]
    direction = call.text("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise GraphError(f"{call.op_type}: direction {direction!r}")
    if count != (2 if direction == "bidirectional" else 1):
        raise GraphError(f"{call.op_type}: weights for {count} directions, {direction}")
    if call.integer("input_forget") and cell is not Cell.LSTM:
        raise GraphError(f"{call.op_type}: input_forget")
    activations = _activations(call, cell, count)
    runs = [
        _direction(call, cell, x, n, activations[n], backward=n == 1 or direction == "reverse")
        for n in range(count)
    ]
    steps, batch = x.shape[:2]
    whole = g.concat([g.reshape(r[0], (steps, 1, batch, hidden)) for r in runs], 1)
    lasts = [
        g.concat([g.reshape(r[n], (1, batch, hidden)) for r in runs], 0)
        for n in range(1, len(runs[0]))
    ]
    if first:
        return [g.transpose(whole, (2, 0, 1, 3)), *(g.transpose(v, (1, 0, 2)) for v in lasts)]
    return [whole, *lasts]


def _direction(
    call: Call, cell: Cell, x: Value, n: int, activations: tuple[Activation, ...], *,
    backward: bool,
) -> tuple[Value, ...]:  # fmt: skip
    g = call.graph
    weights, recurrent_weights = _part(call, 1, n), _part(call, 2, n)
    rows, hidden = recurrent_weights.shape
    late = cell is Cell.GRU and bool(call.integer("linear_before_reset"))
    gates = g.matmul(x, weights, transpose_b=True)
    own, again = _biases(call, n, rows)
    if late:  # the recurrent bias of the last gate is added before its reset
        early = np.zeros(rows, x.dtype.numpy)
        early[: 2 * hidden] = 1
        both = g.apply("add", own, g.apply("mul", again, g.constant(early)))
    else:
        both = g.apply("add", own, again)
    operands = [g.apply("add", gates, both), recurrent_weights, _state(call, 5, n, hidden)]
    if cell is Cell.LSTM:
        operands.append(_state(call, 6, n, hidden))
    if call.has(4):
        operands.append(call[4])
    peepholes = cell is Cell.LSTM and call.has(7)
    if peepholes:
        operands.append(_part(call, 7, n))
    if late:
        operands.append(again)
    op = Recurrence(
        cell, activations, call.real("clip", 0.0), backward, call.has(4), peepholes, late,
        bool(call.integer("input_forget")),
    )  # fmt: skip
    return g.op(op, *operands)


def _part(call: Call, index: int, n: int) -> Value:
    """What an operand holds for a direction, without the axis of directions."""
    x, g = call[index], call.graph
    rest = x.shape[1:]
    starts, steps = (n, *(0,) * len(rest)), (1,) * len(x.shape)
    part = x if x.shape[0] == 1 else g.one(Slice(starts, (1, *rest), steps), x)
    return g.reshape(part, rest)


def _biases(call: Call, n: int, rows: int) -> tuple[Value, Value]:
    g = call.graph
    if not call.has(3):
        zeros = g.constant(np.zeros(rows, call[0].dtype.numpy))
        return zeros, zeros
    both = _part(call, 3, n)
    own, again = (g.one(Slice((start,), (rows,), (1,)), both) for start in (0, rows))
    return own, again


def _state(call: Call, index: int, n: int, hidden: int) -> Value:
    g, first = call.graph, bool(call.integer("layout"))
    batch = call[0].shape[0 if first else 1]
    given = call.optional(index)
    if given is None:
        return g.constant(np.zeros((batch, hidden), call[0].dtype.numpy))
    axis = 1 if first else 0
    starts = tuple(n if a == axis else 0 for a in range(3))
    counts = tuple(1 if a == axis else e for a, e in enumerate(given.shape))
    part = given if given.shape[axis] == 1 else g.one(Slice(starts, counts, (1, 1, 1)), given)
    return g.reshape(part, (batch, hidden))


def _activations(call: Call, cell: Cell, count: int) -> list[tuple[Activation, ...]]:
    """For each direction; alphas and betas belong to those functions that take them, in order."""
    names = call.texts("activations") or list(_DEFAULTS[cell]) * count
    each = len(_DEFAULTS[cell])
    if len(names) != each * count:
        raise GraphError(f"{call.op_type}: {len(names)} activations for {count} directions")
    alphas, betas = iter(call.reals("activation_alpha")), iter(call.reals("activation_beta"))
    made = []
    for name in names:
        if name.lower() not in _FUNCTIONS:
            raise GraphError(f"{call.op_type}: activation {name!r} is not supported")
        function, defaults = _FUNCTIONS[name.lower()]
        given = zip(defaults, (alphas, betas), strict=False)
        made.append(Activation(function, tuple(next(it, default) for default, it in given)))
    return [tuple(made[n * each : (n + 1) * each]) for n in range(count)]
