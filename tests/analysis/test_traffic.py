"""Predicted traffic: loops whose footprints are known by hand."""

import pytest

import tdsl as td
from tdsl.analysis.traffic import Traffic
from tests.analysis.nests import schedule

KIB = 1024


@pytest.fixture
def matmul():
    A = td.placeholder((64, 64), "float32", name="A")
    B = td.placeholder((64, 64), "float32", name="B")
    k = td.reduce_axis(64, name="k")
    C = td.compute((64, 64), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    return td.Schedule(td.func("mm", [A, B], [C]))


def test_what_fits_comes_in_once(matmul):
    traffic = Traffic(matmul.program, {}, [64 * KIB])
    assert traffic.flops == 2 * 64**3
    assert traffic.touched == 3 * 64 * 64 * 4
    assert traffic.moved == (traffic.touched,)
    assert [loop.moved for loop in traffic.loops()] == [(traffic.touched,), (None,), (None,)]


def test_an_operand_that_does_not_fit_comes_in_for_each_row(matmul):
    traffic = Traffic(matmul.program, {}, [4 * KIB])
    i, j, k = traffic.loops()
    assert (i.runs, j.runs, k.runs) == (1, 64, 64 * 64)
    assert k.touched == 4 * (64 + 64 + 1)
    assert j.touched == 4 * (64 + 64 * 64 + 64)
    # one iteration of j, a row and a column, fits: the loop brings in a row of A and all of B
    assert traffic.moved == (64 * j.touched,)
    assert (i.moved, j.moved, k.moved) == ((64 * j.touched,), (64 * j.touched,), (None,))


def test_tiles_bring_less_in_than_rows(matmul):
    naive = Traffic(matmul.program, {}, [4 * KIB]).moved[0]
    io, jo, ii, ji = matmul.tile("C.i", "C.j", 8, 8)
    matmul.reorder(io, jo, "C.k", ii, ji)
    tiled = Traffic(matmul.program, {}, [4 * KIB])
    # each tile of C brings in 8 rows of A and 8 columns of B
    assert tiled.moved == (64 * 4 * (8 * 64 + 64 * 8 + 64),)
    assert tiled.moved[0] < naive / 3


def test_registers_are_no_memory(matmul):
    io, jo, ii, ji = matmul.tile("C.i", "C.j", 8, 8)
    matmul.reorder(io, jo, "C.k", ii, ji)
    before = Traffic(matmul.program, {}).loops()
    matmul.cache_write("C", "register", at=jo)
    after = Traffic(matmul.program, {}).loops()
    assert [loop.touched for loop in after if loop.loop.var.name == "k"] == [4 * (8 * 64 * 2)]
    assert [loop.touched for loop in before if loop.loop.var.name == "k"] == [4 * (8 * 64 * 2 + 64)]


def test_a_cache_that_is_just_large_enough(matmul):
    row, whole = 4 * (64 + 64 + 1), 3 * 64 * 64 * 4
    rows = 4 * (64 + 64 * 64 + 64)
    assert Traffic(matmul.program, {}, [rows]).moved == (whole,)
    assert Traffic(matmul.program, {}, [rows - 1]).moved == (64 * rows,)
    fits, misses = (Traffic(matmul.program, {}, [row - less]) for less in (0, 1))
    assert fits.moved == (64 * rows,)
    assert misses.moved == (64 * 64 * row,)
    assert [loop.moved[0] is None for loop in fits.loops()] == [False, False, True]
    assert [loop.moved[0] is None for loop in misses.loops()] == [False, False, False]


def test_a_cache_that_holds_no_instance_keeps_nothing(matmul):
    traffic = Traffic(matmul.program, {}, [8, 12])
    assert traffic.moved == (64**3 * 12, 64 * 64 * 4 * (64 + 64 + 1))
    assert [loop.moved[0] for loop in traffic.loops()] == [64**3 * 12] * 3


def test_stages_add_up_and_their_storage_counts():
    a = td.placeholder((16,), "float32", name="A")
    b = td.compute((16,), lambda i: a[i] + 1.0, name="B")
    c = td.compute((16,), lambda i: b[i] * 2.0 + 1.0, name="C")
    traffic = Traffic(td.func("f", [a], [c]).program, {}, [100, 128, 4 * 48])
    assert traffic.flops == 16 * 3
    assert traffic.touched == 4 * 48
    assert traffic.moved == (256, 256, 192)
    assert [loop.runs for loop in traffic.loops()] == [1, 1]
    assert [loop.flops for loop in traffic.loops()] == [16, 32]


def test_a_size_that_is_not_given_counts_as_one():
    n = td.sizes("N")
    a = td.placeholder((n, 3), "float32", name="A")
    b = td.compute((n, 3), lambda i, j: a[i, j] + 1.0, name="B")
    program = td.func("f", [a], [b]).program
    assert Traffic(program, {}).touched == 4 * 2 * 3
    assert Traffic(program, {}).flops == 0


def test_loops_that_do_not_run_cost_nothing_and_loops_of_one_start_at_zero():
    n = td.sizes("N")
    a = td.placeholder((n,), "float32", name="A")
    b = td.compute((n,), lambda i: a[i] + 1.0, name="B")
    program = td.func("f", [a], [b]).program
    assert Traffic(program, {program.sizes[0]: 0}).flops == 0
    assert Traffic(program, {program.sizes[0]: 5}).flops == 5
    a = td.placeholder((8,), "float32", name="A")
    k = td.reduce_axis(8, name="k")
    p = td.compute((1,), lambda i: td.sum(a[k], axis=k, where=k <= i), name="P")
    program = schedule(td.func("f", [a], [p]).program, "i in 1:\n  k in i+1:\n    P(i, k)\n")
    assert Traffic(program, {}).flops == 1


def test_symbolic_sizes_triangles_and_data_dependent_indices():
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    where = td.placeholder((N,), "int32", name="where")
    k = td.reduce_axis(N, name="k")
    P = td.compute((N,), lambda i: td.sum(A[where[k]], axis=k, where=k <= i), name="P")
    s = td.Schedule(td.func("f", [A, where], [P]))
    traffic = Traffic(s.program, {s.program.sizes[0]: 10}, [KIB])
    assert traffic.touched == 10 * 4 * 3
    assert traffic.moved == (120,)
    assert Traffic(s.program, {s.program.sizes[0]: 0}, [KIB]).moved == (0,)


def test_a_triangle_counts_its_longest_row():
    a = td.placeholder((8,), "float32", name="A")
    k = td.reduce_axis(8, name="k")
    p = td.compute((8,), lambda i: td.sum(a[k], axis=k, where=k <= i), name="P")
    program = schedule(td.func("f", [a], [p]).program, "i in 8:\n  k in i+1:\n    P(i, k)\n")
    traffic = Traffic(program, {}, [4])
    assert traffic.flops == 8 * 8
    outer, inner = traffic.loops()
    assert (outer.runs, inner.runs) == (1, 8)
    assert inner.touched == 4 * (8 + 1)
