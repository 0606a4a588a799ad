import numpy as np
import pytest

import tdsl as td


def doubled(columns):
    """Rows and columns twice as many, between those that there are; parities are interleaved."""
    a = td.placeholder((6, columns // 2 + 5), "float32", name="A")

    def between(y, x):
        at = x - 1
        near, far = a[y // 2, at // 2 + 3], a[y // 2, at // 2 + 2 + at % 2 * 2]
        return near * 0.75 + far * 0.25

    up = td.compute((9, columns), between, name="up")
    other = td.compute(
        (9, columns),
        lambda y, x: td.select(x % 2 == 0, a[y // 2, x // 2], a[y // 2, x // 2 + 1]),
        name="other",
    )
    return td.func("doubled", [a], [up, other])


@pytest.mark.parametrize("columns", [64, 70, 3])
@pytest.mark.parametrize("lanes", [8, 16])
def test_lanes_at_known_distances_are_loaded_whole(columns, lanes):
    func = doubled(columns)
    s = td.Schedule(func, td.target("llvm"))
    for block in ("up", "other"):
        s.vectorize(s.split(s.loops(block)[-1], lanes, tail="mask")[1], lanes)
    kernel = td.build(s)
    a = np.random.default_rng(0).random((6, columns // 2 + 5), dtype=np.float32)
    wanted = td.build(td.Schedule(func))(a)
    assert all(np.array_equal(x, y) for x, y in zip(kernel(a), wanted, strict=True))
    if columns == 64:
        assert "masked.gather" not in kernel.source("llvm")
        assert "masked.store" not in kernel.source("llvm")
