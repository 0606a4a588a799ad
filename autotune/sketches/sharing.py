"""Which of the outermost loops run in parallel."""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.autotune.sketches.naming import Named
from tdsl.scheduling import Loop, Schedule

_MOST = 3  # loops that are fused, besides those of one iteration


def share(s: Schedule, knob: Named, loops: Sequence[Loop]) -> Loop:
    """Run the outermost of directly nested loops in parallel, as one; a knob says how many.

    Loops of a single iteration are taken in before they are counted: they give nobody work.
    """
    first = 0
    while first < len(loops) - 1 and loops[first].extent == 1:
        first += 1
    counts = range(min(_MOST, len(loops) - first), 0, -1)
    last = first + knob.choice("parallel", list(counts))
    outer = loops[0]
    for inner in loops[1:last]:
        outer = s.fuse(outer, inner)
    return s.parallel(outer)
