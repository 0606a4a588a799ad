"""Unsharp mask of a colour image with a 7 x 7 separable Gaussian."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import tdsl as td

_WEIGHTS = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.5 * 1.5))
GAUSS = tuple(float(x) for x in _WEIGHTS / _WEIGHTS.sum())


def workload(shape: Mapping[str, int]) -> td.Func:
    """image * (2 gray - blurred gray) / gray."""
    h, w = shape["h"], shape["w"]
    A = td.placeholder((3, h + 6, w + 6), "float32", name="A")
    G = td.compute(
        (h + 6, w + 6),
        lambda y, x: A[0, y, x] * 0.299 + A[1, y, x] * 0.587 + A[2, y, x] * 0.114,
        name="G",
    )
    D = td.compute((h, w + 6), lambda y, x: sum(G[y + k, x] * GAUSS[k] for k in range(7)), name="D")
    R = td.compute(
        (h, w),
        lambda y, x: (
            (G[y + 3, x + 3] * 2.0 - sum(D[y, x + k] * GAUSS[k] for k in range(7)))
            / G[y + 3, x + 3]
        ),
        name="R",
    )
    S = td.compute((3, h, w), lambda c, y, x: R[y, x] * A[c, y + 3, x + 3], name="S")
    return td.func("unsharp", [A], [S])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Row after row of a strip: the last eight rows of gray are kept, the next is on its way."""
    del threads
    s = td.Schedule(func)
    c, y, x = s.loops("S")
    strip, row = s.split(y, 48)
    s.reorder(strip, row, c, x)
    for block in ("R", "D", "G"):
        s.compute_at(block, at=row)
    s.store_at("G", at=strip)
    s.fold_storage("G", 8)
    s.unroll(c)
    for loop in (x, *(s.loops(block)[-1] for block in ("R", "D", "G"))):
        s.vectorize(s.split(loop, 16, tail="mask")[1])
    for channel in range(3):
        s.prefetch("R", "A", f"y, x -> {channel}, y + 7, x")
    s.stream("S")
    s.parallel(strip)
    return s
