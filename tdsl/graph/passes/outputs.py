"""Outputs: each gets memory of its own, which is no input, no constant and no other output."""

from __future__ import annotations

from tdsl.graph.ir import Model, Node, Value
from tdsl.graph.ops.movement import Copy


def separate_outputs(model: Model) -> Model:
    """Copy what a run could not hand out otherwise."""
    made_by = model.producers()

    def root(value: Value) -> Value:
        while value in made_by and made_by[value].op.is_view:
            value = made_by[value].inputs[0]
        return value

    taken: set[Value] = {*model.inputs, *model.constants}
    copies: list[Node] = []
    outputs: list[tuple[str, Value]] = []
    for name, value in model.outputs:
        kept = value
        if root(value) in taken:
            kept = Value(f"{value.name}.{name}", value.shape, value.dtype)
            copies.append(Node(Copy(), (value,), (kept,)))
        taken.add(root(value))
        outputs.append((name, kept))
    return Model(model.inputs, tuple(outputs), (*model.nodes, *copies), model.constants)
