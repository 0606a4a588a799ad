"""Reductions of rows in vectors: partial results in many lanes, then a tree of the lanes."""

from __future__ import annotations

import tdsl as td


@td.combinator
def reduce_in_lanes(s: td.Schedule, block: str, lanes: int, vector: int) -> str:
    """Split the last, reduced, loop of a block over lanes in registers, and halve the lanes.

    Args:
        s: the schedule.
        block: reduces over its innermost loop.
        lanes: partial results: enough vectors of them hide the latency of one combination.
        vector: lanes of one vector; the vectors are combined one after the other.

    Returns:
        The block that reduces the input into the lanes.
    """
    first = ""
    widths = [lanes]
    while vector > 1:
        widths.append(vector)
        vector //= 2
    for width in widths:
        _, inner = s.split(s.loops(block)[-1], width)
        partial = s.rfactor(inner)
        s.set_scope(partial, "register")
        loops = s.loops(partial)
        s.vectorize(loops[-1])
        if first:
            s.unroll(loops[-2])
        first = first or partial
    s.unroll(s.loops(block)[-1])
    return first
