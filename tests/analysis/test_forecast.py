"""The forecast of a program's time: exact for the machine that it imagines."""

from dataclasses import replace

import pytest

import tdsl as td
from tdsl.analysis.footprint import Home, Level, touches
from tdsl.analysis.forecast import forecast
from tdsl.ir.stmt import Leaf, Scope
from tdsl.ir.visit import loop_path, walk
from tdsl.schedules.dot_products import tile_dot_products
from tests.scheduling.algorithms import blur, increment, matmul

TARGET = replace(td.target("llvm -mcpu=znver4"), l1=48 << 10, l2=1 << 20, l3=32 << 20, cores=2)


def cycles(s, target=TARGET, **sizes):
    numbers = {size: sizes[size.name] for size in s.program.sizes}
    return forecast(s.program, target, numbers)


def of(func):
    return td.Schedule(func, TARGET)


def touched(s, block):
    (leaf,) = [x for x in walk(s.program.body) if isinstance(x, Leaf) and x.block.name == block]
    path = loop_path(s.program.body, leaf)
    levels = tuple(Level(x.var, int(x.extent.value), x.kind) for x in path)
    return levels, {t.buffer.name: t for t in touches(leaf, levels, {}, {})}


def test_an_elementwise_loop_is_bound_by_its_turns():
    # a load, an addition and a store in a cycle, the turn is another; the data are in a cache
    assert cycles(of(increment(1000))) == 2000


def test_lanes_share_instructions_and_turns():
    s = of(increment(1024))
    s.vectorize(s.split("B.i", 16)[1])
    assert cycles(s) == 2 * 64
    s.unroll(s.split("B.io", 4)[1])
    assert cycles(s) == 5 * 16


def test_data_that_fit_no_cache_come_from_memory():
    s = of(increment(1 << 24))
    s.vectorize(s.split("B.i", 16)[1])
    bytes_ = 3 * 4 << 24  # what is written is read before, and goes back
    parts = [2 << 20, bytes_ / 48, bytes_ / 16, bytes_ / 10]
    assert cycles(s) == pytest.approx(max(parts) + 0.25 * (sum(parts) - max(parts)))
    s.stream("B")
    assert cycles(s) < 0.7 * sum(parts)


def test_sums_wait_for_one_another_unless_there_are_several():
    # 8 * 8 sums of 1024 products: 4 cycles each, and one for the turn
    s = of(matmul(8, 8, 1024))
    alone = cycles(s)
    assert alone == pytest.approx(8 * 8 * 1024 * 5, rel=0.1)
    s.unroll_and_jam("C.j", 8)
    # eight sums at once: 8 loads of B, one of A, so 4.5 cycles, for 8 multiply-adds in 4
    assert cycles(s) == pytest.approx(8 * 1024 * 5.5, rel=0.1)


def test_short_sums_overlap():
    long, short = of(matmul(64, 64, 256)), of(matmul(64, 4096, 4))
    assert cycles(short) < 0.6 * cycles(long)


def test_threads_share_work_but_not_the_memory():
    s = of(increment(1 << 20))
    before = cycles(s)
    s.parallel("B.i")
    assert 1.5 < before / cycles(s) <= TARGET.cores


def test_starting_threads_again_and_again_costs():
    s = of(matmul(64, 64, 64))
    outside = of(matmul(64, 64, 64))
    outside.parallel("C.i")
    s.parallel("C.j")
    assert cycles(s) - cycles(outside) == pytest.approx(63 * 1000, rel=0.1)


def test_sizes_are_numbers_of_the_call():
    s = of(blur())
    assert cycles(s, H=100, W=640) == pytest.approx(10 * cycles(s, H=10, W=640), rel=0.2)


