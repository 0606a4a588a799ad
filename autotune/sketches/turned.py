"""Convolutions whose vectors are output channels, while the result is dense along a row of places.

A row of the result is computed with channels innermost, and turned when it is stored:

parallel panels of channels x rows:
  for xo:  acc = 0;  for c, r, s:  acc[places][channels] += X[places + s] * packed W[channels]
  for squares:  Y[channels][places] = epilogue(acc)
"""

from __future__ import annotations

from tdsl.autotune.sketches.naming import Named
from tdsl.autotune.sketches.sharing import share
from tdsl.schedules.rules.contraction import Contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.steps import own_loops, pack_operand, pass_packed
from tdsl.scheduling import Loop, Schedule

_MOST_VECTORS = 4
_MOST_PLACES = 14
_MOST_ROWS = 8  # of the result, in one strip
_SIDE = 16  # of the squares that are turned


def fits(group: Group, view: Contraction) -> bool:
    """Whether the result is dense along a row axis, and the one column operand can be packed."""
    facts, sink, last = view.facts, group.sink, view.facts.data[-1]
    same = [group.ties[facts.name][v] for v in sink.data] == list(facts.data)
    if not same or len(view.vectors) != 1 or last not in view.rows:
        return False
    operand = view.vectors[0]
    dimension = operand.dimension(view.column)
    dense = facts.writes[0].is_dense(last)
    return dense and dimension is not None and operand.index_var(dimension) is view.column


def sketch(s: Schedule, knob: Named, group: Group, view: Contraction) -> None:
    """Tiles of places and channels, strips of rows, and when the weights are packed."""
    facts = view.facts
    name, made = group.sink.name, facts.name
    if group.sink is facts:
        name, made = s.cache_write(facts.name, "global"), f"{facts.name}.cache"
    loops, lanes = s.loops(name), s.target.lanes(facts.bits)
    data, column = list(facts.data), facts.data.index(view.column)
    vectors = knob.int("vectors", 1, _MOST_VECTORS)
    places = knob.tile("places", loops[-1], _MOST_PLACES)
    knob.require(places * vectors + vectors + 1 <= s.target.vector_registers)
    outside = [loops[data.index(v)] for v in view.batch]
    inner = [loop for n, loop in enumerate(loops[:-1]) if n != column and loop not in outside]
    oo, oi = s.split(loops[column], vectors * lanes, tail="mask")
    rest: list[Loop] = []
    if inner:
        inner[-1], within = s.split(inner[-1], knob.tile("strip", inner[-1], _MOST_ROWS))
        rest = [within]
    by_rows = bool(inner) and knob.choice("order", ["panels", "rows"]) == "rows"
    outer = [*outside, *inner, oo] if by_rows else [*outside, oo, *inner]
    s.reorder(*outer, *rest, oi, loops[-1])
    operand = view.vectors[0]
    ahead = ["ahead"] if operand.buffer in group.constants else []
    packing = knob.choice("pack", [*ahead, "whole", *(["panel"] if not by_rows else [])])
    dimension = operand.dimension(view.column)
    assert dimension is not None
    packed = (facts.name, operand.buffer.name)
    if packing == "ahead":
        pass_packed(s, operand.buffer.name, dimension, vectors * lanes)
    if packing == "whole":
        pack_operand(s, *packed, None, dimension, vectors * lanes, lanes)
    shared = share(s, knob, outer)
    s.compute_at(facts.name, at=outer[-1] if outer[-1].is_alive else shared)
    _tile(s, knob, view, made, places)
    if packing == "panel":
        at = oo if oo.is_alive else shared
        pack_operand(s, *packed, at, dimension, vectors * lanes, lanes)
    _turn(s, oi, loops[-1])


def _tile(s: Schedule, knob: Named, view: Contraction, made: str, places: object) -> None:
    """Channels innermost in what is *made*, in tiles that registers hold."""
    facts = view.facts
    count, column = len(facts.data), facts.data.index(view.column)
    names = [f"d{n}" for n in range(count)]
    moved = [*(name for n, name in enumerate(names) if n != column), names[column]]
    s.transform_layout(made, f"{', '.join(names)} -> {', '.join(moved)}")
    own = own_loops(s, facts.name, len(facts.block.iters))
    tail = "balance" if facts.extent(facts.data[-1]) is not None else "guard"
    xo, xi = s.split(own[count - 1], places, tail=tail)  # type: ignore[arg-type]  # a knob
    reduced = list(own[count:])
    if len(reduced) > 1 and knob.choice("reduced", ["declared", "first inside"]) != "declared":
        reduced = [*reduced[1:], reduced[0]]
    others = [loop for n, loop in enumerate(own[: count - 1]) if n != column]
    s.reorder(*others, xo, *reduced, xi, own[column])
    s.unroll(xi)
    s.vectorize(own[column], s.target.lanes(facts.bits))


def _turn(s: Schedule, channels: Loop, places: Loop) -> None:
    """Store squares: vectors of places, loaded as vectors of channels."""
    so, si = s.split(channels, _SIDE)
    xo, xi = s.split(places, _SIDE)
    s.reorder(so, xo, si, xi)
    s.unroll(si)
    s.vectorize(xi, _SIDE)
