"""The same steps as jacobi20, one after the other over the whole grid."""

from __future__ import annotations

import tdsl as td
from benchmarks.kernels.jacobi20 import copy_out, workload

__all__ = ["schedule", "workload"]


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Each step as quick as it gets: rows in parallel, two steps of the grid are kept."""
    del threads
    s = td.Schedule(func)
    _, y, x = s.loops("steps.grid")
    yo, _ = s.split(y, 16)
    s.vectorize(s.split(x, 64, tail="mask")[1])
    s.parallel(yo)
    s.fold_storage("steps.grid", 2, dim=0)
    copy_out(s)
    return s
