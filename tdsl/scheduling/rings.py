"""Layouts that keep a few rows of a tensor: `[i % 3, j]` is a ring of three along dimension 0.

Which elements share a place is told in `tdsl/lower/told.py`, for layouts of any form.
"""

from __future__ import annotations

from typing import cast

from tdsl.ir.build import floormod
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Expr, Node, Var
from tdsl.ir.stmt import Layout
from tdsl.ir.visit import substitute, transform, walk


def plain_layout(buffer: Buffer) -> Layout:
    """Row-major storage, as a layout."""
    inputs = tuple(Var(name) for name in _names(buffer.rank))
    return Layout(inputs, inputs)


def _names(rank: int) -> list[str]:
    return list("ijklmn"[:rank]) if rank <= len("ijklmn") else [f"i{d}" for d in range(rank)]


def is_ring(layout: Layout, dim: int) -> bool:
    """Whether a dimension reuses places already.

    A ring in a ring would not be one: lowering moves the origin of what is stored, which turns a
    ring, but changes which elements of a ring in a ring share a place.
    """
    at = layout.inputs[dim]
    nodes = [n for output in layout.outputs for n in walk(output)]
    rings = sum(_is_turn(n, at) for n in nodes)
    return rings > 0 and rings == sum(n is at for n in nodes)


def _is_turn(n: Node, at: Var) -> bool:
    return isinstance(n, Binary) and n.op is BinaryOp.FLOORMOD and n.a is at


def unfolded(layout: Layout, dim: int) -> Layout:
    """A layout that is a ring along a dimension, without it."""
    at = layout.inputs[dim]
    outputs = tuple(transform(o, lambda n: at if _is_turn(n, at) else n) for o in layout.outputs)
    return Layout(layout.inputs, cast("tuple[Expr, ...]", outputs))


def folded(layout: Layout, dim: int, factor: int) -> Layout:
    """A layout in which a dimension is a ring of *factor* places."""
    folded: dict[Var, Expr] = {layout.inputs[dim]: floormod(layout.inputs[dim], factor)}
    outputs = tuple(substitute(output, folded) for output in layout.outputs)
    return Layout(layout.inputs, outputs)
