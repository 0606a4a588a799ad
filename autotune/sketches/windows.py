"""Windows over planes, without reuse across channels: tiles in registers, padding made in strips.

parallel planes:
  for strips of rows:
    pad X                                      # for the plane, for the strip, or beforehand
    for rows, columns of a tile:
      acc = 0;  for r, s: acc[rows][columns] += X[rows + r, columns + s] * W[r, s];  epilogue(acc)
"""

from __future__ import annotations

from tdsl.autotune.sketches.naming import Named
from tdsl.autotune.sketches.sharing import share
from tdsl.schedules.rules import depthwise
from tdsl.schedules.rules.depthwise import Planes
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.steps import hold_tile, own_loops
from tdsl.scheduling import Loop, Schedule

_MOST_VECTORS = 6
_MOST_ROWS = 8
_MOST_STRIP = 64  # tiles of rows


def fits(s: Schedule, group: Group) -> bool:
    """One reduction over windows that slide along the last axis, and what makes its input."""
    plan = depthwise.match(group, s.target)
    return isinstance(plan, Planes) and plan.axes[0] >= 0


def sketch(s: Schedule, knob: Named, group: Group) -> None:
    """Tiles of rows and columns, strips of tiles, and where the input is padded."""
    plan = depthwise.match(group, s.target)
    assert isinstance(plan, Planes)
    name = s.cache_write(plan.block, "register") if plan.sink == plan.block else plan.sink
    loops = s.loops(name)
    row, column = plan.axes
    planes = [loops[n] for n in plan.planes]
    others = [loop for n, loop in enumerate(loops) if n not in (*plan.planes, *plan.axes)]
    vectors = knob.int("vectors", 1, _MOST_VECTORS)
    rows = knob.tile("rows", loops[row], _MOST_ROWS)
    knob.require(rows * vectors + vectors + 1 <= s.target.vector_registers)
    xo, xi = s.split(loops[column], vectors * plan.lanes, tail="mask")
    yo, yi = s.split(loops[row], rows, tail="guard")
    strips: list[Loop] = []
    if knob.choice("strips", [False, True]):
        strip, yo = s.split(yo, knob.tile("strip", yo, _MOST_STRIP))
        strips = [strip]
    s.reorder(*planes, *others, *strips, yo, xo, yi, xi)
    outer = [*planes, *others, *strips]
    shared = share(s, knob, outer)
    place = strips[-1] if strips else planes[-1]
    hold_tile(s, plan.block, xo, plan.rank, row, column, plan.lanes)
    if plan.source[0]:
        _place_source(s, knob, plan, place if place.is_alive else shared)
    if plan.unroll and knob.choice("window", ["unrolled", "loops"]) == "unrolled":
        for loop in s.nest.block(plan.block).loops:
            if loop.reduces:
                s.unroll(loop.label)
    s.unroll(yi)
    s.vectorize(xi, plan.lanes)


def _place_source(s: Schedule, knob: Named, plan: Planes, at: Loop) -> None:
    """Make the input that is read where a strip is, or all of it beforehand."""
    source, axes = plan.source
    inside = knob.choice("padding", ["inside", "before"]) == "inside"
    if inside:
        s.compute_at(source, at=at)
    loops = own_loops(s, source, axes)
    s.vectorize(loops[-1], plan.lanes)
    if not inside:
        s.parallel(loops[0] if len(loops) < 3 else s.fuse(loops[0], loops[1]))
