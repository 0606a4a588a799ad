"""Matrix transposition: 32 rows of the source a chunk, 16 x 16 tiles turned in registers."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y[i, j] = X[j, i]."""
    r, c = shape["r"], shape["c"]
    X = td.placeholder((r, c), "float32", name="X")
    return td.func("transpose", [X], [td.compute((c, r), lambda i, j: X[j, i], name="Y")])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Sweep the columns of 32 source rows; two adjacent lines of each destination row at a time."""
    del threads
    s = td.Schedule(func)
    i, j = s.loops("Y")
    jo, ji = s.split(j, 32)
    io, ii = s.split(i, 16)
    s.reorder(jo, io, ii, ji)
    s.unroll(ii)
    s.vectorize(ji)
    s.stream("Y")
    s.parallel(jo)
    return s
