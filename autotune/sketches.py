"""Sketches: a search space for any algorithm, made from its loops and accesses."""

from __future__ import annotations

from tdsl.autotune.knobs import Knobs
from tdsl.scheduling import Schedule


def sketch(s: Schedule, knob: Knobs) -> None:
    """Tile the last block, parallel outside, vectors inside."""
    loops = s.loops(s.blocks()[-1])
    s.parallel(s.split(loops[0], knob.tile("t", loops[0]))[0])
