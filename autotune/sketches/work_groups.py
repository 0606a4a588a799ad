"""Products on devices: tiles of work-groups and work-items, local memory, vectors.

group.y io, group.x jo:
  for ko:
    local copies of what the tile needs of some operands
    local.y im, local.x jm:  acc[rows][columns] += A[..] * B[..]     # a private tile
"""

from __future__ import annotations

from tdsl.autotune.sketches.naming import Named
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.opencl import products
from tdsl.schedules.rules.opencl.products import GroupProduct, group_product
from tdsl.scheduling import Schedule

_MOST_ITEMS = 32  # of a group along one axis
_MOST_IN_GROUP = 256
_LEAST_IN_GROUP = 8
_MOST_TILE = 8  # elements of a work-item along one axis
_MOST_PRIVATE = 32  # elements of a work-item
_MOST_DEPTH = 64
_MOST_LOCAL = 32 << 10  # bytes of local memory
_VECTORS = (0, 2, 4, 8)


def fits(s: Schedule, group: Group) -> bool:
    """What the library's rule for products takes."""
    return isinstance(products.match(group, s.target), GroupProduct)


def sketch(s: Schedule, knob: Named, group: Group) -> None:
    """Sides of work-groups, tiles of work-items, depth, operands in local memory, vectors."""
    plan = products.match(group, s.target)
    assert isinstance(plan, GroupProduct)
    loops = s.loops(plan.block)
    row, column = plan.own
    high = knob.tile("items.rows", loops[row], _MOST_ITEMS)
    wide = knob.tile("items.columns", loops[column], _MOST_ITEMS)
    rows = knob.tile("rows", loops[row], _MOST_TILE)
    columns = knob.tile("columns", loops[column], _MOST_TILE)
    depth = knob.tile("depth", loops[plan.data], _MOST_DEPTH)
    knob.require(high * wide <= _MOST_IN_GROUP)
    knob.require(high * wide >= _LEAST_IN_GROUP)
    knob.require(rows * columns <= _MOST_PRIVATE)
    names = {" and ".join(some) or "none": some for some in _subsets(plan.shared)}
    shared = names[knob.choice("local", list(names))]
    size = group.blocks[0].bits // 8
    if shared:
        knob.require((high * rows + wide * columns) * depth * size <= _MOST_LOCAL)
    lanes = knob.choice("vectors", _VECTORS)
    group_product(
        s, plan.block, plan.sink, plan.own, (high, wide), (rows, columns), depth, plan.data,
        shared, lanes,
    )  # fmt: skip


def _subsets(operands: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All operands, none, and each alone."""
    alone = [(operand,) for operand in operands] if len(operands) > 1 else []
    return [operands, (), *alone]
