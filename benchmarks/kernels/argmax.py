"""Index of the greatest element of each row."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.lanes import reduce_in_lanes

LANES, VECTOR = 128, 16


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y[i] = argmax of X[i, :]: where the maximum, or else a NaN, first stands."""
    r, c = shape["r"], shape["c"]
    X = td.placeholder((r, c), "float32", name="X")
    k = td.reduce_axis(c, name="k")
    M = td.compute((r,), lambda i: td.max(X[i, k], axis=k), name="M")

    def place(i: td.Value) -> td.Value:
        found = (X[i, k] == M[i]) | (X[i, k] != X[i, k])
        return td.select(found, td.cast(k, "int32"), c)

    P = td.compute((r,), lambda i: td.min(place(i), axis=k), name="P")
    Y = td.compute((r,), lambda i: td.cast(P[i], "int64"), name="Y")
    return td.func("argmax", [X], [Y])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Both reductions of a row while it is in the L1 cache; the next row comes meanwhile."""
    del threads
    s = td.Schedule(func)
    (i,) = s.loops("Y")
    io, ii = s.split(i, 16)
    for block in ("P", "M"):
        s.compute_at(block, at=ii)
        lanes = reduce_in_lanes(s, block, LANES, VECTOR)
        if block == "P":
            s.prefetch(lanes, "X", f"i, lane, k -> i + 1, k * {LANES} + lane")
    s.parallel(io)
    return s
