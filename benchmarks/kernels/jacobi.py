"""One five-point Jacobi step over the interior of a grid."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """B = 0.2 (centre + north + south + west + east)."""
    h, w = shape["h"], shape["w"]
    A = td.placeholder((h, w), "float32", name="A")
    B = td.compute(
        (h - 2, w - 2),
        lambda y, x: (
            (A[y + 1, x + 1] + A[y, x + 1] + A[y + 2, x + 1] + A[y + 1, x] + A[y + 1, x + 2]) * 0.2
        ),
        name="B",
    )
    return td.func("jacobi", [A], [B])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """16 rows a chunk, vectors along the rows; the rows that come are fetched two ahead."""
    del threads
    s = td.Schedule(func)
    y, x = s.loops("B")
    yo, _ = s.split(y, 16)
    s.vectorize(s.split(x, 64, tail="mask")[1])
    s.prefetch("B", "A", "y, x -> y + 4, x")
    s.prefetch("B", "B", "y, x -> y + 2, x")
    s.parallel(yo)
    return s
