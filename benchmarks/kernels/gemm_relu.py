"""relu(A B + bias): the epilogue is applied to the register tile."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from benchmarks.kernels.gemm import COLUMNS, ROWS, tile_panels


def workload(shape: Mapping[str, int]) -> td.Func:
    """D = max(A B + bias, 0)."""
    m, n, k = shape["m"], shape["n"], shape["k"]
    A = td.placeholder((m, k), "float32", name="A")
    B = td.placeholder((k, n), "float32", name="B")
    bias = td.placeholder((n,), "float32", name="bias")
    r = td.reduce_axis(k, name="k")
    C = td.compute((m, n), lambda i, j: td.sum(A[i, r] * B[r, j], axis=r), name="C")
    D = td.compute((m, n), lambda i, j: td.maximum(C[i, j] + bias[j], 0.0), name="D")
    return td.func("gemm_relu", [A, B, bias], [D])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """The product's tiles are computed where D needs them, in registers."""
    del threads
    s = td.Schedule(func)
    s.set_scope("C", "register")
    tile_panels(s, "D", ROWS, COLUMNS, pack=True)
    return s
