"""Fusion of pipelines without reductions: each stage at the root, for a strip, or for a tile.

parallel yo:               # a strip of rows
  stages "strip"
  for xo:                  # a tile of columns
    stages "tile"
    for yi, xi: out[y, x] = ...
"""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.autotune.sketches.naming import Named
from tdsl.ir.expr import Buffer
from tdsl.ir.stmt import BlockKind
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.scheduling import Schedule

_MOST_STAGES = 8
_SEPARATE = 2  # stages that get a place of their own; of longer pipelines all go to one place
_MOST_VECTORS = 4


def sketch(
    s: Schedule, knob: Named, blocks: Sequence[BlockFacts], outputs: frozenset[Buffer]
) -> bool:
    """A pipeline of two to eight plain stages that ends in one block of two axes or more."""
    sink, stages = blocks[-1], blocks[:-1]
    plain = all(b.block.kind is BlockKind.COMPUTE and not b.is_ordered for b in blocks)
    if not plain or not 1 <= len(stages) <= _MOST_STAGES or len(sink.data) < 2:
        return False
    if any(b.written & outputs for b in stages) or knob.choice("fuse", [True, False]) is False:
        return False
    *outer, rows, columns = s.loops(sink.name)
    yo, yi = s.split(rows, knob.tile("strip", rows, 256))
    xo, xi = s.split(columns, knob.tile("width", columns, 1024))
    s.reorder(yo, xo, *outer, yi, xi)
    places = {"strip": yo, "tile": xo}
    shared = None
    if len(stages) > _SEPARATE:
        shared = knob.choice("stages", ["strip", "tile"])
    for number, stage in reversed(list(enumerate(stages))):
        place = shared or knob.choice(f"stage{number}", ["strip", "tile", "root"])
        if place != "root":
            s.compute_at(stage.name, at=places[place])
    _vectors(s, knob, blocks)
    s.parallel(yo)
    for loop in outer:
        s.unroll(loop)
    return True


def _vectors(s: Schedule, knob: Named, blocks: Sequence[BlockFacts]) -> None:
    vectors = knob.int("vectors", 1, _MOST_VECTORS)
    for block in blocks:
        lanes = s.target.lanes(block.bits)
        s.vectorize(s.split(s.loops(block.name)[-1], vectors * lanes, tail="mask")[1], lanes)
        if block is not blocks[-1] and len(s.loops(block.name)) == len(block.data) + 1:
            s.parallel(s.loops(block.name)[0])  # it stands at the root
