"""Eight five-point stencils in a row, each on what the one before leaves of the image."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from tdsl.schedules.stencil_chain import fuse_stencil_chain

STAGES = tuple(f"S{stage}" for stage in range(8))


def smooth(t: td.Tensor, y: td.Value, x: td.Value) -> td.Value:
    """The mean of a cross whose centre is at (y + 1, x + 1)."""
    return (t[y + 1, x + 1] + t[y, x + 1] + t[y + 2, x + 1] + t[y + 1, x] + t[y + 1, x + 2]) * 0.2


def workload(shape: Mapping[str, int]) -> td.Func:
    """Every stage loses a pixel on each side, so the input is 16 pixels larger than the result."""
    h, w = shape["h"], shape["w"]
    margin = 2 * len(STAGES)
    A = td.placeholder((h + margin, w + margin), "float32", name="A")
    stage = A
    for name in STAGES:
        margin -= 2
        stage = td.compute(
            (h + margin, w + margin), lambda y, x, t=stage: smooth(t, y, x), name=name
        )
    return td.func("chain8", [A], [stage])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Tiles of 1024 columns; all stages move down by four rows at a time."""
    del threads
    s = td.Schedule(func)
    fuse_stencil_chain(s, STAGES, strip=64, columns=1024, rows=4, lanes=16)
    s.stream(STAGES[-1])
    return s
