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
from tdsl.target import TargetKind

_MOST_STAGES = 8
_SEPARATE = 2  # stages that get a place of their own; of longer pipelines all go to one place
_MOST_VECTORS = 4


def is_pipeline(s: Schedule, outputs: frozenset[Buffer]) -> bool:
    """Whether an algorithm is a pipeline of two to eight plain stages, before anything is done."""
    blocks = [BlockFacts(view.leaf.block) for view in s.nest.blocks]
    return s.target.kind is not TargetKind.OPENCL and _fits(blocks, outputs)


def _fits(blocks: Sequence[BlockFacts], outputs: frozenset[Buffer]) -> bool:
    sink, stages = blocks[-1], blocks[:-1]
    plain = all(b.block.kind is BlockKind.COMPUTE and not b.is_ordered for b in blocks)
    inner = all(not b.written & outputs for b in stages)
    return plain and inner and 1 <= len(stages) <= _MOST_STAGES and len(sink.data) >= 2


def sketch(
    s: Schedule, knob: Named, blocks: Sequence[BlockFacts], outputs: frozenset[Buffer]
) -> bool:
    """Strips and tiles of the last stage; the others where its tiles need them."""
    sink, stages = blocks[-1], blocks[:-1]
    if (
        s.target.kind is TargetKind.OPENCL
        or not _fits(blocks, outputs)
        or not knob.choice("fuse", [True, False])
    ):
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
