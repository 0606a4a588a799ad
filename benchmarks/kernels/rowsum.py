"""Sums of the rows of a matrix: eight vector accumulators hide the latency of the additions."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.lanes import reduce_in_lanes

LANES, VECTOR = 128, 16


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y[i] = sum of X[i, :]."""
    r, c = shape["r"], shape["c"]
    X = td.placeholder((r, c), "float32", name="X")
    k = td.reduce_axis(c, name="k")
    return td.func("rowsum", [X], [td.compute((r,), lambda i: td.sum(X[i, k], axis=k), name="Y")])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Partial sums in 128 lanes, then a tree of adds; 16 rows a chunk, 8 KiB fetched ahead."""
    del threads
    s = td.Schedule(func)
    i, _ = s.loops("Y")
    io, _ = s.split(i, 16)
    lanes = reduce_in_lanes(s, "Y", LANES, VECTOR)
    s.prefetch(lanes, "X", f"i, lane, k -> i, k * {LANES} + lane + 2048")
    s.parallel(io)
    return s
