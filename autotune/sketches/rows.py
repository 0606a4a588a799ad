"""Reductions along rows, with everything that a row needs: partial results in lanes (rfactor).

Without partial results the order of additions stays as declared, and so do the bits of the result.
A reduction of everything to one element is done in parallel parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tdsl.autotune.sketches.naming import Named
from tdsl.autotune.sketches.sharing import share
from tdsl.ir.expr import Var
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.fetching import fetch_ahead, rows_ahead
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.reduction import match, member_of, vectorize_row
from tdsl.schedules.rules.steps import own_loops
from tdsl.scheduling import Loop, Schedule

_MOST_VECTORS = 8
_MOST_ROWS = 64
_SHORT = 16  # elements that are one vector as they are
_MANY = 1 << 20  # what a symbolic extent counts as
_ACCUMULATORS = (8, 4, 2, 1, 0)  # vectors of partial results; 0: in the order declared


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
    """Rows or parts in parallel, partial results in lanes, rows to come asked for ahead."""
    sink = group.sink
    loops = s.loops(sink.name)
    kept = [loops[sink.data.index(v)] for v in _shared(group)]
    accumulators = knob.choice("accumulators", list(_ACCUMULATORS))
    if not kept:
        _in_parts(s, knob, group, accumulators)
        return
    rest = tuple(loop for loop in loops if loop not in kept)
    s.reorder(*kept, *rest)
    _share_rows(s, knob, group, kept)
    vectors = knob.int("vectors", 1, _MOST_VECTORS)
    walking: dict[str, str] = {}
    for block in group.blocks:
        name, axes, dense, width, lanes, reduces = member_of(block, group, s.target)
        if width == 1:
            continue
        own = rest if block is sink else own_loops(s, name, axes)
        if reduces:
            walking[name] = _reduce(s, name, own, dense, accumulators * lanes, lanes)
        else:
            _map(s, own, dense, vectors * lanes, lanes)
    ahead = rows_ahead(group, 1, s.target)
    fetches = knob.choice("prefetch", [ahead, ()]) if ahead else ()
    for name, tensor, dimension, distance in fetches:
        fetch_ahead(s, walking.get(name, name), tensor, dimension, distance)


def _share_rows(s: Schedule, knob: Named, group: Group, kept: list[Loop]) -> None:
    """Chunks of rows in parallel; members are computed where a row is."""
    outer, at = s.split(kept[-1], knob.tile("rows", kept[-1], _MOST_ROWS))
    for name in reversed([block.name for block in group.members]):
        s.compute_at(name, at=at)
    share(s, knob, [*kept[:-1], outer])


def _map(s: Schedule, own: Sequence[Loop], dense: int, width: int, lanes: int) -> None:
    """Vectors along the innermost axes of a block that computes each element by itself."""
    last = own[-dense]
    for inner in own[len(own) - dense + 1 :]:
        last = s.fuse(last, inner)
    if isinstance(last.extent, int) and last.extent <= _SHORT:
        s.vectorize(last)
    else:
        s.vectorize(s.split(last, width, tail="mask")[1], lanes)


def _reduce(
    s: Schedule, block: str, own: Sequence[Loop], dense: int, width: int, lanes: int
) -> str:
    """Partial results in lanes, if there are to be any; the block that walks the row."""
    length = prod(x.extent if isinstance(x.extent, int) else _MANY for x in own[-dense:])
    while width > length:
        width //= 2
    if width < 2:
        return block
    return vectorize_row(s, block, tuple(own), dense, width, min(lanes, width), reduces=True)


def _in_parts(s: Schedule, knob: Named, group: Group, accumulators: int) -> None:
    """A reduction to a single element: parts of it in parallel, then their sum."""
    name, _, dense, _, lanes, _ = member_of(group.sink, group, s.target)
    own = s.loops(name)
    last = own[-dense]
    for inner in own[len(own) - dense + 1 :]:
        last = s.fuse(last, inner)
    outer, _ = s.split(last, knob.tile("part", last, 1 << 18))
    partial = s.rfactor(outer)
    loops = s.loops(partial)
    s.parallel(loops[0])
    _reduce(s, partial, loops[1:], 1, accumulators * lanes, lanes)
