import numpy as np
import pytest

import tdsl as td
from tdsl.codegen.llvm.patterns import as_ramp, windows
from tdsl.ir.build import add, floordiv, floormod, index, mul
from tdsl.ir.expr import Broadcast, Ramp


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


@pytest.mark.parametrize("cpu", ["native", "x86-64-v3", "x86-64-v2"])
@pytest.mark.parametrize("step", [1, 2, 3, 5])
@pytest.mark.parametrize("lanes", [3, 5, 7, 12, 14, 16])
def test_some_lanes_of_a_row_with_borders(cpu, step, lanes):
    a = td.placeholder((4, (lanes - 1) * step - 1), "float32", name="A")

    def between(y, x):  # the first and the last one lie outside
        at = x * step - 1
        return td.select((at >= 0) & (at < a.shape[1]), a[y, at], 0.0)

    b = td.compute((4, lanes), between, name="B")
    s = td.Schedule(td.func("borders", [a], [b]), td.target(f"llvm -mcpu={cpu}"))
    s.vectorize(s.loops(b)[-1])
    values = np.random.default_rng(0).random(a.shape, dtype=np.float32)
    wanted = np.zeros((4, lanes), np.float32)
    wanted[:, 1:-1] = values[:, step - 1 :: step][:, : lanes - 2]
    if lanes * step < 64:
        assert "gather" not in td.build(s).source("llvm")
    assert np.array_equal(td.build(s)(values), wanted)


def test_windows_hold_all_offsets_and_nothing_outside():
    for offsets in ((0, 2, 4, 28, 30, 32), (3,), (5, 1, 9), tuple(range(0, 60, 4))):
        for width in (2, 4, 8):
            runs = windows(offsets, width)
            assert len(runs.starts) <= len(offsets)
            assert min(runs.starts) >= min(offsets)
            if max(offsets) - min(offsets) + 1 >= width:
                assert max(runs.starts) + width - 1 <= max(offsets)
            held = [start + k for start in runs.starts for k in range(width)]
            assert [held[runs.pick(offset)] for offset in offsets] == list(offsets)


@pytest.mark.parametrize(("dtype", "depth"), [("int8", 4), ("float32", 2), ("float32", 3)])
def test_rows_are_interleaved_by_whole_loads_and_one_store(dtype, depth):
    a = td.placeholder((5 * depth, 36), dtype, name="A")
    b = td.compute(a.shape, lambda k, j: a[k, j], name="B")
    c = td.compute(a.shape, lambda k, j: b[k, j], name="C")
    s = td.Schedule(td.func("packed", [a], [c]), td.target("llvm"))
    s.transform_layout("B", f"k, j -> k // {depth}, j, k % {depth}")
    _, ki = s.split("B.k", depth)
    _, ji = s.split("B.j", 4)
    s.reorder("B.jo", ji, ki)
    s.vectorize(s.fuse(ji, ki))
    kernel = td.build(s)
    values = np.arange(180 * depth).reshape(a.shape).astype(dtype)
    assert np.array_equal(kernel(values), values)
    assert "gather" not in kernel.source("llvm")
    assert "scatter" not in kernel.source("llvm")


def test_evenly_spaced_lanes_are_a_ramp():
    def lanes(value):
        return Broadcast(index(value), 8)

    walk = Ramp(index(0), index(1), 8)
    whole = add(mul(floordiv(walk, lanes(4)), lanes(4)), floormod(walk, lanes(4)))
    assert as_ramp(whole) == walk
    assert as_ramp(mul(whole, lanes(3))) == Ramp(index(0), index(3), 8)
    repeated = floordiv(walk, lanes(2))
    assert as_ramp(repeated) is repeated


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16"])
def test_some_lanes_of_narrow_integers_that_wrap(dtype):
    a = td.placeholder((4, 32), "int32", name="A")

    def chosen(i, j):  # where i is 0, the load would lie in front of its row
        wrapped = td.cast(j * 3100 + 200, dtype)
        return td.select((i >= 1) & (wrapped < 60), a[i - 1, 2 * j], -1)

    b = td.compute((4, 16), chosen, name="B")
    s = td.Schedule(td.func("wrapped", [a], [b]))
    s.vectorize("j")
    values = np.arange(128, dtype=np.int32).reshape(4, 32)
    lanes = (np.arange(16) * 3100 + 200).astype(dtype) < 60
    wanted = np.full((4, 16), -1)
    wanted[1:] = np.where(lanes, values[:-1, ::2], -1)
    assert np.array_equal(td.build(s)(values), wanted)
