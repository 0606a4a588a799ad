"""The same chain as chain8, breadth first: each stage for the whole image before the next."""

from __future__ import annotations

import tdsl as td
from benchmarks.kernels.chain8 import STAGES, workload

__all__ = ["schedule", "workload"]


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Each stage alone as quick as it gets: columns of vectors walk down, stores are streamed."""
    del threads
    s = td.Schedule(func)
    for block in STAGES:
        y, x = s.loops(block)
        yo, _, _, xi = s.tile(y, x, 32, 128)
        s.vectorize(xi)
        s.stream(block)
        s.parallel(yo)
    return s
