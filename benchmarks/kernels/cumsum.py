"""Running sums of one long vector."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y[t] = X[0] + ... + X[t]."""
    n = shape["n"]
    X = td.placeholder((n,), "float32", name="X")
    t = td.scan_axis(n, name="t")
    Y = td.scan(t, {"y": ((), 0.0)}, lambda t, prev: {"y": prev["y"] + X[t]}, name="cumsum")["y"]
    return td.func("cumsum", [X], [Y])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """The order of the sum is the algorithm's: one addition after the other."""
    del threads
    return td.Schedule(func)
