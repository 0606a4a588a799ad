"""Adding four numbers: what a call costs."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """Z = X + Y."""
    n = shape["n"]
    X = td.placeholder((n,), "float32", name="X")
    Y = td.placeholder((n,), "float32", name="Y")
    return td.func("tiny", [X, Y], [td.compute((n,), lambda i: X[i] + Y[i], name="Z")])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """One vector."""
    del threads
    s = td.Schedule(func)
    s.vectorize(s.loops("Z")[0], 4)
    return s
