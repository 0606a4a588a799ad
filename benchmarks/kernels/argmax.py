"""Index of the greatest element of each row."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.lanes import reduce_in_lanes

LANES, VECTOR = 64, 16


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y[i] = argmax of X[i, :]: the first NaN, else the lowest index."""
    r, c = shape["r"], shape["c"]
    X = td.placeholder((r, c), "float32", name="X")
    k = td.reduce_axis(c, name="k")
    Y = td.compute((r,), lambda i: td.argmax(X[i, k], axis=k), name="Y")
    return td.func("argmax", [X], [Y])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Candidates in 64 lanes, then the best of them; 16 rows a chunk."""
    del threads
    s = td.Schedule(func)
    i, _ = s.loops("Y")
    io, _ = s.split(i, 16)
    reduce_in_lanes(s, "Y", LANES, VECTOR)
    s.parallel(io)
    return s
