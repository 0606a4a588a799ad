"""Twenty five-point Jacobi steps over a grid whose border stays as it is."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """A scan along time; the result is the grid after the last step."""
    h, w, steps = shape["h"], shape["w"], shape["steps"]
    A = td.placeholder((h, w), "float32", name="A")
    t = td.scan_axis(steps, name="t")

    def step(_: td.Value, before: Mapping[str, td.Tensor]) -> dict[str, object]:
        g = before["grid"]

        def point(y: td.Value, x: td.Value) -> td.Value:
            mean = (g[y, x] + g[y - 1, x] + g[y + 1, x] + g[y, x - 1] + g[y, x + 1]) * 0.2
            return td.select((y > 0) & (y < h - 1) & (x > 0) & (x < w - 1), mean, g[y, x])

        return {"grid": point}

    start = {"grid": ((h, w), lambda y, x: A[y, x])}
    grid = td.scan(t, states=start, step=step, name="steps")["grid"]
    B = td.compute((h, w), lambda y, x: grid[steps - 1, y, x], name="B")
    return td.func("jacobi20", [A], [B])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Tiles in time along a skewed grid; those on one wavefront run in parallel.

    A tile walks down the rows, and at each takes ten steps, each on the row above the one before:
    the rows between them stay near. Two steps of the grid are kept.
    """
    del threads
    s = td.Schedule(func)
    t, y, x = s.loops("steps.grid")
    s.skew(y, by=t)
    to, yo, ti, yi = s.tile(t, y, 10, 64)
    s.skew(yo, by=to)
    s.reorder(yo, to)
    s.parallel(to)
    s.reorder(yi, ti)
    s.vectorize(s.split(x, 64, tail="mask")[1])
    s.fold_storage("steps.grid", 2, dim=0)
    copy_out(s)
    return s


def copy_out(s: td.Schedule) -> None:
    """The last step's grid goes past the caches into the result."""
    yo, _, _, xi = s.tile("B.y", "B.x", 16, 64)
    s.vectorize(xi)
    s.stream("B")
    s.parallel(yo)
