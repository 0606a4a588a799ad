"""Algebra: views of views, transposes of transposes, and steps that change nothing."""

from __future__ import annotations

from tdsl.graph.ir import Array, Model, Node, Value
from tdsl.graph.ops.elementwise import Elementwise
from tdsl.graph.ops.movement import Reshape, Transpose
from tdsl.graph.passes.rebuild import with_nodes, with_values

_NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}


def simplify_algebra(model: Model) -> Model:
    """Drop neutral operands and pairs of moves that cancel."""
    joined = _joined(model)
    return with_values(joined, _no_ops(joined))


def _joined(model: Model) -> Model:
    """A move of a move reads what the first one read."""
    made_by = model.producers()
    nodes: list[Node] = []
    for node in model.nodes:
        before = made_by.get(node.inputs[0]) if node.inputs else None
        made = node if before is None else _join(before, node)
        nodes.append(made)
        made_by.update(dict.fromkeys(made.outputs, made))
    return with_nodes(model, nodes)


def _join(first: Node, second: Node) -> Node:
    sources = (*first.sources, *second.sources)
    match first.op, second.op:
        case Reshape(), Reshape():
            return Node(second.op, first.inputs, second.outputs, sources)
        case Transpose(order=inner), Transpose(order=outer):
            order = tuple(inner[n] for n in outer)
            return Node(Transpose(order), first.inputs, second.outputs, sources)
        case _:
            return second


def _no_ops(model: Model) -> dict[Value, Value]:
    found: dict[Value, Value] = {}
    for node in model.nodes:
        kept = _unchanged(node, model)
        if kept is not None and kept.shape == node.output.shape and kept.dtype is node.output.dtype:
            found[node.output] = kept
    return found


def _unchanged(node: Node, model: Model) -> Value | None:
    """The operand that a node passes on as it is."""
    match node.op:
        case Reshape() if node.output.shape == node.inputs[0].shape:
            return node.inputs[0]
        case Transpose(order=order) if order == tuple(range(len(order))):
            return node.inputs[0]
        case Elementwise(function=function) if function in _NEUTRAL and len(node.inputs) == 2:
            x, y = node.inputs
            if _is_all(model.constants.get(y), _NEUTRAL[function]):
                return x
            if function in ("add", "mul") and _is_all(model.constants.get(x), _NEUTRAL[function]):
                return y
            return None
        case _:
            return None


def _is_all(array: Array | None, number: float) -> bool:
    """Whether a constant is this number everywhere; adding 0 turns -0 into 0, which is equal."""
    return array is not None and array.dtype.kind in "fiu" and bool((array == number).all())
