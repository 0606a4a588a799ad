"""Indices that are clamped or folded at borders cost nothing inside, also for symbolic sizes."""

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.expr import Load, Ramp
from tdsl.ir.visit import walk
from tdsl.lower.pipeline import lower

SIZES = [(4, 4), (5, 31), (9, 64), (17, 50), (33, 129)]


def smoothed(height, width, mode, kept):
    a = td.placeholder((height, width), "float32", name="A")
    p = td.pad(a, (2, 3), mode=mode, name="P")
    b = td.compute((height, width), lambda y, x: p[y, x] + p[y + 4, x + 6] * 0.5, name="B")
    assume = [] if isinstance(height, int) else ["H >= 4", "W >= 4"]
    s = td.Schedule(td.func("smoothed", [a], [b], assume=assume), td.target("llvm"))
    y, x = s.loops("B")
    yo, _ = s.split(y, 8)
    if kept:
        s.compute_at("P", yo)
        s.vectorize(s.split(s.loops("P")[-1], 16, tail="mask")[1])
    else:
        s.inline("P")
    s.vectorize(s.split(x, 16, tail="mask")[1])
    return s


def reads_runs(s):
    return any(
        isinstance(load, Load) and load.buffer.name == "A" and load.mask is None
        and isinstance(load.indices[0], Ramp)
        for load in walk(lower(s.program, s.target).program.body)
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize("kept", [False, True])
def test_the_inside_is_read_as_it_lies(mode, kept):
    s = smoothed(*td.sizes("H W"), mode, kept)
    assert reads_runs(smoothed(33, 129, mode, kept))
    if not kept or mode in ("constant", "edge"):
        assert reads_runs(s)
    kernel = td.build(s)
    for height, width in SIZES:
        fixed = smoothed(height, width, mode, kept)
        a = np.random.default_rng(height).random((height, width), dtype=np.float32)
        wanted = td.reference(fixed.func)(a)
        np.testing.assert_allclose(kernel(a), wanted, rtol=1e-6)
        np.testing.assert_allclose(td.build(fixed)(a), wanted, rtol=1e-6)