def test_what_lies_across_rows_needs_a_line_for_each_element():
    s = of(matmul(8, 64, 256))
    levels, by_name = touched(s, "C")
    i, j, k = levels
    assert by_name["A"].room((k,)) == 256 * 4
    assert by_name["B"].room((k,)) == 256 * 64
    assert by_name["B"].room((j, k)) == 256 * 64 * 4
    assert by_name["B"].room((i,)) == 64
    assert by_name["C"].room(levels) == 8 * 64 * 4
    # rows of 256 bytes: every fourth of 64 sets holds lines of a column, each four times as many
    assert by_name["B"].room((k,), sets=64) == 4 * 256 * 64
    assert by_name["B"].room((j, k), sets=64) == 256 * 64 * 4


def test_neighbours_are_told_from_strides():
    levels, by_name = touched(of(matmul(8, 64, 256)), "C")
    i, j, k = levels
    assert by_name["B"].is_dense(j)
    assert not by_name["B"].is_dense(k)
    assert by_name["A"].is_dense(k)
    assert not by_name["A"].moves_with(j.var)
    assert by_name["A"].moves_with(i.var)


def test_a_layout_says_where_elements_lie():
    s = of(matmul(8, 64, 32))
    s.cache_read("C", "B")
    s.transform_layout("B.C", "k, j -> j // 16, k, j % 16")
    jo, ji = s.split("C.j", 16)
    s.reorder(jo, "C.i", "C.k", ji)
    alloc = next(x for x in walk(s.program.body) if getattr(x, "layout", None) is not None)
    (leaf,) = [x for x in walk(s.program.body) if isinstance(x, Leaf) and x.block.name == "C"]
    levels = tuple(
        Level(x.var, int(x.extent.value), x.kind) for x in loop_path(s.program.body, leaf)
    )
    homes = {alloc.buffer: Home(Scope.GLOBAL, 0, alloc.layout)}
    (packed,) = [t for t in touches(leaf, levels, homes, {}) if t.buffer is alloc.buffer]
    k, lane = levels[-2:]
    assert packed.is_dense(lane)
    assert packed.room((k, lane)) == 32 * 64
    assert packed.most == (4, 32, 16)  # 64 columns in blocks of 16


def test_indices_that_are_looked_up_may_be_anywhere():
    x = td.placeholder((1000,), "int32", name="x")
    table = td.placeholder((64, 16), "float32", name="table")
    y = td.compute((1000, 16), lambda i, j: table[td.unchecked(x[i] % 64), j], name="y")
    levels, by_name = touched(of(td.func("look", [x, table], [y])), "y")
    i, j = levels
    assert by_name["table"].room((i,)) == 64 * 64
    assert by_name["table"].room((replace(i, trips=4), j)) == 4 * 64  # rows of one line
    assert by_name["table"].room((j,)) == 64
    assert by_name["table"].is_dense(j)


def test_lanes_that_are_fetched_apart_cost_more_than_neighbours():
    def transposed(first):
        a = td.placeholder((64, 64), "float32", name="A")
        b = td.compute((64, 64), lambda i, j: a[j, i], name="B")
        s = of(td.func("transposed", [a], [b]))
        s.vectorize(first)
        return cycles(s)

    a = td.placeholder((64, 64), "float32", name="A")
    copy = of(td.func("copy", [a], [td.compute((64, 64), lambda i, j: a[i, j], name="B")]))
    copy.vectorize("B.j")
    assert transposed("B.j") > 3 * cycles(copy)


def test_recomputing_costs_and_turns_without_work_do_not():
    s = of(blur(64, 64))
    before = cycles(s)
    s.compute_at("X", "Y.j")
    assert cycles(s) > 1.3 * before
    s = of(matmul(64, 64, 64))
    before = cycles(s)
    s.skew("C.k", "C.i")
    assert cycles(s) == pytest.approx(before, rel=0.1)


def test_more_sums_than_registers_are_spilled():
    def tiled(rows):
        s = of(matmul(96, 64, 256))
        _, _, ii, ji = s.tile("C.i", "C.j", rows, 64)
        s.reorder("C.k", ii, ji)
        s.unroll(ii)
        s.vectorize(ji)
        return cycles(s)

    assert tiled(4) < tiled(1)
    assert tiled(6) < tiled(32)


