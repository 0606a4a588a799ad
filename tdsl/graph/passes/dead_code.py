"""Dead code: nodes whose results nobody reads, and constants likewise."""

from __future__ import annotations

from tdsl.graph.ir import Model, Node, Value


def remove_dead_code(model: Model) -> Model:
    """Keep what the outputs depend on."""
    needed: set[Value] = set(model.results)
    kept: list[Node] = []
    for node in reversed(model.nodes):
        if any(value in needed for value in node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    constants = {value: array for value, array in model.constants.items() if value in needed}
    return Model(model.inputs, model.outputs, tuple(reversed(kept)), constants)
