"""A kernel of one's own, which 03_tuning.py tunes: the edges of a picture."""

from __future__ import annotations

import tdsl as td

BELL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def edges(height: int = 1024, width: int = 1024) -> td.Func:
    """How steep a picture is once it is smoothed: two passes of a blur, then Sobel's filter."""
    picture = td.placeholder((height + 6, width + 6), "float32", name="picture")
    across = td.compute(
        (height + 6, width + 2),
        lambda y, x: sum(picture[y, x + t] * w for t, w in enumerate(BELL)),
        name="across",
    )
    smooth = td.compute(
        (height + 2, width + 2),
        lambda y, x: sum(across[y + t, x] * w for t, w in enumerate(BELL)),
        name="smooth",
    )

    def steepness(y: td.Value, x: td.Value) -> td.Value:
        rises = [smooth[y + t, x + 2] - smooth[y + t, x] for t in range(3)]
        drops = [smooth[y + 2, x + t] - smooth[y, x + t] for t in range(3)]
        right = rises[0] + 2.0 * rises[1] + rises[2]
        down = drops[0] + 2.0 * drops[1] + drops[2]
        return td.sqrt(right * right + down * down)

    edge = td.compute((height, width), steepness, name="edge")
    return td.func("edges", [picture], [edge])


@td.template(edges)
def strips(s: td.Schedule, knob: td.autotune.Knobs) -> None:
    """Strips of rows that threads share; their height, and what is computed with what, are open."""
    y, x = s.loops("edge")
    _, rows = knob.tile("rows", y, parts=2, max_inner=128)
    strip, row = s.split(y, rows)
    s.compute_at("smooth", at=row if knob.choice("smooth each row", [False, True]) else strip)
    s.compute_at("across", at=strip)
    lanes = knob.choice("vectors", [1, 2, 4]) * s.target.lanes(32)
    for loop in (s.loops("across")[-1], s.loops("smooth")[-1], x):
        _, inner = s.split(loop, lanes, tail="mask")
        s.vectorize(inner)
    s.parallel(strip)