# one that holds all, one that holds what one step of k touches, one that holds not even that
@pytest.mark.parametrize("room", [48 << 10, 1 << 10, 128])
def test_loops_as_they_run_have_lanes_innermost(room):
    target = replace(TARGET, l1=room)
    s = of(matmul(64, 64, 64))
    s.vectorize(s.split("C.j", 16)[1])
    outside = cycles(s, target)
    t = of(matmul(64, 64, 64))
    jo, ji = t.split("C.j", 16)
    t.reorder(jo, "C.k", ji)
    t.vectorize(ji)
    assert outside == pytest.approx(cycles(t, target), rel=0.05)


def _unit(value, shape=(64, 64)):
    a = td.placeholder(shape, "float32", name="A")
    return td.func("unit", [a], [td.compute(shape, lambda i, j: value(a, i, j), name="B")])


def _steps(func, *steps):
    s = of(func)
    for name, *args in steps:
        getattr(s, name)(*args)
    return s


def _packed_dots():
    a = td.placeholder((32, 64), "uint8", name="A")
    b = td.placeholder((64, 64), "int8", name="B")
    k = td.reduce_axis(64, name="k")

    def term(i, j):
        return td.sum(td.cast(a[i, k], "int32") * td.cast(b[k, j], "int32"), axis=k)

    s = of(td.func("dots", [a, b], [td.compute((32, 64), term, name="C")]))
    tile_dot_products(s, "C", "B", "vpdpbusd")
    return s


SMALL = matmul(64, 64, 64)
# what the model says, to the cycle: whoever changes it looks at these, and at `s.moves` on kernels
PINNED = (
    (lambda: _steps(SMALL), 1311061),
    (lambda: _steps(SMALL, ("reorder", "C.k", "C.j")), 526677),
    (lambda: _steps(SMALL, ("unroll_and_jam", "C.j", 4)), 328021),
    (lambda: _steps(SMALL, ("vectorize", "C.j")), 82261),
    (lambda: _steps(SMALL, ("vectorize", "C.i")), 291157),
    (lambda: _steps(SMALL, ("unroll", "C.k")), 278869),
    (lambda: _steps(SMALL, ("rfactor", "C.k")), 1930581),
    (lambda: _steps(SMALL, ("parallel", "C.j")), 719531),
    (lambda: _steps(SMALL, ("cache_read", "C", "B", "global", "C.i")), 1857109),
    (lambda: _steps(matmul(64, 64, 100), ("split", "C.k", 16)), 2048437),
    (lambda: _steps(matmul(512, 512, 64), ("vectorize", "C.j")), 5662037),
    (lambda: _steps(matmul(2048, 2048, 64), ("parallel", "C.i"), ("vectorize", "C.j")), 46137798),
    (lambda: _steps(_unit(lambda a, i, j: td.exp(a[i, j]) / 3.0)), 53248),
    (lambda: _steps(_unit(lambda a, i, j: a[j, i] * 2.0 + 1.0), ("vectorize", "B.j")), 4160),
    (lambda: _steps(_unit(lambda a, i, j: a[i // 2, j]), ("unroll", "B.i")), 8192),
    (lambda: _steps(_unit(lambda a, i, j: a[td.minimum(i, j), 63 - j])), 8192),
    (lambda: _steps(blur(64, 64), ("compute_at", "X", "Y.i"), ("vectorize", "Y.j")), 31307),
    (lambda: _steps(blur(500, 4096), ("parallel", "Y.i"), ("stream", "Y")), 8386195),
    (_packed_dots, 6403),
)


@pytest.mark.parametrize(("make", "expected"), PINNED, ids=range(len(PINNED)))
def test_forecasts_are_pinned(make, expected):
    assert cycles(make()) == pytest.approx(expected, abs=1)
