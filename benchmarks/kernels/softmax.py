"""Softmax of the rows of a matrix: maximum, exponentials and their sum, then a scaling."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.lanes import reduce_in_lanes

LANES, VECTOR = 128, 16


def workload(shape: Mapping[str, int]) -> td.Func:
    """S[i, j] = exp(X[i, j] - max) / sum."""
    r, c = shape["r"], shape["c"]
    X = td.placeholder((r, c), "float32", name="X")
    k = td.reduce_axis(c, name="k")
    M = td.compute((r,), lambda i: td.max(X[i, k], axis=k), name="M")
    E = td.compute((r, c), lambda i, j: td.exp(X[i, j] - M[i]), name="E")
    T = td.compute((r,), lambda i: td.sum(E[i, k], axis=k), name="T")
    R = td.compute((r,), lambda i: 1.0 / T[i], name="R")
    S = td.compute((r, c), lambda i, j: E[i, j] * R[i], name="S")
    return td.func("softmax", [X], [S])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """A row at a time, everything computed where the row is; reductions in 128 lanes."""
    del threads
    s = td.Schedule(func)
    i, j = s.loops("S")
    io, ii = s.split(i, 8)
    for block in ("R", "T", "E", "M"):
        s.compute_at(block, at=ii)
    for block in ("M", "T"):
        reduce_in_lanes(s, block, LANES, VECTOR)
    for loop in (s.loops("E")[-1], j):
        s.vectorize(s.split(loop, 64, tail="mask")[1])
    s.prefetch("E", "X", "i, j -> i + 1, j")
    s.prefetch("E", "S", "i, j -> i, j")
    s.parallel(io)
    return s
