"""Converters: branches and loops, which disappear: what runs is known when a model is imported."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.movement import Slice


@operator("If")
def branch(call: Call) -> Sequence[Value]:
    """The branch that is taken."""
    return call.body("then_branch" if bool(call.array(0).all()) else "else_branch")


@operator("Loop")
def loop(call: Call) -> Sequence[Value]:
    """The body so many times; what it scans out is stacked."""
    g = call.graph
    most = call.integers(0)[0] if call.has(0) else None
    going = bool(call.array(1).all()) if call.has(1) else True
    condition = call[1] if call.has(1) else g.constant(np.bool_(True))
    carried = [call[n] for n in range(2, len(call.operands))]
    collected: list[list[Value]] = []
    done = 0
    while going and (most is None or done < most):
        made = call.body("body", [g.constant(np.int64(done)), condition, *carried])
        condition, carried, outs = made[0], made[1 : 1 + len(carried)], made[1 + len(carried) :]
        collected.append(outs)
        going, done = bool(call.value_of(condition).all()), done + 1
    scanned = call.result_count - len(carried)
    if scanned and not collected:
        raise GraphError("Loop of no iterations: the shape of what it collects is unknown")
    return [*carried, *(_stacked(call, [outs[n] for outs in collected], 0) for n in range(scanned))]


@operator("Scan")
def scan(call: Call) -> Sequence[Value]:
    """The body for each slice of what is scanned."""
    if call.opset < 9:
        raise GraphError("Scan before opset 9 is not supported")
    count = call.integer("num_scan_inputs")
    split = len(call.operands) - count
    states = [call[n] for n in range(split)]
    inputs = [call[n] for n in range(split, len(call.operands))]
    outs = call.result_count - split
    input_axes, input_turns = (
        _per_item(call, f"scan_input_{what}", count) for what in ("axes", "directions")
    )
    output_axes, output_turns = (
        _per_item(call, f"scan_output_{what}", outs) for what in ("axes", "directions")
    )
    places = [call.front(a, len(x.shape)) for a, x in zip(input_axes, inputs, strict=True)]
    lengths = {x.shape[a] for x, a in zip(inputs, places, strict=True)}
    if len(lengths) != 1 or 0 in lengths:
        raise GraphError(f"Scan of {sorted(lengths)} slices")
    (length,) = lengths
    collected = []
    for t in range(length):
        slices = [
            _slice(call, x, axis, length - 1 - t if turn else t)
            for x, axis, turn in zip(inputs, places, input_turns, strict=True)
        ]
        made = call.body("body", [*states, *slices])
        states = made[:split]
        collected.append(made[split:])
    results = []
    for n, (axis, turn) in enumerate(zip(output_axes, output_turns, strict=True)):
        parts = [step[n] for step in collected]
        at = call.front(axis, len(parts[0].shape) + 1)
        results.append(_stacked(call, parts[::-1] if turn else parts, at))
    return [*states, *results]


def _per_item(call: Call, name: str, count: int) -> list[int]:
    given = call.integer_list(name) or [0] * count
    if len(given) != count:
        raise GraphError(f"Scan: {name} of {len(given)}, not {count}")
    return given


def _slice(call: Call, x: Value, axis: int, at: int) -> Value:
    starts = tuple(at if n == axis else 0 for n in range(len(x.shape)))
    counts = tuple(1 if n == axis else extent for n, extent in enumerate(x.shape))
    part = call.graph.one(Slice(starts, counts, (1,) * len(counts)), x)
    return call.graph.reshape(part, x.shape[:axis] + x.shape[axis + 1 :])


def _stacked(call: Call, parts: Sequence[Value], axis: int) -> Value:
    shape = parts[0].shape
    wide = (*shape[:axis], 1, *shape[axis:])
    return call.graph.concat([call.graph.reshape(part, wide) for part in parts], axis)
