"""Products of a vector and constant weights: memory is read once, from end to end.

The weights are passed in panels of some columns; each task streams one panel after another.

    parallel jo:
      acc[64] = 0;  for k: acc += x[k] * W[jo][k][64 columns]
      epilogue(acc)
"""

from __future__ import annotations

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import Access, BlockFacts
from tdsl.schedules.rules.columns import VECTORS, is_near, side_by_side
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.fetching import FAR, is_large
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.target import Target, TargetKind


def match(group: Group, target: Target) -> Plan | None:
    """One reduction over large constant weights of which each element is used once."""
    products = [block for block in group.blocks if block.reduces]
    if target.kind is not TargetKind.LLVM or len(products) != 1 or not group.is_whole:
        return None
    (block,) = products
    if any(b.is_ordered for b in group.blocks) or find_contraction(block) is not None:
        return None
    weights = _weights(block, group, target)
    column = None if weights is None else _column(block, weights, group)
    if weights is None or column is None:
        return None
    width = target.lanes(max(b.bits for b in group.blocks)) * VECTORS
    extent, own = group.sink.extent(column), group.ties[block.name][column]
    at = weights.dimension(own)
    if extent is None or extent <= width or at is None:
        return None
    name, last = weights.buffer.name, weights.dimension(block.reduced[-1])
    far = max(1, FAR // (width * weights.buffer.dtype.bytes))
    ahead = () if last is None else ((block.name, name, last, far),)
    return side_by_side(group, column, width, target, ahead, ((name, at),))


def _weights(block: BlockFacts, group: Group, target: Target) -> Access | None:
    """The constant operand from beyond the caches, where there is another operand besides."""
    reduced = set(block.reduced)
    walked = [load for load in block.loads if load.vars & reduced]
    found = [
        load
        for load in walked
        if load.buffer in group.constants
        and is_large(load.buffer, target)
        and all(load.is_plain(v) for v in block.reduced)
    ]
    return found[0] if len(found) == 1 and len(walked) > 1 else None


def _column(block: BlockFacts, weights: Access, group: Group) -> Var | None:
    """The axis of the sink along which only the weights are not dense."""
    for var in reversed(group.shared):
        own = group.ties[block.name][var]
        if group.sink.extent(var) == 1 or not weights.is_plain(own):
            continue
        accesses = [
            (access, group.ties[b.name][var])
            for b in group.blocks
            for access in (*b.writes, *b.loads)
            if access.buffer is not weights.buffer
        ]
        if all(is_near(access, axis) for access, axis in accesses):
            return var
    return None


RULE = Rule("matvec", match)
