"""Matrix product with symbolic sizes: one kernel for every shape."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels import gemm


def workload(shape: Mapping[str, int]) -> td.Func:
    """C = A B for any M, N, K."""
    del shape
    M, N, K = td.sizes("M N K")
    return gemm.workload({"m": M, "n": N, "k": K})


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """The schedule of the product; rows that do not fill a tile are guarded."""
    del threads
    s = td.Schedule(func)
    output = s.cache_write("C", "register")
    gemm.tile_panels(s, output, gemm.ROWS, gemm.COLUMNS, pack=True, tail="guard")
    return s
