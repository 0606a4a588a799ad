"""Constant folding: nodes whose operands are all known become constants."""

from __future__ import annotations

from tdsl.graph.bodies import evaluate
from tdsl.graph.ir import Model, Node
from tdsl.graph.passes.rebuild import with_nodes

_GROWTH = 1 << 20  # bytes by which a folded constant may exceed its operands


def fold_constants(model: Model) -> Model:
    """Evaluate them, unless the result would be much larger than what it is made from."""
    known = dict(model.constants)
    kept: list[Node] = []
    for node in model.nodes:
        grown = sum(v.nbytes for v in node.outputs) - sum(v.nbytes for v in node.inputs)
        if grown > _GROWTH or not all(value in known for value in node.inputs):
            kept.append(node)
            continue
        known.update(
            zip(node.outputs, evaluate(node.op, [known[v] for v in node.inputs]), strict=True)
        )
    return with_nodes(model, kept, known)
