"""Bilateral grid: a histogram of values for every 8 x 8 pixels, blurred, and read between cells."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td

CELL = 8  # pixels of a cell
STEPS = 10  # of the value, between 0 and 1
EDGE = 2  # cells that a blur reaches over
LEVELS = STEPS + 2 + 2 * EDGE  # of a histogram, with what the blur reaches
BLUR = (1.0, 4.0, 6.0, 4.0, 1.0)


def _clamped(v: td.Value) -> td.Value:
    return td.minimum(td.maximum(v, 0.0), 1.0)


def _mix(a: td.Value, b: td.Value, f: td.Value) -> td.Value:
    return a + (b - a) * f


def workload(shape: Mapping[str, int]) -> td.Func:
    """A smoothed image that keeps its edges. Channel 0 sums values, channel 1 counts them."""
    h, w = shape["h"], shape["w"]
    rows, columns = (h - 1) // CELL + 2, (w - 1) // CELL + 2
    A = td.placeholder((h, w), "float32", name="A")
    reach = EDGE * CELL + CELL // 2
    after = ((rows + EDGE) * CELL - CELL // 2 - h, (columns + EDGE) * CELL - CELL // 2 - w)
    P = td.pad(A, before=(reach, reach), after=after, mode="edge", name="P")
    V = td.compute(P.shape, lambda y, x: _clamped(P[y, x]), name="V")
    L = td.compute(
        P.shape, lambda y, x: td.cast(V[y, x] * float(STEPS) + 0.5, "int32") + EDGE, name="L"
    )
    ry, rx = td.reduce_axis(CELL, name="ry"), td.reduce_axis(CELL, name="rx")

    def histogram(y: td.Value, x: td.Value, c: td.Value, z: td.Value) -> td.Value:
        pixel = y * CELL + ry, x * CELL + rx
        value = td.select(c == 0, V[pixel], 1.0)
        return td.sum(value, axis=(ry, rx), where=L[pixel] == td.cast(z, "int32"))

    def taps(values: list[td.Value]) -> td.Value:
        return sum((v * k for v, k in zip(values[1:], BLUR[1:], strict=True)), values[0])

    H = td.compute((rows + 2 * EDGE, columns + 2 * EDGE, 2, LEVELS), histogram, name="H")
    kept = LEVELS - 2 * EDGE
    Z = td.compute(
        (rows + 2 * EDGE, columns + 2 * EDGE, 2, kept),
        lambda y, x, c, z: taps([H[y, x, c, z + k] for k in range(5)]), name="Z",
    )  # fmt: skip
    X = td.compute(
        (rows + 2 * EDGE, columns, 2, kept),
        lambda y, x, c, z: taps([Z[y, x + k, c, z] for k in range(5)]), name="X",
    )  # fmt: skip
    Y = td.compute(
        (rows, columns, 2, kept),
        lambda y, x, c, z: taps([X[y + k, x, c, z] for k in range(5)]), name="Y",
    )  # fmt: skip
    # between two rows of cells: what one row of pixels reads
    R = td.compute(
        (h, columns, 2, kept),
        lambda y, x, c, z: _mix(
            Y[y // CELL, x, c, z], Y[y // CELL + 1, x, c, z],
            td.cast(y % CELL, "float32") * (1.0 / CELL),
        ),
        name="R",
    )  # fmt: skip

    def smooth(y: td.Value, x: td.Value) -> td.Value:
        v = _clamped(A[y, x]) * float(STEPS)
        level = td.cast(v, "int32")
        steps = [td.unchecked(td.cast(level, "int64") + k) for k in (0, 1)]
        between = td.cast(x % CELL, "float32") * (1.0 / CELL)

        def channel(c: int) -> td.Value:
            low, high = (
                _mix(R[y, x // CELL, c, z], R[y, x // CELL + 1, c, z], between) for z in steps
            )
            return _mix(low, high, v - td.cast(level, "float32"))

        return channel(0) / channel(1)

    return td.func("bilateral", [A], [td.compute((h, w), smooth, name="B")])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """The grid for a row of cells at a time; then the pixels of a row of cells."""
    del threads
    s = td.Schedule(func)
    y = s.loops("X")[0]
    s.inline("P")
    for block in ("Z", "H", "L", "V"):
        s.compute_at(block, at=y)
    cell, c, z, ry, rx = s.loops("H")[-5:]
    s.reorder(cell, ry, rx, c, z)
    s.unroll(c)
    s.vectorize(z)
    row, x = s.loops("B")
    strip, row = s.split(row, CELL)
    s.compute_at("R", at=row)
    s.compute_at("Y", at=strip)
    for block in ("Z", "X", "Y", "R"):
        *_, c, z = s.loops(block)
        s.vectorize(s.split(z, 16, tail="mask")[1])
        s.unroll(c)
    for x in (s.loops(block)[-1] for block in ("V", "L", "B")):
        s.vectorize(s.split(x, 16, tail="mask")[1])
    s.parallel(y)
    s.parallel(strip)
    return s
