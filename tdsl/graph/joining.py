"""Groups that work on rows wherever these stand: all axes but the last count as one.

A product of [batch, length, k] by weights [k, n], and what goes on elementwise, is one of matrices.
For symbolic sizes that leaves a single size, the number of rows, to be cut into tiles.
"""

from __future__ import annotations

from math import prod

from tdsl.graph.fusion import Group
from tdsl.graph.ir import Node, Value
from tdsl.graph.ops.elementwise import Cast, Elementwise
from tdsl.graph.ops.linear import MatMul

_FEWEST = 3  # axes, of which some are to be joined


def has_joined_rows(group: Group) -> bool:
    """Whether a group computes the same with all axes but the last of its operands joined."""
    lead = group.sink.output.shape[:-1]
    return len(lead) >= _FEWEST - 1 and all(_works_on_rows(node, lead) for node in group.nodes)


def rows_joined(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with all axes but the last as one; vectors and matrices stay as they are."""
    return shape if len(shape) < _FEWEST else (prod(shape[:-1]), shape[-1])


def _works_on_rows(node: Node, lead: tuple[int, ...]) -> bool:
    if node.output.shape[:-1] != lead:
        return False
    if isinstance(node.op, MatMul):
        a, b = node.inputs
        return a.shape[:-1] == lead and len(b.shape) == 2 and not node.op.transpose_a
    return isinstance(node.op, (Elementwise, Cast)) and all(_fits(v, lead) for v in node.inputs)


def _fits(value: Value, lead: tuple[int, ...]) -> bool:
    """Whether a value has all the rows, or is broadcast to each."""
    shape = value.shape
    return shape[:-1] == lead or all(n == 1 for n in shape[:-1])
