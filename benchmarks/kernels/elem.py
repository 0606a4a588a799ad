"""max(1.5 x + 0.25, 0) + y over one long vector: bound by memory, so stores bypass the caches."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """relu of a multiply-add, plus another vector."""
    n = shape["n"]
    X = td.placeholder((n,), "float32", name="X")
    Y = td.placeholder((n,), "float32", name="Y")
    Z = td.compute((n,), lambda i: td.maximum(X[i] * 1.5 + 0.25, 0.0) + Y[i], name="Z")
    return td.func("elem", [X, Y], [Z])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Chunks of 64 Ki elements in parallel, streamed out."""
    del threads
    s = td.Schedule(func)
    (i,) = s.loops("Z")
    io, ii = s.split(i, 65536)
    s.vectorize(s.split(ii, 64)[1])
    s.stream("Z")
    s.parallel(io)
    return s
