"""Harris corner response of a colour image."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def _box(t: td.Tensor, y: td.Value, x: td.Value) -> td.Value:
    rows = [t[y, x + k] + t[y + 1, x + k] + t[y + 2, x + k] for k in range(3)]
    return rows[0] + rows[1] + rows[2]


def workload(shape: Mapping[str, int]) -> td.Func:
    """Sobel gradients of the gray image, boxed products, determinant - 0.04 trace^2."""
    h, w = shape["h"], shape["w"]
    A = td.placeholder((3, h + 4, w + 4), "float32", name="A")
    G = td.compute(
        (h + 4, w + 4),
        lambda y, x: A[0, y, x] * 0.299 + A[1, y, x] * 0.587 + A[2, y, x] * 0.114,
        name="G",
    )
    inner = (h + 2, w + 2)

    def down(y: td.Value, x: td.Value) -> td.Value:
        return G[y + 2, x] - G[y, x]

    def column(y: td.Value, x: td.Value) -> td.Value:
        return G[y, x] + G[y + 1, x] * 2.0 + G[y + 2, x]

    Iy = td.compute(
        inner,
        lambda y, x: (down(y, x) + down(y, x + 1) * 2.0 + down(y, x + 2)) * (1.0 / 12.0),
        name="Iy",
    )
    Ix = td.compute(inner, lambda y, x: (column(y, x + 2) - column(y, x)) * (1.0 / 12.0), name="Ix")
    XX = td.compute(inner, lambda y, x: Ix[y, x] * Ix[y, x], name="XX")
    YY = td.compute(inner, lambda y, x: Iy[y, x] * Iy[y, x], name="YY")
    XY = td.compute(inner, lambda y, x: Ix[y, x] * Iy[y, x], name="XY")
    SX = td.compute((h, w), lambda y, x: _box(XX, y, x), name="SX")
    SY = td.compute((h, w), lambda y, x: _box(YY, y, x), name="SY")
    SP = td.compute((h, w), lambda y, x: _box(XY, y, x), name="SP")
    R = td.compute(
        (h, w),
        lambda y, x: (
            SX[y, x] * SY[y, x]
            - SP[y, x] * SP[y, x]
            - (SX[y, x] + SY[y, x]) * (SX[y, x] + SY[y, x]) * 0.04
        ),
        name="R",
    )
    return td.func("harris", [A], [R])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Row after row of a strip: gray and gradients are kept as long as the window needs them."""
    del threads
    s = td.Schedule(func)
    for block in ("XX", "YY", "XY", "SX", "SY", "SP"):
        s.inline(block)
    y, x = s.loops("R")
    strip, row = s.split(y, 64)
    rows = {"Ix": 4, "Iy": 4, "G": 8}
    for block in rows:
        s.compute_at(block, at=row)
    for block, kept in rows.items():
        s.store_at(block, at=strip)
        s.fold_storage(block, kept)
    for loop in (x, *(s.loops(block)[-1] for block in rows)):
        s.vectorize(s.split(loop, 16, tail="mask")[1])
    for channel in range(3):
        s.prefetch("R", "A", f"y, x -> {channel}, y + 5, x")
    s.stream("R")
    s.parallel(strip)
    return s
