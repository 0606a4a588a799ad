"""Attention: products of rows that are a softmax of another product, where it is one kernel.

    matmul(softmax(elementwise(matmul(q, k))), v)

The scores are made row by row where the second product needs them, and never all at once. That
saves memory and its bandwidth; scores that stay in the caches anyway are quicker in three kernels.
"""

from __future__ import annotations

from collections.abc import Mapping

from tdsl.graph.ir import Model, Node, Value
from tdsl.graph.kinds import Kind
from tdsl.graph.ops.linear import MatMul
from tdsl.graph.ops.reductions import Softmax

_STEPS = 4  # elementwise nodes between the first product and the softmax


def attention_chains(model: Model, kinds: Mapping[Node, Kind], large: int) -> dict[Node, Node]:
    """For each node of a chain whose scores take more than `large` bytes: its last product."""
    readers, made_by = model.readers(), model.producers()
    found: dict[Node, Node] = {}
    for node in model.nodes:
        if not isinstance(node.op, MatMul) or node.op.transpose_a:
            continue
        chain = _chain(node.inputs[0], kinds, readers, made_by, model.results)
        if chain and chain[0].output.nbytes > large:
            found.update(dict.fromkeys([*chain, node], node))
    return found


def _chain(
    value: Value, kinds: Mapping[Node, Kind], readers: Mapping[Value, list[Node]],
    made_by: Mapping[Value, Node], results: frozenset[Value],
) -> list[Node]:  # fmt: skip
    """The softmax that makes a value, and what it is made from down to a product; or nothing."""
    chain: list[Node] = []
    while True:
        node = made_by.get(value)
        if node is None or len(readers[value]) != 1 or value in results:
            return []
        chain.insert(0, node)
        if len(chain) == 1:
            if not isinstance(node.op, Softmax) or node.op.axis != len(value.shape) - 1:
                return []
            value = node.inputs[0]
        elif isinstance(node.op, MatMul):
            return chain
        else:
            whole = [v for v in node.inputs if v.shape == value.shape and v in made_by]
            if kinds[node] is not Kind.MAP or len(whole) != 1 or len(chain) > _STEPS + 1:
                return []
            value = whole[0]
