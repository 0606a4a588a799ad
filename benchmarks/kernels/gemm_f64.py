"""Matrix product of float64: the schedule of float32 with tiles of 6 x 32."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.gemm import tile_panels


def workload(shape: Mapping[str, int]) -> td.Func:
    """C = A B in float64."""
    m, n, k = shape["m"], shape["n"], shape["k"]
    A = td.placeholder((m, k), "float64", name="A")
    B = td.placeholder((k, n), "float64", name="B")
    r = td.reduce_axis(k, name="k")
    C = td.compute((m, n), lambda i, j: td.sum(A[i, r] * B[r, j], axis=r), name="C")
    return td.func("gemm_f64", [A, B], [C])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Register tiles of four vectors' width, packed panels of B."""
    del threads
    s = td.Schedule(func)
    tile_panels(s, s.cache_write("C", "register"), rows=6, columns=32, pack=True)
    return s
