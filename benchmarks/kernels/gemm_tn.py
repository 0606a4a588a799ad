"""A^T B: A is turned once, in parallel, and then the plain product's schedule applies."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.gemm import COLUMNS, ROWS, tile_panels


def workload(shape: Mapping[str, int]) -> td.Func:
    """C[i, j] = sum of A[k, i] B[k, j]."""
    m, n, k = shape["m"], shape["n"], shape["k"]
    A = td.placeholder((k, m), "float32", name="A")
    B = td.placeholder((k, n), "float32", name="B")
    r = td.reduce_axis(k, name="k")
    C = td.compute((m, n), lambda i, j: td.sum(A[r, i] * B[r, j], axis=r), name="C")
    return td.func("gemm_tn", [A, B], [C])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Turn A in registers, 16 x 16 elements at a time; then tiles as in the plain product."""
    del threads
    s = td.Schedule(func)
    turned = s.cache_read("C", "A")
    s.transform_layout(turned, "k, i -> i, k")
    k, i = s.loops(turned)
    ko, io, ki, ii = s.tile(k, i, 16, 16, tail="mask")
    s.reorder(io, ko, ii, ki)
    s.unroll(ii)
    s.vectorize(ki)
    s.parallel(io)
    tile_panels(s, s.cache_write("C", "register"), ROWS, COLUMNS, pack=True)
    return s
