"""A batch of matrix products."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """C[b] = A[b] B[b]."""
    b, m, n, k = shape["b"], shape["m"], shape["n"], shape["k"]
    A = td.placeholder((b, m, k), "float32", name="A")
    B = td.placeholder((b, k, n), "float32", name="B")
    return td.func("bmm", [A, B], [td.schedules.matmul(A, B, name="C")])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """The library's."""
    del threads
    return td.default_schedule(func)
