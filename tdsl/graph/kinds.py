"""What an operator is to fusion, read off its body."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from tdsl.graph.bodies import Form, form_of, op_func
from tdsl.graph.ir import Node, Op
from tdsl.ir.expr import Checked
from tdsl.ir.stmt import Stmt
from tdsl.ir.visit import leaves, walk
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.contraction import find_contraction


class Kind(Enum):
    """How the elements of a result depend on those of the operands."""

    VIEW = "view"  # no work at all: another shape of the same memory, or a part of it
    MAP = "map"  # each element on those at its own place, or broadcast
    MOVE = "move"  # each element is one element from elsewhere
    REDUCTION = "reduction"  # on whole rows
    CONTRACTION = "contraction"  # a product of matrices or a convolution
    OPAQUE = "opaque"  # updates, scans, indices from data


def kind_of(node: Node) -> Kind:
    """The kind of a node."""
    return _kind(node.op, tuple(map(form_of, node.inputs)))


@lru_cache(maxsize=4096)
def _kind(op: Op, forms: tuple[Form, ...]) -> Kind:
    if op.view_start([shape for shape, _ in forms]) is not None:
        return Kind.VIEW
    found = op_func(op, forms)
    blocks = [BlockFacts(leaf.block) for leaf in leaves(found.program.body)]
    if any(block.is_ordered for block in blocks) or _has_data_indices(found.program.body):
        return Kind.OPAQUE
    if any(find_contraction(block) or _multiplies(block) for block in blocks):
        return Kind.CONTRACTION
    if any(block.reduces for block in blocks):
        windows = any(
            len(form.vars()) > 1 and form.vars() & set(block.reduced)
            for block in blocks
            for load in block.loads
            for form in load.forms
        )
        return Kind.OPAQUE if windows else Kind.REDUCTION
    return Kind.MAP if all(map(_is_map, blocks)) else Kind.MOVE


def _multiplies(block: BlockFacts) -> bool:
    """Whether a reduction walks several operands, as products of a matrix and a vector do."""
    walked = {load.buffer for load in block.loads if load.vars & set(block.reduced)}
    return block.reduces and len(walked - block.written) > 1


def _is_map(block: BlockFacts) -> bool:
    """Whether each load follows the last axes of the result, in order, or is broadcast."""
    for load in block.loads:
        if len(load.forms) > len(block.data):
            return False
        axes = block.data[len(block.data) - len(load.forms) :]
        for axis, form in zip(axes, load.forms, strict=True):
            if form.terms and not (form.const == 0 and form.vars() == {axis}):
                return False
    return True


def _has_data_indices(body: Stmt) -> bool:
    return any(isinstance(n, Checked) for n in walk(body))
