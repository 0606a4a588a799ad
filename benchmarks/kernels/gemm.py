"""Matrix product of float32, packing inside the call.

Each thread takes panels of 64 columns: it packs one panel of B (K x 64, which stays in L2), then
sweeps panels of 6 rows of A in place with a register tile of 6 x 64, which leaves 8 of the 32
vector registers for B and the broadcasts of A.
"""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td

CONSTANTS = {1: "B"}
ROWS, COLUMNS = 6, 64


def workload(shape: Mapping[str, int]) -> td.Func:
    """C = A B."""
    m, n, k = shape["m"], shape["n"], shape["k"]
    A = td.placeholder((m, k), "float32", name="A")
    B = td.placeholder((k, n), "float32", name="B")
    r = td.reduce_axis(k, name="k")
    C = td.compute((m, n), lambda i, j: td.sum(A[i, r] * B[r, j], axis=r), name="C")
    return td.func("gemm", [A, B], [C])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Panels of columns in parallel, a packed panel of B, a register tile of C."""
    del threads
    s = td.Schedule(func)
    copy = s.cache_write("C", "register")
    i, j = s.loops(copy)
    jo, ji = s.split(j, COLUMNS, tail="mask")
    io, ii = s.split(i, ROWS, tail="balance")
    s.reorder(jo, io, ii, ji)
    s.compute_at("C", at=io)
    ci, cj, k = s.loops("C")[-3:]
    s.reorder(k, ci, cj)
    packed = s.cache_read("C", "B", at=jo)
    s.unroll(ii)
    s.vectorize(ji)
    s.unroll(ci)
    s.vectorize(cj)
    s.vectorize(s.loops(packed)[-1])
    s.parallel(jo)
    return s
