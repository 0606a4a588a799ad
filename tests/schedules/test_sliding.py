"""Default schedules of chains of stencils: stages slide down strips of rows."""

import numpy as np
import pytest

import tdsl as td

RNG = np.random.default_rng(11)
SIZES = [(3, 3), (16, 17), (67, 50), (130, 33)]


def bordered(height, width, mode, channels=2):
    """A separable blur of a bordered image, then what it sharpens; channels stand outside."""
    a = td.placeholder((channels, height, width), "float32", name="A")
    p = td.pad(a, (0, 2, 2), mode=mode, name="P")
    v = td.compute(
        (channels, height, width + 4),
        lambda c, y, x: sum(p[c, y + k, x] for k in range(5)),
        name="V",
    )
    h = td.compute(
        (channels, height, width), lambda c, y, x: sum(v[c, y, x + k] for k in range(5)), name="H"
    )
    s = td.compute(a.shape, lambda c, y, x: a[c, y, x] * 2.0 - h[c, y, x] * 0.04, name="S")
    return a, s


def corners(height, width):
    """Stages that two others read, of a gray image without an axis of channels."""
    a = td.placeholder((3, height + 6, width + 6), "float32", name="A")
    g = td.compute((height + 6, width + 6), lambda y, x: a[0, y, x] + a[1, y, x] * a[2, y, x])
    dy = td.compute((height + 4, width + 4), lambda y, x: g[y + 2, x + 1] - g[y, x + 1], name="DY")
    dx = td.compute((height + 4, width + 4), lambda y, x: g[y + 1, x + 2] - g[y + 1, x], name="DX")
    e = td.compute(
        (height + 4, width + 4),
        lambda y, x: td.select(dy[y, x] > 0.0, dy[y, x], dx[y, x]) + td.exp(dx[y, x]),
        name="E",
    )
    b = td.compute(
        (height, width),
        lambda y, x: sum(e[y + i, x + j] for i in range(5) for j in range(5)) - dy[y + 2, x + 2],
        name="B",
    )
    return a, td.compute((3, height, width), lambda c, y, x: b[y, x] * a[c, y + 3, x + 3], name="R")


def agree(a, out, shape, assume=()):
    func = td.func("chain", [a], [out], assume=list(assume))
    s = td.default_schedule(func)
    assert s.why.rule_of(out.name) == "sliding", str(s.why)
    value = RNG.random(shape, dtype=np.float32)
    wanted = td.reference(func)(value)
    np.testing.assert_allclose(td.build(s)(value), wanted, rtol=1e-5, atol=1e-5)
    return s


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@pytest.mark.parametrize("size", SIZES)
def test_images_with_borders(mode, size):
    agree(*bordered(*size, mode), (2, *size))


def test_images_of_any_size():
    a, s = bordered(*td.sizes("H W"), "edge")
    func = td.func("sharpened", [a], [s], assume=["H >= 1", "W >= 1"])
    schedule = td.default_schedule(func)
    assert schedule.why.rule_of("S") == "sliding", str(schedule.why)
    kernel = td.build(schedule)
    for size in ((1, 1), (5, 40), (64, 64), (131, 19)):
        value = RNG.random((2, *size), dtype=np.float32)
        np.testing.assert_allclose(kernel(value), td.reference(func)(value), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES[1:])
def test_stages_with_several_readers(size):
    s = agree(*corners(*size), (3, size[0] + 6, size[1] + 6))
    assert "new ones a step" in str(s.why)


def test_rings_of_wide_rows_are_cut_into_tiles():
    a = td.placeholder((30, 17001), "float32", name="A")
    stage = a
    for n in range(6):
        stage = td.compute(
            (28 - 2 * n, 17000 - n),
            lambda y, x, t=stage: td.tanh(t[y, x] - t[y + 2, x + 1]) * t[y + 1, x],
            name=f"S{n}",
        )
    s = agree(a, stage, (30, 17001))
    assert "columns at a time" in str(s.why)


def test_borders_that_many_reads_see_are_made_row_by_row():
    a = td.placeholder((64, 64), "float32", name="A")
    p = td.pad(a, (2, 2), mode="edge", name="P")
    b = td.compute(
        a.shape, lambda y, x: sum(p[y + i, x + j] for i in range(5) for j in range(5)), name="B"
    )
    s = agree(a, b, (64, 64))
    assert "P slide down strips" in str(s.why)
