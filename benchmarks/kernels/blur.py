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
    """Columns of 128 pixels walk down 32 rows, thirds across kept from row to row."""
    del threads
    s = td.Schedule(func)
    s.inline("X")
    y, x = s.loops("Y")
    yo, _, _, xi = s.tile(y, x, 32, 128)
    s.vectorize(xi)
    for tensor in ("A", "Y"):
        s.prefetch("Y", tensor, "y, x -> y, x + 128")
    s.parallel(yo)
    return s
