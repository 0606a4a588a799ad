"""Layer normalisation of the rows of a matrix, in the two-pass form."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.lanes import reduce_in_lanes

LANES, VECTOR = 64, 16


def workload(shape: Mapping[str, int]) -> td.Func:
    """(x - mean) / sqrt(variance + 1e-5) * gain + bias."""
    r, c = shape["r"], shape["c"]
    X = td.placeholder((r, c), "float32", name="X")
    G = td.placeholder((c,), "float32", name="G")
    B = td.placeholder((c,), "float32", name="B")
    k = td.reduce_axis(c, name="k")
    T = td.compute((r,), lambda i: td.sum(X[i, k], axis=k), name="T")
    U = td.compute((r,), lambda i: T[i] * (1.0 / c), name="U")
    V = td.compute((r,), lambda i: td.sum((X[i, k] - U[i]) * (X[i, k] - U[i]), axis=k), name="V")
    W = td.compute((r,), lambda i: 1.0 / td.sqrt(V[i] * (1.0 / c) + 1e-5), name="W")
    Y = td.compute((r, c), lambda i, j: (X[i, j] - U[i]) * W[i] * G[j] + B[j], name="Y")
    return td.func("layernorm", [X, G, B], [Y])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Pairs of rows, which share the gain and the bias; 64 rows a chunk."""
    del threads
    s = td.Schedule(func)
    i, j = s.loops("Y")
    io, pair, row = s.split(i, (None, 32, 2))
    for block in ("W", "V", "U", "T"):
        s.compute_at(block, at=pair)
    for block in ("T", "V"):
        reduce_in_lanes(s, block, LANES, VECTOR)
    vectors, lane = s.split(j, VECTOR, tail="mask")
    s.reorder(vectors, row)
    s.unroll(row)
    s.vectorize(lane)
    for tensor in ("X", "Y"):
        s.prefetch("Y", tensor, "i, j -> i + 2, j")
    s.parallel(io)
    return s
