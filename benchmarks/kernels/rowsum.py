"""Sums of the rows of a matrix: eight vector accumulators hide the latency of the additions."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td

LANES = 128


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y[i] = sum of X[i, :]."""
    r, c = shape["r"], shape["c"]
    X = td.placeholder((r, c), "float32", name="X")
    k = td.reduce_axis(c, name="k")
    return td.func("rowsum", [X], [td.compute((r,), lambda i: td.sum(X[i, k], axis=k), name="Y")])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Partial sums in 128 lanes, then one tree of adds a row; 16 rows a chunk."""
    del threads
    s = td.Schedule(func)
    i, k = s.loops("Y")
    io, _ = s.split(i, 16)
    _, ki = s.split(k, LANES)
    partial = s.rfactor(ki)
    s.set_scope(partial, "register")
    s.vectorize(s.loops(partial)[-1])
    s.unroll(s.loops("Y")[-1])
    s.parallel(io)
    return s
