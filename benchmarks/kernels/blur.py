"""A 3 x 3 box blur of 16-bit pixels, separable: thirds across, then thirds down."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """Both passes round down, in 16 bits, like the pipeline they come from."""
    h, w = shape["h"], shape["w"]
    A = td.placeholder((h + 2, w + 2), "uint16", name="A")
    X = td.compute((h + 2, w), lambda y, x: (A[y, x] + A[y, x + 1] + A[y, x + 2]) // 3, name="X")
    Y = td.compute((h, w), lambda y, x: (X[y, x] + X[y + 1, x] + X[y + 2, x]) // 3, name="Y")
    return td.func("blur", [A], [Y])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Tiles of 32 x 128, the first pass kept for a tile, the next tile fetched meanwhile."""
    del threads
    s = td.Schedule(func)
    y, x = s.loops("Y")
    yo, yi = s.split(y, 32)
    xo, xi = s.split(x, 128)
    s.reorder(yo, xo, yi, xi)
    s.compute_at("X", at=xo)
    s.vectorize(s.loops("X")[-1])
    s.vectorize(xi)
    s.prefetch("X", "A", "y, x -> y, x + 128")
    s.prefetch("Y", "Y", "y, x -> y, x + 128")
    s.parallel(yo)
    return s
