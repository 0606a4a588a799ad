"""Reductions along rows, with everything that a row needs: partial results in lanes (rfactor).

Without `rfactor` the order of additions stays as declared, and so do the bits of the result. A
reduction of everything to one element is also tried in parallel parts.
"""

from __future__ import annotations

from tdsl.autotune.sketches.naming import Named
from tdsl.ir.expr import Var
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.reduction import match, member_of
from tdsl.schedules.rules.steps import own_loops
from tdsl.scheduling import Loop, Schedule

_MOST_VECTORS = 8
_MOST_ROWS = 64
_SHORT = 16  # elements that are not worth a vector


def fits(s: Schedule, group: Group) -> bool:
    """Reductions along dense axes; a block that is reduced to one element stands alone."""
    if match(group, s.target) is None or any(find_contraction(b) for b in group.blocks):
        return False
    return bool(_shared(group)) or (not group.members and group.sink.reduces)


def _shared(group: Group) -> tuple[Var, ...]:
    """The axes of the sink that tell rows apart."""
    sink = group.sink
    return group.shared if group.members or not sink.reduces else sink.data


def sketch(s: Schedule, knob: Named, group: Group) -> None:
    """Rows or parts in parallel, partial results in lanes."""
    sink = group.sink
    loops = s.loops(sink.name)
    kept = [loops[sink.data.index(v)] for v in _shared(group)]
    rest = tuple(loop for loop in loops if loop not in kept)
    if kept:
        s.reorder(*kept, *rest)
        _share_rows(s, knob, group, kept)
    else:
        _part_reduction(s, knob, sink.name)
    vectors = knob.int("vectors", 1, _MOST_VECTORS)
    in_lanes = knob.choice("rfactor", [True, False])
    for block in group.blocks:
        name, axes, dense, width, lanes, reduces = member_of(block, group, s.target)
        if width == 1:
            continue
        own = rest if block is sink and kept else own_loops(s, name, axes)
        last = own[-dense]
        for inner in own[len(own) - dense + 1 :]:
            last = s.fuse(last, inner)
        if isinstance(last.extent, int) and last.extent <= _SHORT:
            s.vectorize(last) if not reduces else s.unroll(last)
        elif not reduces:
            s.vectorize(s.split(last, vectors * lanes, tail="mask")[1], lanes)
        elif in_lanes:
            _reduce_in_lanes(s, name, s.split(last, vectors * lanes)[1])


def _share_rows(s: Schedule, knob: Named, group: Group, kept: list[Loop]) -> None:
    """Chunks of rows in parallel; members are computed where a row is."""
    outer, at = s.split(kept[-1], knob.tile("rows", kept[-1], _MOST_ROWS))
    for name in reversed([block.name for block in group.members]):
        s.compute_at(name, at=at)
    first, *more = [*kept[:-1], outer]
    count = knob.choice("parallel", list(range(1, min(3, 1 + len(more)) + 1)))
    for loop in more[: count - 1]:
        first = s.fuse(first, loop)
    s.parallel(first)


def _part_reduction(s: Schedule, knob: Named, block: str) -> None:
    """A reduction to a single element: parts of it in parallel, then their sum."""
    loop = s.loops(block)[0]
    outer, _ = s.split(loop, knob.tile("part", loop, 1 << 18))
    s.parallel(s.loops(s.rfactor(outer))[0])


def _reduce_in_lanes(s: Schedule, block: str, lanes: Loop) -> None:
    """Reduce into lanes, and those one after the other."""
    partial = s.rfactor(lanes)
    s.set_scope(partial, "register")
    s.vectorize(s.loops(partial)[-1])
    s.unroll(s.loops(block)[-1])
