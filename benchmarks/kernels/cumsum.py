"""Running sums of one long vector."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td

STEPS = 43 * 48  # of a block; no power of two, so that chains do not meet in one set of the cache
CHAINS = 16  # blocks that one thread works on at once: an addition waits for the one before it


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y[t] = X[0] + ... + X[t]."""
    n = shape["n"]
    X = td.placeholder((n,), "float32", name="X")
    t = td.scan_axis(n, name="t")
    Y = td.scan(t, {"y": ((), 0.0)}, lambda t, prev: {"y": prev["y"] + X[t]}, name="cumsum")["y"]
    return td.func("cumsum", [X], [Y])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Blocks that start from the totals of those before; many chains of additions at once."""
    s = td.Schedule(func)
    blocks, steps = s.split_scan("t", STEPS)
    groups, chains = s.split(blocks, CHAINS)
    s.reorder(groups, steps, chains)
    s.unroll(chains)

    _, lanes = s.split("cumsum.y.sum.r", 48)
    s.rfactor(lanes)
    s.vectorize(s.loops("cumsum.y.sum.rf")[-1])
    s.set_scope("cumsum.y.sum.rf", "register")
    total, part = s.loops("cumsum.y.sum")
    s.unroll(part)
    if threads > 1:
        s.parallel(total)
        s.parallel(groups)
    return s
