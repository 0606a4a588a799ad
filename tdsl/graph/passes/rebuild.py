"""What rewrites share: dropping nodes that nothing needs, and replacing values by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tdsl.graph.ir import Array, Model, Node, Value, rename_inputs


def with_nodes(
    model: Model, nodes: Sequence[Node], constants: Mapping[Value, Array] | None = None
) -> Model:
    """The model with other nodes, and perhaps other constants."""
    known = model.constants if constants is None else constants
    return Model(model.inputs, model.outputs, tuple(nodes), known)


def with_values(model: Model, renamed: Mapping[Value, Value]) -> Model:
    """The model with each use of some values replaced, their producers gone."""
    if not renamed:
        return model
    final = {old: resolve(old, renamed) for old in renamed}
    kept = [n for n in model.nodes if not all(v in final for v in n.outputs)]
    nodes = tuple(rename_inputs(node, final) for node in kept)
    outputs = tuple((name, final.get(value, value)) for name, value in model.outputs)
    return Model(model.inputs, outputs, nodes, model.constants)


def resolve(value: Value, renamed: Mapping[Value, Value]) -> Value:
    """What stands for a value after all replacements."""
    while value in renamed:
        value = renamed[value]
    return value
