"""Running sums of one long vector."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.lanes import reduce_in_lanes

LANES = 16  # blocks that one thread works on at once, each in a lane
STEPS = 33 * LANES  # of a block; no power of two, so that blocks do not meet in one set of a cache
SUMS = 48  # partial sums of a block's total


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y[t] = X[0] + ... + X[t]."""
    n = shape["n"]
    X = td.placeholder((n,), "float32", name="X")
    t = td.scan_axis(n, name="t")
    Y = td.scan(t, {"y": ((), 0.0)}, lambda t, prev: {"y": prev["y"] + X[t]}, name="cumsum")["y"]
    return td.func("cumsum", [X], [Y])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Blocks that start from the totals of those before, one in each lane.

    As many steps as there are lanes make a square, which is read and written by whole vectors and
    transposed in registers. What does not fill all lanes comes last, by itself.
    """
    s = td.Schedule(func)
    (n,) = func.inputs[0].shape
    assert isinstance(n, int)
    whole, rest = divmod(n, STEPS * LANES)
    blocks, steps = s.split_scan("t", STEPS)
    groups, lanes = s.split(blocks, LANES)
    rounds, square = s.split(steps, LANES)
    s.reorder(groups, rounds, square, lanes)
    s.unroll(square)
    s.vectorize(lanes)
    total = s.loops("cumsum.y.sum")[0]
    reduce_in_lanes(s, "cumsum.y.sum", SUMS, LANES)
    if whole and rest:
        groups, _ = s.partition(groups, whole)
    if threads > 1:
        s.parallel(total)
        s.parallel(groups)
    return s
