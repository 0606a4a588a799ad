"""Outputs: each gets memory of its own, which is no input, no constant and no other output."""

from __future__ import annotations

from tdsl.graph.ir import Model, Node, Value
from tdsl.graph.ops.movement import Copy


def separate_outputs(model: Model) -> Model:
    """Copy what a run could not hand out otherwise."""
    made_by = model.producers()

    def root(value: Value) -> Value | None:
        """The value whose memory this one is, None where it is a part of it."""
        whole = value.count
        while value in made_by and made_by[value].view_start is not None:
            value = made_by[value].inputs[0]
        return value if value.count == whole else None

    taken: set[Value] = {*model.inputs, *model.constants}
    copies: list[Node] = []
    outputs: list[tuple[str, Value]] = []
    for name, value in model.outputs:
        kept = value
        home = root(value)
        if home is None or home in taken:
            kept = Value(f"{value.name}.{name}", value.shape, value.dtype)
            copies.append(Node(Copy(), (value,), (kept,)))
        if home is not None:
            taken.add(home)
        outputs.append((name, kept))
    return Model(model.inputs, tuple(outputs), (*model.nodes, *copies), model.constants)
